"""Students on one class of small images (*Uninformed Students*, Bergmann et al., CVPR 2020, section 4.1).

An image is zoomed to the teacher's p×p pixels, so that it has one descriptor and one score: the sum of regression error
(eq. 8 and 9) and predictive variance (eq. 10) of M = 5 students, each normalized over held-out images of the class
(eq. 11).

Deviations: steps in place of epochs; a share of the class (`holdout`), which is not trained on, gives the moments of
equation 11; the batch size and the learning rate are those of the paper's teachers.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.methods.base import Frames, Inspected, Method, Scores, as_pixels, check_frames, fitted
from benchmarks.methods.bounds import above_zero, at_least, proper_shares
from benchmarks.methods.descriptors import zoomed
from benchmarks.methods.training import SPLIT, WEIGHTS, minimize, seeded
from benchmarks.oneclass.results import Answers
from calibration.methods.students import predictive_variance, regression_error
from calibration.statistics import DEVIATION_FLOOR as TERM_FLOOR
from runtime.errors import InputError
from train.device import PRECISIONS, autocast, resolve_precision
from train.ensemble import channels_last
from train.files import load_network
from train.losses import student_loss
from train.networks import PatchNetwork
from train.seeds import STUDENT_WEIGHTS, generator
from train.trainings import DEVIATION_FLOOR

CHUNK = 256  # images described at once
FEWEST_IMAGES = 4  # two to train on, two to normalize over


@dataclass(frozen=True)
class Options:
    """Options of the students of one class."""

    students: int = 5  # M
    steps: int = 5_000
    batch_size: int = 64
    learning_rate: float = 2e-4
    weight_decay: float = 1e-5
    holdout: float = 0.1  # share of the images that equation 11 is normalized over
    precision: str = field(default="auto", metadata={"choices": PRECISIONS})  # auto: bf16 if the hardware has it

    def __post_init__(self) -> None:
        at_least(self, students=1, steps=1, batch_size=1, weight_decay=0)
        above_zero(self, "learning_rate")
        proper_shares(self, "holdout")


class OneClassStudents(Method):
    """A teacher and its students of one class. It has no maps: an image is one descriptor."""

    def __init__(self, teacher: Path, options: Options, seed: int = 0, device: str = "cpu") -> None:
        """Raises `InputError` for a file that is no teacher."""
        self.options, self.seed, self.device = options, seed, device
        self.precision = resolve_precision(options.precision, device)
        self.teacher = load_network(teacher)[0].eval().requires_grad_(False).to(device)
        channels_last(self.teacher)
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """Train on images of one class, uint8 [n, H, W, 3], BGR, of any size; all are kept in memory, zoomed.

        Raises `InputError` for fewer than four of them, or when the training diverges.
        """
        size_hw = check_frames(good)
        if len(good) < FEWEST_IMAGES:
            raise InputError(
                f"{len(good)} images of the class; expected {FEWEST_IMAGES} or more (thousands, to be good)"
            )
        images = zoomed(good, self.teacher.patch_size)
        order = torch.randperm(len(images), generator=generator(self.seed, SPLIT)).numpy()
        held_out = min(max(2, round(len(images) * self.options.holdout)), len(images) - 2)
        self._train(images[order[held_out:]])
        self.moments = [(float(term.mean()), _floored(term)) for term in self._terms(images[order[:held_out]])]
        self.size_hw = size_hw

    def inspect(self, frames: Frames) -> Inspected:
        """See `Method`: one score for each image, float32 [n]."""
        check_frames(frames, fitted(self.size_hw))
        return Inspected(None, self._scores(zoomed(frames, self.teacher.patch_size)))

    def answers(self, frames: Frames) -> Answers:
        """The descriptors that the scores of frames of the fitted size come from, for Figure 4."""
        check_frames(frames, fitted(self.size_hw))
        target, students = self._standardized(zoomed(frames, self.teacher.patch_size))
        variance = predictive_variance(students).flatten()
        found = (target[:, :, 0, 0], students.mean(dim=0)[:, :, 0, 0], variance)
        return Answers(*(np.asarray(values.cpu().numpy(), np.float32) for values in found))

    def _train(self, images: Frames) -> None:
        options = self.options
        targets = self._described(images, [self.teacher])[0]
        self.mean = targets.mean(dim=0)
        deviation = targets.std(dim=0)
        self.deviation = deviation.clamp(min=max(DEVIATION_FLOOR * float(deviation.mean()), 1e-12))
        targets = (targets - self.mean) / self.deviation  # eq. 7, over the images trained on
        self.students = [self._student(index) for index in range(options.students)]

        def loss(indices: Tensor, step: int) -> Tensor:
            pixels = as_pixels(images[indices.numpy()], self.device).contiguous(memory_format=torch.channels_last)
            target = targets[indices.to(targets.device)][:, :, None, None]
            with autocast(self.device, self.precision):
                found = [student(pixels) for student in self.students]
            return torch.stack([student_loss(f.float()[:, :, None, None], target) for f in found]).sum()

        minimize(
            loss, [p for student in self.students for p in student.parameters()], len(images), steps=options.steps,
            batch_size=options.batch_size, learning_rate=options.learning_rate, weight_decay=options.weight_decay,
            seed=self.seed, name="students",
        )  # fmt: skip
        for student in self.students:
            student.eval().requires_grad_(False)

    def _student(self, index: int) -> PatchNetwork:
        with seeded(self.seed, WEIGHTS, STUDENT_WEIGHTS, index):
            student = PatchNetwork(self.teacher.patch_size, self.teacher.width).to(self.device)
        channels_last(student)
        return student

    def _scores(self, images: Frames) -> Scores:
        """Equation 11, of the one position that an image has."""
        terms = zip(self._terms(images), self.moments, strict=True)
        total = torch.stack([(term - mean) / deviation for term, (mean, deviation) in terms]).sum(dim=0)
        return np.asarray(total.cpu().numpy(), np.float32)

    def _terms(self, images: Frames) -> list[Tensor]:
        """Regression error and, of several students, predictive variance, each [n]."""
        target, students = self._standardized(images)
        terms = [regression_error(students, target)]
        if len(self.students) > 1:
            terms.append(predictive_variance(students))
        return [term.flatten() for term in terms]

    def _standardized(self, images: Frames) -> tuple[Tensor, Tensor]:
        """The teacher's standardized descriptors [n, 128, 1, 1], and each student's guess at them [M, n, 128, 1, 1]."""
        target, *found = self._described(images, [self.teacher, *self.students])
        return ((target - self.mean) / self.deviation)[:, :, None, None], torch.stack(found)[:, :, :, None, None]

    @torch.no_grad()
    def _described(self, images: Frames, networks: list[PatchNetwork]) -> list[Tensor]:
        """The images' descriptors [n, 128] by each network."""
        found: list[list[Tensor]] = [[] for _ in networks]
        for first in range(0, len(images), CHUNK):
            pixels = as_pixels(images[first : first + CHUNK], self.device)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            with autocast(self.device, self.precision):
                for network, chunks in zip(networks, found, strict=True):
                    chunks.append(network(pixels).float())
        return [torch.cat(chunks) for chunks in found]


def _floored(term: Tensor) -> float:
    """A term's deviation over good images, with the floor of `calibration.calibrate`."""
    return max(float(term.std()), TERM_FLOOR * abs(float(term.mean())), 1e-12)
