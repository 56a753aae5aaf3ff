"""Options checked before anything is read or written: one sentence for each that cannot be used."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from runtime.errors import InputError
from train.data import Split, file_sha256
from train.datasets import good_images
from train.dense import reflect_padded
from train.ensemble import teacher_path
from train.files import load_network
from train.options import StudentsConfig


def check_data(data: str) -> None:
    """Raise `InputError` where no folder is named: an empty name would be the current one."""
    if not data:
        raise InputError("no images were given; name their folder with --data")


def check_teacher_files(config: StudentsConfig) -> None:
    """Raise `InputError` unless each scale has a teacher of its own and the images are large enough for its field."""
    networks = [load_network(teacher_path(name))[0] for name in config.teachers]
    sizes = [network.patch_size for network in networks]
    for network in networks:
        if sizes.count(network.patch_size) > 1:
            raise InputError(f"two teachers of p = {network.patch_size} were given; give one for each scale")
        for stride in {1, config.train_stride, config.output_stride}:
            reflect_padded(network.layers, torch.zeros(1, 1, *(config.size_hw or (config.side, config.side))), stride)


def check_same_images(data: Path, split: Split, run: Path) -> None:
    """Raise `InputError` when `data` gives other images to train on than those of a run with this split: more, or not
    all of them any more, as where ``bad`` came beside ``good``, so that some are for the test now. Copies of images
    that are known are no others."""
    known = {Path(path).resolve(): sha256 for path, sha256 in split.sha256.items()}
    given = {path: known.get(path.resolve()) or file_sha256(path) for path in good_images(data)}
    hashes = set(known.values())
    added = [path for path, sha256 in given.items() if sha256 not in hashes]
    if added:
        raise InputError(
            f"{data} holds {len(added)} images that the run {run} was not trained on, such as {added[0].name}; name "
            f"another --out or --run, or delete {run}, to train with them; remove them to go on without"
        )
    hashes = set(given.values())
    taken = [path for path, sha256 in known.items() if sha256 not in hashes]
    if taken:
        raise InputError(
            f"the run {run} has {len(taken)} images that {data} does not give to train on any more, such as "
            f"{taken[0].name}: they are for the test, or lie elsewhere; name another --out or --run, or delete {run}, "
            "to train without them"
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
