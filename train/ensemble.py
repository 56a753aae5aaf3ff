"""A trained detector as training leaves it in a run folder: for each scale a teacher and its students."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from runtime.errors import InputError
from train.dense import Form, dense_descriptors
from train.files import load_network
from train.networks import PatchNetwork
from train.shipped import Shipped

SHIPPED_TEACHERS = Path(__file__).parent / "teachers"
_TEACHERS = Shipped("teacher", SHIPPED_TEACHERS, "teacher-", "see python -m train.teacher")


@dataclass(frozen=True)
class Standardized:
    """A teacher with the mean and deviation [128] of its descriptors over the training images (equation 7)."""

    network: PatchNetwork
    mean: Tensor
    deviation: Tensor

    def to(self, device: torch.device) -> "Standardized":
        """The same teacher on `device`."""
        return Standardized(self.network.to(device), self.mean.to(device), self.deviation.to(device))

    def standardize(self, descriptors: Tensor) -> Tensor:
        """Descriptors [N, 128, h, w], each dimension with zero mean and unit deviation over the training images."""
        return (descriptors - self.mean[:, None, None]) / self.deviation[:, None, None]


@dataclass(frozen=True)
class Scale:
    """One receptive field's networks."""

    patch_size: int
    teacher: Standardized
    teacher_sha256: str
    students: tuple[PatchNetwork, ...]
    losses: tuple[float, ...] = ()  # the last of each student's training, where it is known

    def to(self, device: torch.device) -> "Scale":
        """The same networks on `device`, laid out as convolutions read them fastest."""
        for network in (self.teacher.network, *self.students):
            channels_last(network.to(device))
        return replace(self, teacher=self.teacher.to(device))

    @torch.no_grad()
    def target(self, pixels: Tensor, stride: int, form: Form = "atrous") -> Tensor:
        """The standardized teacher's descriptors [N, 128, h, w] of images [N, 3, H, W]."""
        return self.teacher.standardize(dense_descriptors(self.teacher.network, pixels, stride, form))

    @torch.no_grad()
    def descriptors(self, pixels: Tensor, stride: int, form: Form = "atrous") -> tuple[Tensor, Tensor]:
        """Standardized teacher's [N, 128, h, w] and students' [M, N, 128, h, w] descriptors of images [N, 3, H, W]."""
        target = self.target(pixels, stride, form)
        return target, torch.stack([dense_descriptors(student, pixels, stride, form) for student in self.students])


def teacher_path(name: str) -> Path:
    """The file of a teacher: a shipped one by name (``p33``), or any file. Raises `InputError` for neither."""
    return _TEACHERS.path(name)


def shipped_teachers() -> list[str]:
    """Names of the teachers that come with the install."""
    return _TEACHERS.names


def load_scales(run: Path, scales: int, students: int) -> tuple[Scale, ...]:
    """The scales of a run folder, in the order in which its teachers were given; each file is read once.

    Raises `InputError` when the run is not trained to the end, or a teacher in it is not the run's own.
    """
    by_scale = {}
    for path in run.glob("teacher-p*.safetensors"):
        network, card, beside = load_network(path)
        if "scale" not in card:
            raise InputError(
                f"{path} is a teacher as it is shipped, without what this run's training adds; remove it, and train "
                "again in a new run folder if it took the place of the run's own"
            )
        standardized = Standardized(_frozen(network), beside["mean"], beside["deviation"])
        by_scale[card["scale"]] = standardized, str(card["teacher_sha256"])
    if sorted(by_scale) != list(range(scales)):
        raise InputError(f"{run} is not trained to the end; go on with the command that began it")
    return tuple(_scale(run, *by_scale[index], students) for index in range(scales))


def _scale(run: Path, teacher: Standardized, teacher_sha256: str, students: int) -> Scale:
    patch_size = teacher.network.patch_size
    paths = [student_path(run, patch_size, index) for index in range(students)]
    if not all(path.is_file() for path in paths):
        raise InputError(f"{run} has no finished students of p = {patch_size}; go on with the command that began it")
    loaded = [load_network(path) for path in paths]
    losses = tuple(float(card["loss"]) for _, card, _ in loaded if card.get("loss") is not None)
    return Scale(patch_size, teacher, teacher_sha256, tuple(_frozen(network) for network, _, _ in loaded), losses)


def _frozen(network: PatchNetwork) -> PatchNetwork:
    return network.eval().requires_grad_(False)


def student_path(run: Path, patch_size: int, index: int) -> Path:
    """The file of one student in a run folder."""
    return run / f"student-p{patch_size}-{index}.safetensors"


def pixels_from_frames(frames: Tensor) -> Tensor:
    """Prepared frames, uint8 [N, H, W, 3], BGR, as the patch networks' pixels: float32 [N, 3, H, W], RGB in [0, 1]."""
    return frames.permute(0, 3, 1, 2).flip(1).float() / 255


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its weights laid out as convolutions read them fastest."""
    return network.to(memory_format=torch.channels_last)
