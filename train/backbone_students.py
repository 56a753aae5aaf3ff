"""Students that imitate a backbone: *Uninformed Students* (Bergmann et al., CVPR 2020) with a teacher that was made to
classify photographs, in place of one that was distilled from it patch by patch.

The teacher is the backbone's dense map (`train.backbones.features`), each channel standardized over the good images
(equation 7). Taken over from EfficientAD (Batzner, Heckler and König, WACV 2024, section 3): learning from the hardest
errors alone, and a penalty on what students say of photographs, which they then fail to imitate.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.images import list_images
from train.alignment import alignment_of_run
from train.backbone_ensemble import BACKBONE, STUDENTS, TEACHER, Standard, Trained, first_students, save_trained
from train.backbones import backbone_path
from train.backbones.features import Features, features_of
from train.claim import claimed_split
from train.data import PreparedImages, file_sha256, split_by_content
from train.device import autocast
from train.ensemble import channels_last, pixels_from_frames
from train.files import read_with_card, write_with_card
from train.options import BackboneStudentsConfig
from train.run_folder import RunFolder
from train.schedule import learning_rate
from train.seeds import STUDENT_PHOTOGRAPHS, generator
from train.steps import Steps
from train.teachers_maps import TeachersMaps, channels_last_tensor
from train.trainings import DEVIATION_FLOOR, begun, images_of_step, say_begun
from train.whitening import fit_whitening

PHOTOGRAPHS = "photographs.sha256"  # of those that a run was begun with


def train_backbone_students(config: BackboneStudentsConfig, out: Path, stop_after: int | None = None) -> bool:
    """Train in the run folder `out`; False when `stop_after` steps end before it is done.

    Raises `InputError` for unusable images, backbones or options.
    """
    config, folder = begun(config, out, stop_after)
    with folder.only_one():
        return _train(config, folder, stop_after)


def _train(config: BackboneStudentsConfig, folder: RunFolder, stop_after: int | None) -> bool:
    kept = folder.path / BACKBONE  # a run goes on with the one that it was begun with
    features = features_of(config, str(kept) if kept.is_file() else None)
    first_students(config, features)  # refuses what cannot be built, before anything is written
    has_ended = (folder.path / STUDENTS).exists()
    photographs = None if has_ended else _photographs(config)
    by_content = partial(split_by_content, holdout=config.holdout)
    check = (lambda: None) if photographs is None else photographs.check
    split = claimed_split(folder, config, by_content, check)
    if has_ended:
        return True
    if photographs is not None:
        _keep_digest(folder, config, photographs.paths)
    if not kept.is_file():
        write_atomically(kept, backbone_path(config.backbone).read_bytes())
    say_begun(config, split)
    alignment = alignment_of_run(folder, config)
    images = partial(PreparedImages, size_hw=config.frame_hw, alignment=alignment, seen=config.seen)
    training = _Training(config, folder, features, images(split.training), photographs)
    return training.run(images(split.statistics), stop_after)


def _photographs(config: BackboneStudentsConfig) -> PreparedImages | None:
    if config.photographs is None or not config.penalty:
        return None
    if config.student == "autoencoder":
        raise InputError("photographs are for students that read pixels; leave them out, or --student pixels")
    # no parts are in them
    return PreparedImages(list_images(Path(config.photographs)), config.frame_hw, None, config.seen)


def _keep_digest(folder: RunFolder, config: BackboneStudentsConfig, photographs: Sequence[Path]) -> None:
    """Bind a run to its photographs by a hash over their files, in order: each step draws one by its number.

    Raises `InputError` for a run that was begun on others.
    """
    path = folder.path / PHOTOGRAPHS
    digest = hashlib.sha256("".join(map(file_sha256, photographs)).encode()).hexdigest().encode()
    if not path.exists():
        write_atomically(path, digest)
    elif path.read_bytes() != digest:
        raise InputError(
            f"the run {folder.path} was begun on other photographs than {config.photographs} holds; restore them, or "
            "train in a new run folder"
        )


class _Training:
    """M students, their teacher and their optimizer."""

    def __init__(
        self,
        config: BackboneStudentsConfig,
        folder: RunFolder,
        features: Features,
        images: PreparedImages,
        photographs: PreparedImages | None,
    ) -> None:
        self.config, self.folder, self.photographs = config, folder, photographs
        self.device = torch.device(config.device)
        self.features: Features = channels_last(features.to(self.device))  # type: ignore[assignment]
        self.maps = self._maps(images)
        self.standard = self._standard().to(self.device)
        self.students = [student.to(self.device) for student in first_students(config, features)]
        for student in self.students:
            channels_last(student)
        # Adam keeps to each weight by itself, so one optimizer trains the students as M would
        parameters = [p for student in self.students for p in student.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)

    def run(self, statistics: PreparedImages, stop_after: int | None) -> bool:
        """Train from the checkpoint if there is one; whether it is done. Errors are then whitened as on good images,
        those trained on and those of the `statistics`."""
        config, checkpoint = self.config, self.folder.path / "checkpoint.safetensors"
        modules = {f"student{i}": student for i, student in enumerate(self.students)}
        _, end, loss = Steps(
            self.folder, "students", checkpoint, modules, self.optimizer, config.steps, config.checkpoint_every,
            config.learning_rate, {},
        ).run(self.step, stop_after)  # fmt: skip
        if end < config.steps:
            return False
        whitening = torch.eye(self.features.dimensions)
        if config.whitened:
            for student in self.students:
                student.eval()
            whitening = fit_whitening([self._residuals(self.maps), self._residuals(self._maps(statistics))])
        save_trained(
            self.folder.path / STUDENTS, Trained(self.standard, tuple(self.students), whitening, loss), config.steps
        )
        checkpoint.unlink()
        return True

    def step(self, step: int) -> Tensor:
        """One step of all students; returns their mean loss, of the hardest numbers."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config.learning_rate, "cosine", step, config.steps)
        batch = list(images_of_step(step, config.batch_size, len(self.maps), config.seed))
        target = self.standard(torch.cat([self.maps[index] for index in batch]))
        with autocast(config.device, config.precision):
            read = self._normalized(self.maps.pixels(batch)) if config.student == "pixels" else target
            found = [student(read) for student in self.students]
            of_photographs = self._of_photograph(step)
        losses = [hardest((each.float() - target).square(), config.hardest) for each in found]
        loss = torch.stack(losses).sum()
        self.optimizer.zero_grad(set_to_none=True)
        (loss + config.penalty * of_photographs).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach() / len(self.students)

    def _of_photograph(self, step: int) -> Tensor:
        """The mean square of what students say of one picture of something else, summed over students."""
        if self.photographs is None:
            return torch.zeros((), device=self.device)
        draw = generator(self.config.seed, STUDENT_PHOTOGRAPHS, step)
        frame = self.photographs[int(torch.randint(len(self.photographs), (1,), generator=draw))]
        pixels = self._normalized(pixels_from_frames(torch.from_numpy(frame)[None].to(self.device)))
        return torch.stack([student(pixels).float().square().mean() for student in self.students]).sum()

    def _normalized(self, pixels: Tensor) -> Tensor:
        return channels_last_tensor(self.features.normalized(pixels))

    def _maps(self, images: PreparedImages) -> TeachersMaps:
        return TeachersMaps(lambda pixels: self.features(pixels)[0], images, self.device)

    @torch.no_grad()
    def _residuals(self, maps: TeachersMaps) -> Iterator[Tensor]:
        """mean_i S_i − T of each image, [1, D, h, w]."""
        for index, found in enumerate(maps.all("errors")):
            target = self.standard(found)
            read = self._normalized(maps.pixels([index])) if self.config.student == "pixels" else target
            yield torch.stack([student(read) for student in self.students]).mean(dim=0) - target

    def _standard(self) -> Standard:
        """Of the run folder, or computed now and kept there."""
        path = self.folder.path / TEACHER
        if path.exists():
            tensors = read_with_card(path)[0]
            return Standard(tensors["mean"], tensors["deviation"])
        total, count = torch.zeros(2, self.features.dimensions, dtype=torch.float64), 0
        for found in self.maps.all("teacher"):
            values = found.double().flatten(2)
            total += torch.stack([values.sum(dim=(0, 2)), values.square().sum(dim=(0, 2))]).cpu()
            count += values.shape[2]
        mean, square = total / count
        deviation = (square - mean.square()).clamp(min=0).sqrt()
        deviation = deviation.clamp(min=max(DEVIATION_FLOOR * float(deviation.mean()), 1e-12))
        standard = Standard(mean.float(), deviation.float())
        write_with_card(path, {"mean": standard.mean, "deviation": standard.deviation}, {})
        return standard


def hardest(errors: Tensor, share: float) -> Tensor:
    """The mean of the largest `share` of these errors, of any shape (EfficientAD, section 3.2); of all of them at 1."""
    if share >= 1:
        return errors.mean()
    flat = errors.flatten()
    return flat.topk(max(1, round(share * len(flat))), sorted=False).values.mean()
