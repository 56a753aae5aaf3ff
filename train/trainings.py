"""What the trainings of all students share: how a run begins, and in which order its images are learnt from."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from train.checks import check_stop_after
from train.data import Split
from train.device import resolve_device, resolve_precision
from train.run_folder import RunFolder
from train.seeds import STUDENT_ORDER, generator
from train.shape import with_frame_shape

Config = TypeVar("Config", bound=Any)

# a dimension that hardly varies over the good images would turn rounding into anomalies when it is divided by
DEVIATION_FLOOR = 1e-2  # of the mean deviation of all dimensions


def begun(config: Config, out: Path, stop_after: int | None) -> tuple[Config, RunFolder]:
    """A configuration with its device, precision and shape of frames, and its run folder `out`, new or to go on with.

    Nothing is written. Raises `InputError` for unusable images or options, and for a folder that is none of this run.
    """
    check_stop_after(stop_after)
    device = resolve_device(config.device)
    config = replace(config, device=device, precision=resolve_precision(config.precision, device))
    folder = RunFolder(out)
    config = with_frame_shape(config, folder)
    folder.check(config)  # before anything is put into a folder that is none of ours
    return config, folder


def say_begun(config: Any, split: Split) -> None:
    """Print where a run is trained, and what its images are for."""
    counts = split.counts
    print(
        f"training on {config.device} in {config.precision}: {counts['training']} images; held out: "
        f"{counts['statistics']} for statistics, {counts['threshold']} for the threshold"
    )


def images_of_step(step: int, batch_size: int, count: int, seed: int) -> Iterator[int]:
    """Which of `count` images a step learns from: every epoch is a permutation of its own."""
    for position in range(step * batch_size, (step + 1) * batch_size):
        draw = generator(seed, STUDENT_ORDER, position // count)
        yield int(torch.randperm(count, generator=draw)[position % count])
