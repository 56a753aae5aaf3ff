"""A run folder's networks and settings, ready to score images by the plain formulas."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.scoring import Moments, Positions, anomaly_map, anomaly_score, by_position, normalized, terms
from runtime.errors import InputError
from train.checks import check_students
from train.data import PreparedImages, Split
from train.device import resolve_device
from train.ensemble import Scale, channels_last, load_scale, pixels_from_frames
from train.files import load_network
from train.progress import Progress
from train.run_folder import RunFolder
from train.students import StudentsConfig


@dataclass(frozen=True)
class TrainedRun:
    """A finished run of ``python -m train.students``."""

    folder: RunFolder
    config: StudentsConfig
    split: Split
    scales: tuple[Scale, ...]
    device: torch.device

    @property
    def threshold_images(self) -> tuple[Path, ...]:
        """Those whose scores the threshold is fitted to; see `Split.threshold_images`."""
        return self.split.threshold_images(len(self.scales), self.config.students, self.config.by_position)

    def terms(self, frames: NDArray[np.uint8]) -> list[tuple[Tensor, Tensor | None]]:
        """Regression error and predictive variance [N, H, W] of each scale, of prepared frames [N, H, W, 3]."""
        pixels = pixels_from_frames(torch.from_numpy(frames).to(self.device))
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        return [terms(scale, pixels, self.config.output_stride, self.config.relative) for scale in self.scales]

    def maps(self, frames: NDArray[np.uint8], moments: Sequence[Moments]) -> Tensor:
        """Anomaly maps [N, H, W] of prepared frames [N, H, W, 3]."""
        found = [normalized(*pair, m) for pair, m in zip(self.terms(frames), moments, strict=True)]
        return anomaly_map(found, self.config.smoothing)

    def maps_and_scores(
        self, frames: NDArray[np.uint8], moments: Sequence[Moments], positions: Positions | None
    ) -> tuple[Tensor, Tensor]:
        """Anomaly maps [N, H, W] and scores [N] of prepared frames [N, H, W, 3].

        Where `positions` are given, the scores are those of the maps `by_position`.
        """
        maps = self.maps(frames, moments)
        scored = maps if positions is None else by_position(maps, positions)
        return maps, anomaly_score(scored, self.config.score_pixels, self.config.region_of_interest)


def load_run(path: Path, device: str | None = None) -> TrainedRun:
    """Open a run folder for scoring, on the device it was trained on unless another is named.

    Raises `InputError` when it is not a run folder, not finished, its options cannot be used, or its images were
    changed since.
    """
    folder = RunFolder(path)
    config = folder.config(StudentsConfig)
    try:
        check_students(config)
    except InputError as error:
        raise InputError(f"{folder.config_path} was changed since training: {error}") from error
    split = Split.load(folder.split_path)
    if device is None and config.device == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{path} was trained on a GPU and there is none here; name the CPU with --device cpu")
    place = torch.device(resolve_device(device or config.device))
    scales = []
    for patch_size in _patch_sizes(path, len(config.teachers)):
        scale = load_scale(path, patch_size, config.students)
        for network in (scale.teacher.network, *scale.students):
            channels_last(network.to(place))
        scales.append(replace(scale, teacher=scale.teacher.to(place)))
    return TrainedRun(folder, config, split, tuple(scales), place)


def _patch_sizes(run: Path, scales: int) -> list[int]:
    """Patch sizes in the order in which the run's teachers were given."""
    by_scale = {}
    for path in run.glob("teacher-p*.safetensors"):
        _, card, _ = load_network(path)
        if "scale" not in card:
            raise InputError(
                f"{path} is a teacher as it is shipped, without what this run's training adds; remove it, and train "
                "again in a new run folder if it took the place of the run's own"
            )
        by_scale[card["scale"]] = int(card["patch_size"])
    if sorted(by_scale) != list(range(scales)):
        raise InputError(f"{run} is not trained to the end; go on with python -m train.students")
    return [by_scale[index] for index in range(scales)]


def progress(images: PreparedImages, name: str) -> Iterator[NDArray[np.uint8]]:
    """Prepared images as batches of one, [1, H, W, 3], with their progress."""
    for index in Progress(range(len(images)), name, len(images), unit="image"):
        yield images[index][None]
