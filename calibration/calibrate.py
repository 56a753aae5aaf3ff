"""Calibration of a finished run: what good images held out of training show, whatever the method."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from calibration.calibrated import CalibratedRun, of_pixels
from calibration.file_scores import progress
from calibration.health import fit_health, unlimited
from calibration.image_evidence import fit_image_evidence
from calibration.maps import Positions, within
from calibration.methods import open_run
from calibration.positions import fit_positions, in_score_units
from calibration.statistics import Moments
from calibration.statistics import fit_moments as moments_of
from runtime.health import seen_by_health
from runtime.images import read_image
from runtime.recipe import HealthLimits
from runtime.threshold import check_rates
from train.data import CACHE_BYTES, PreparedImages
from train.method import TrainedRun
from train.progress import Progress
from train.run_folder import RunFolder


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
    run = with_fitted_statistics(trained, _health(trained), budget, confidence)
    run.save()
    for sentence in unlimited(run.health):
        print(f"note: {sentence}")
    return run


def with_fitted_statistics(
    trained: TrainedRun, health: HealthLimits, budget: float, confidence: float
) -> CalibratedRun:
    """A run with statistics of its own images; nothing is written."""
    known = EvidenceOfImages(trained, trained.split.statistics, "statistics")
    run = CalibratedRun(trained, fit_moments(trained, known), None, None, health, budget, confidence)
    if trained.scoring.by_position:
        run = replace(run, positions=_positions(run, known))
    return run if trained.pooled is None else _with_image_evidence(run, known)


class EvidenceOfImages:
    """Raw evidence [1, K, h, w] of images by the run without each, one after the other, as often as is asked for.

    Kept in memory up to a bound, and computed again beyond it.
    """

    def __init__(self, trained: TrainedRun, paths: Sequence[Path], name: str) -> None:
        self._trained, self._images, self._name = (
            trained,
            PreparedImages(paths, trained.size_hw, trained.alignment),
            name,
        )
        self._kept: list[Tensor] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Tensor]:
        yield from self._kept
        left = range(len(self._kept), len(self._images))
        for index in Progress(left, self._name, len(left), unit="image"):
            found = self._trained.without(self._images.paths[index]).evidence(self._images[index][None])
            size = found.numel() * found.element_size()
            if index == len(self._kept) and self._bytes + size <= CACHE_BYTES:
                self._kept.append(found)
                self._bytes += size
            yield found


def fit_moments(trained: TrainedRun, evidence: Iterable[Tensor]) -> tuple[Moments, ...]:
    """Equation 11's mean and deviation of each kind of evidence over all pixels inside the region of interest.

    Of raw evidence [N, K, h, w] of good images; see `calibration.statistics`.
    """
    region = trained.scoring.region_of_interest
    inside = (within(of_pixels(trained, found), region) for found in evidence)
    return moments_of(each.numpy() for batch in inside for each in batch.cpu())


def _positions(run: CalibratedRun, statistics: EvidenceOfImages) -> Positions:
    """The statistics by position, of all images that say something of new parts (see `calibration.positions`)."""
    trained, sets = run.trained, [statistics]
    if not trained.leaves_out:
        sets.insert(0, EvidenceOfImages(trained, trained.split.training, "positions"))
    maps = [(run.maps_of(evidence) for evidence in each) for each in sets]
    return fit_positions(maps, trained.size_hw, trained.scoring.region_of_interest)


def _with_image_evidence(run: CalibratedRun, statistics: EvidenceOfImages) -> CalibratedRun:
    """The run with evidence of the whole frame, and its map in the same unit: deviations of good images' scores.

    Of a method that leaves out images, both units come from its reference images, each left out. Of one that holds
    images out, the map's come from those of the statistics, and the whole frame's from those that it was trained on,
    each left out, since these are more. A picture that is there in several files counts once: without one of its files
    it would be known still.
    """
    trained = run.trained
    assert run.positions is not None  # which the options ask for
    scores = [run.score_of_map(run.scored(run.maps_of(evidence))) for evidence in statistics]
    positions = in_score_units(run.positions, torch.cat(scores).double().cpu().numpy())
    reference, others = map(trained.split.different, (trained.split.statistics, trained.split.training))
    known = (*reference, *others) if trained.leaves_out else others
    images = PreparedImages(known, trained.size_hw, trained.alignment)
    features = torch.cat([trained.pooled_features(frames).cpu() for frames in progress(images, "whole frames")])
    fixed = slice(len(reference)) if trained.leaves_out else slice(None)
    return replace(run, positions=positions, image=fit_image_evidence(features, fixed))


def _health(trained: TrainedRun) -> HealthLimits:
    split = trained.split
    paths: tuple[Path, ...] = (*split.training, *split.statistics, *split.threshold)
    bar = Progress(paths, "health", len(paths), unit="image")
    seen = seen_by_health(trained.scoring, trained.alignment, trained.size_hw)
    return fit_health((read_image(path) for path in bar), trained.size_hw, seen)
