"""Calibration of a finished run: what good images held out of training show, whatever the method."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.calibrated import CalibratedRun, maps, pixel_evidence
from calibration.health import fit_health
from calibration.maps import Moments, Positions, within
from calibration.methods import open_run
from calibration.positions import fit_positions
from runtime.images import read_image
from runtime.recipe import HealthLimits
from runtime.threshold import check_rates
from train.data import PreparedImages
from train.method import TrainedRun
from train.progress import Progress
from train.run_folder import RunFolder

# a kind that hardly varies over good images would turn rounding into anomalies when it is divided by
DEVIATION_FLOOR = 1e-6  # of the kind's mean


def calibrate(trained: TrainedRun, budget: float, confidence: float = 0.95) -> CalibratedRun:
    """Fit the statistics of a run, write them into its folder, and return the run with them.

    The threshold is fitted later, once, to the exported file's own scores; `budget` and `confidence` are for it. Raises
    `InputError` for rates out of range, and while another process works in the folder.
    """
    check_rates(budget, confidence)  # a bad rate is refused before the work
    with trained.folder.only_one():
        return _calibrate(trained, budget, confidence)


def calibrate_folder(path: Path, budget: float, confidence: float, device: str | None = None) -> CalibratedRun:
    """Open a run folder, on `device` or that of its training, and `calibrate` it; no other process works in it then."""
    check_rates(budget, confidence)
    with RunFolder(path).only_one() if path.is_dir() else nullcontext():
        return calibrate(open_run(path, device), budget, confidence)


def _calibrate(trained: TrainedRun, budget: float, confidence: float) -> CalibratedRun:
    moments = fit_moments(trained, progress(PreparedImages(trained.split.statistics, trained.size_hw), "statistics"))
    positions = positions_of(trained, moments) if trained.scoring.by_position else None
    run = CalibratedRun(trained, moments, positions, _health(trained), budget, confidence)
    run.save()
    return run


def fit_moments(trained: TrainedRun, batches: Iterable[NDArray[np.uint8]]) -> tuple[Moments, ...]:
    """Equation 11's mean and deviation of each kind of evidence over all pixels inside the region of interest.

    Of prepared frames [N, H, W, 3]; summed in float64.
    """
    sums, count = torch.zeros(len(trained.kinds), 2, dtype=torch.float64), 0  # kind, power
    for frames in batches:
        inside = within(pixel_evidence(trained, frames), trained.scoring.region_of_interest).double()
        sums += torch.stack([inside.sum(dim=(0, 2, 3)), inside.square().sum(dim=(0, 2, 3))], dim=1).cpu()
        count += inside[:, 0].numel()
    return tuple(_moments(first / count, second / count) for first, second in sums.tolist())


def _moments(mean: float, square: float) -> Moments:
    deviation = max(square - mean**2, 0.0) ** 0.5
    return Moments(mean, max(deviation, DEVIATION_FLOOR * abs(mean), 1e-12))


def positions_of(trained: TrainedRun, moments: tuple[Moments, ...]) -> Positions:
    """The statistics by position, of all images that say something of new parts (see `calibration.positions`)."""
    uses = [trained.split.statistics]
    if not trained.knows_training_images:
        uses.insert(0, trained.split.training)
    sets = [progress(PreparedImages(paths, trained.size_hw), "positions") for paths in uses]
    region = trained.scoring.region_of_interest
    return fit_positions(lambda frames: maps(trained, moments, frames), sets, trained.size_hw, region)


def progress(images: PreparedImages, name: str) -> Iterator[NDArray[np.uint8]]:
    """Prepared images as batches of one, [1, H, W, 3], with their progress."""
    for index in Progress(range(len(images)), name, len(images), unit="image"):
        yield images[index][None]


def _health(trained: TrainedRun) -> HealthLimits:
    split = trained.split
    paths: tuple[Path, ...] = (*split.training, *split.statistics, *split.threshold)
    bar = Progress(paths, "health", len(paths), unit="image")
    return fit_health((read_image(path) for path in bar), trained.size_hw)
