"""What good images alone can say against a detector: sentences for whoever is about to run a line with it.

Without defective images nobody knows what a detector finds. But students that predict little better than the mean have
learnt nothing that an anomaly could contradict; students that do far better on the images they were trained on than on
those held out have learnt these by heart, or the images held out are other parts; and a threshold may be unproven.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.threshold import Threshold, images_needed
from train.method import TrainedRun

TRAINING_IMAGES = 40  # scored for the comparison, evenly spaced
FAR = 0.95  # share of the training images that score below the median of those held out


def find_concerns(
    trained: TrainedRun,
    scores_of: Callable[[Iterable[Path]], NDArray[np.float64]],
    scores: NDArray[np.float64],
    threshold: Threshold,
) -> tuple[str, ...]:
    """Sentences; none where nothing speaks against the detector.

    `scores` are those of the images held out, [n]; `scores_of` gives those of others.
    """
    found = list(trained.concerns)
    if not trained.leaves_out:
        paths = trained.split.training
        found.append(far_apart(scores_of(paths[:: -(-len(paths) // TRAINING_IMAGES)]), scores) or "")
    return tuple(filter(None, [*found, unproven(threshold)]))


def far_apart(training: NDArray[np.float64], held_out: NDArray[np.float64]) -> str | None:
    """A sentence where half of the held-out images score above 95 % of the training images. Both are scores, [n]."""
    middle, high = float(np.median(held_out)), float(np.quantile(training, FAR))
    if middle <= high:
        return None
    return (
        f"half of the images held out score above {middle:.4g}, and {100 * FAR:.0f} % of those trained on below "
        f"{high:.4g}: the students have learnt their images by heart, or those held out are other parts; train with "
        "more images or fewer --steps, and look at the images that scored highest"
    )


def unproven(threshold: Threshold) -> str | None:
    """A sentence where the images do not prove the budget of false rejects."""
    if threshold.supported:
        return None
    needed = images_needed(threshold.budget, threshold.confidence, threshold.left_out)
    return (
        f"the threshold is not proven: {threshold.sample_size:,} different images were "
        f"{'left out in turn' if threshold.left_out else 'held out'} for it, and a budget "
        f"of {100 * threshold.budget:.3g} % takes {needed:,}"
    )
