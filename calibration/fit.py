"""``python -m calibration.fit``: statistics of equation 11 and the threshold, from good images held out of training."""

import argparse
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runtime import cli

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from calibration.model import TrainedRun
    from calibration.scoring import Moments
    from calibration.statistics import Statistics
    from runtime.recipe import HealthLimits

HIGHEST_SHOWN = 3
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
# a term that hardly varies over good images would turn rounding into anomalies when it is divided by
DEVIATION_FLOOR = 1e-6  # of the term's mean


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m calibration.fit", description=__doc__)
    parser.add_argument("run", type=Path, help="run folder of python -m train.students")
    parser.add_argument("--budget", type=float, default=0.01, help="share of good parts that may be rejected (0.01)")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the budget's bound (0.95)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where to compute (default: as in training)")
    arguments = parser.parse_args()
    from runtime.promise import explain

    statistics = fit(arguments.run, arguments.budget, arguments.confidence, arguments.device)
    print(f"threshold {statistics.threshold.value:.4f}. {explain(statistics.threshold)}")
    print_concerns(statistics)


def fit(run: Path, budget: float, confidence: float = 0.95, device: str | None = None) -> "Statistics":
    """Fit statistics and threshold of a run folder, write them into it, and return them.

    Prints which good images scored highest: the threshold leans on them, and one bad part among them ruins it. Raises
    `InputError` for a run folder that is not finished, or a budget out of range.
    """
    import numpy as np

    from calibration.concerns import find_concerns
    from calibration.model import load_run, progress
    from calibration.positions import fit_positions, images_by_position
    from calibration.statistics import Statistics
    from calibration.threshold import fit_threshold
    from runtime.atomic import write_atomically
    from runtime.promise import check_rates
    from train.data import PreparedImages

    check_rates(budget, confidence)  # a bad rate is refused before the work
    trained = load_run(run, device)
    size_hw = trained.config.size_hw
    moments = fit_moments(trained, progress(PreparedImages(trained.split.statistics, size_hw), "statistics"))
    positions = None
    if trained.config.by_position:
        positions = fit_positions(trained, moments, images_by_position(trained))
    images = trained.threshold_images
    held_out = progress(PreparedImages(images, size_hw), "threshold")
    scores = np.array([float(trained.maps_and_scores(frames, moments, positions)[1]) for frames in held_out])
    file = io.BytesIO()
    np.save(file, scores, allow_pickle=False)
    write_atomically(run / "calibration_scores.npy", file.getvalue())
    if copies := trained.split.copies_left_out(images):
        print(copies)
    print(describe_highest(images, scores))
    threshold = fit_threshold(scores, budget, confidence)
    statistics = Statistics(
        moments=tuple(moments),
        patch_sizes=tuple(scale.patch_size for scale in trained.scales),
        threshold=threshold,
        score_quantiles=quantiles(scores),
        health=_health(trained),
        positions=positions,
        concerns=find_concerns(trained, moments, positions, scores, threshold),
    )
    statistics.save(run / "statistics.json")
    return statistics


def print_concerns(statistics: "Statistics") -> None:
    """A warning for each; last of all, so that they are read."""
    for concern in statistics.concerns:
        print(f"warning: {concern}")


def fit_moments(trained: "TrainedRun", batches: "Iterable[NDArray[np.uint8]]") -> "list[Moments]":
    """Equation 11's means and deviations over all pixels inside the region of interest, summed in float64."""
    import torch

    from calibration.scoring import Moments, within

    sums = torch.zeros(len(trained.scales), 2, 2, dtype=torch.float64)  # scale, term, power
    count = 0
    for frames in batches:
        for scale, pair in enumerate(trained.terms(frames)):
            for term, values in enumerate(pair):
                if values is not None:
                    inside = within(values, trained.config.region_of_interest).double()
                    sums[scale, term, 0] += inside.sum().cpu()
                    sums[scale, term, 1] += inside.square().sum().cpu()
        count += inside.numel()
    moments = []
    for scale_sums in sums:
        (error, error_std), (variance, variance_std) = (_mean_and_deviation(s, count) for s in scale_sums.tolist())
        single = trained.config.students == 1
        moments.append(Moments(error, error_std, None if single else variance, None if single else variance_std))
    return moments


def describe_highest(images: Sequence[Path], scores: "NDArray[np.float64]") -> str:
    """The images with the highest scores, for people who can tell whether these are good parts."""
    highest = scores.argsort()[::-1][:HIGHEST_SHOWN]
    shown = ", ".join(f"{scores[index]:.2f} {images[index]}" for index in highest)
    return f"highest scores of good images: {shown}. Look at them: one that is no good part belongs out of the folder"


def quantiles(scores: "NDArray[np.float64]") -> dict[str, float]:
    """The good images' scores at a few probabilities, so that a line's scores can be compared with them later."""
    import numpy as np

    return {str(q): float(v) for q, v in zip(QUANTILES, np.quantile(scores, QUANTILES), strict=True)}


def _mean_and_deviation(sums: Sequence[float], count: int) -> tuple[float, float]:
    mean = sums[0] / count
    deviation = max(sums[1] / count - mean**2, 0.0) ** 0.5
    return mean, max(deviation, DEVIATION_FLOOR * abs(mean), 1e-12)


def _health(trained: "TrainedRun") -> "HealthLimits":
    from tqdm import tqdm

    from calibration.health import fit_health
    from runtime.images import read_image

    split = trained.split
    paths = [*split.training, *split.statistics, *split.threshold]
    bar = tqdm(paths, "health", unit="image", disable=None, leave=False)
    return fit_health((read_image(path) for path in bar), trained.config.size_hw)


if __name__ == "__main__":
    cli.run(main)
