"""Options checked before anything is read or written: one sentence for each that cannot be used."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import InputError

if TYPE_CHECKING:
    from train.data import Split
    from train.students import StudentsConfig
    from train.teacher import TeacherConfig


def check_teacher(config: "TeacherConfig") -> None:
    """Raise `InputError` for the first option of a teacher's pretraining that cannot be used."""
    _at_least(config, 1, "iterations", "evaluate_every", "checkpoint_every", "descriptor_input")
    _at_least(config, 2, "batch_size")  # one patch has no correlation
    _at_least(config, 0, "distillation", "triplet", "compactness", "margin", "luminance", "weight_decay", "seed")
    _above_zero(config, "learning_rate", "zoom_cap", "width")
    _at_most(config, 1, "width", "learning_rate")
    _at_most(config, 2**64 - 1, "seed")  # PyTorch's limit


def check_students(config: "StudentsConfig") -> None:
    """Raise `InputError` for the first option of the students' training that cannot be used."""
    height, width = config.size_hw
    check_size(config.size_hw)
    if not config.teachers:
        raise InputError("teachers is empty; name one or more, such as p33")
    _at_least(config, 1, "students", "epochs", "steps", "batch_size", "checkpoint_every")
    _at_least(config, 0, "weight_decay", "seed")
    _above_zero(config, "learning_rate", "width")
    _at_most(config, 1, "width", "learning_rate")
    if config.window is not None and not config.train_stride <= config.window <= min(height, width):
        raise InputError(f"window is {config.window}; expected {config.train_stride} to {min(height, width)} pixels")
    config.scoring.check(config.size_hw)


def check_size(size_hw: tuple[int, int]) -> None:
    """Raise `InputError` for prepared frames that are too small for any method."""
    if min(size_hw) < 32:
        raise InputError(f"size_hw is {size_hw[0]},{size_hw[1]}; expected 32 pixels or more each way")


def check_data(data: str) -> None:
    """Raise `InputError` where no folder is named: an empty name would be the current one."""
    if not data:
        raise InputError("no images were given; name their folder with --data")


def check_teacher_files(config: "StudentsConfig") -> None:
    """Raise `InputError` unless each scale has a teacher of its own and the images are large enough for its field."""
    import torch

    from train.dense import reflect_padded
    from train.ensemble import teacher_path
    from train.files import load_network

    networks = [load_network(teacher_path(name))[0] for name in config.teachers]
    sizes = [network.patch_size for network in networks]
    for network in networks:
        if sizes.count(network.patch_size) > 1:
            raise InputError(f"two teachers of p = {network.patch_size} were given; give one for each scale")
        for stride in {1, config.train_stride, config.output_stride}:
            reflect_padded(network.layers, torch.zeros(1, 1, *config.size_hw), stride)


def check_no_images_added(data: Path, split: "Split", run: Path) -> None:
    """Raise `InputError` when `data` holds good images that a run with this split does not know."""
    from train.data import file_sha256, good_images

    known, hashes = {Path(path).resolve() for path in split.sha256}, set(split.sha256.values())
    added = [p for p in good_images(data) if p.resolve() not in known and file_sha256(p) not in hashes]
    if added:
        raise InputError(
            f"{data} holds {len(added)} images that the run {run} was not trained on, such as {added[0].name}; name "
            f"another --out or --run, or delete {run}, to train with them; remove them to go on without"
        )


def check_finite(values: Mapping[str, float | None], step: int, learning_rate: float) -> None:
    """Raise `InputError` when a loss, or what was measured beside it, shows that the training diverged."""
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise InputError(
                f"the {name} is not finite at step {step}: the training diverged; use a smaller --learning-rate, "
                f"it is {learning_rate:g}, and a new run folder"
            )


def check_stop_after(steps: int | None) -> None:
    """Raise `InputError` for a number of steps that is none."""
    if steps is not None and steps < 1:
        raise InputError(f"stop_after is {steps}; expected 1 or more")


def _at_least(config: Any, least: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not least <= value < math.inf:
            raise InputError(f"{name} is {value}; expected {least} or more")


def _at_most(config: Any, most: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and value > most:
            raise InputError(f"{name} is {value}; expected {most} or less")


def _above_zero(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{name} is {value}; expected a number above 0")
