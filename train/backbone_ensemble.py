"""A backbone and its students as training leaves them in a run folder."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from runtime.errors import InputError
from train.backbones.features import Features, features_of
from train.files import read_with_card, write_with_card
from train.options import BackboneStudentsConfig
from train.seeds import STUDENT_WEIGHTS, generator
from train.student_forms import Student, new_student

STUDENTS, TEACHER, BACKBONE = "students.safetensors", "teacher.safetensors", "backbone.safetensors"


@dataclass(frozen=True)
class Standard:
    """Mean and deviation [D] of the teacher's channels over the training images (equation 7)."""

    mean: Tensor
    deviation: Tensor

    def __call__(self, descriptors: Tensor) -> Tensor:
        """Standardized descriptors [N, D, h, w]."""
        return (descriptors - self.mean[:, None, None]) / self.deviation[:, None, None]

    def to(self, device: torch.device) -> "Standard":
        """The same on `device`."""
        return Standard(self.mean.to(device), self.deviation.to(device))


@dataclass(frozen=True)
class Trained:
    """What training leaves: the teacher's standard, its students, and the map [D, D] of their errors."""

    standard: Standard
    students: tuple[Student, ...]
    whitening: Tensor  # the identity where errors are not whitened
    loss: float | None  # the last, of the hardest errors; None where it is not known


def first_students(config: BackboneStudentsConfig, features: Features) -> tuple[Student, ...]:
    """The students before their first step. Raises `InputError` for stages that they cannot follow."""
    seeds = (generator(config.seed, STUDENT_WEIGHTS, index).initial_seed() for index in range(config.students))
    make = partial(new_student, config.student, features.dimensions, features.stride, config.width, config.blocks)
    return tuple(make(seed) for seed in seeds)


def save_trained(path: Path, trained: Trained, steps: int) -> None:
    """Write what training leaves."""
    tensors = {"mean": trained.standard.mean, "deviation": trained.standard.deviation, "whitening": trained.whitening}
    for index, student in enumerate(trained.students):
        tensors |= {f"student{index}.{name}": tensor for name, tensor in student.state_dict().items()}
    found = {name: tensor.detach().cpu().float().contiguous() for name, tensor in tensors.items()}
    write_with_card(path, found, {"steps": steps, "loss": trained.loss})


def load_trained(run: Path, config: BackboneStudentsConfig) -> tuple[Features, Trained]:
    """The teacher and what training left of a run folder. Raises `InputError` when it is not finished or damaged."""
    path = run / STUDENTS
    if not path.is_file():
        raise InputError(f"{run} is not trained to the end; go on with the command that began it")
    features = features_of(config, str(run / BACKBONE))
    tensors, card = read_with_card(path)
    students = first_students(config, features)
    try:
        for index, student in enumerate(students):
            prefix = f"student{index}."
            of_student = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
            student.load_state_dict(of_student)
            student.eval().requires_grad_(False)
        standard, whitening = Standard(tensors["mean"], tensors["deviation"]), tensors["whitening"]
        usable = all(bool(tensor.isfinite().all()) for tensor in tensors.values()) and len(whitening) == len(
            standard.mean
        )
    except (KeyError, RuntimeError):
        usable = False
    if not usable:
        raise InputError(f"{path} is damaged, or of another backbone; delete it, and train again")
    return features, Trained(standard, students, whitening, card.get("loss"))
