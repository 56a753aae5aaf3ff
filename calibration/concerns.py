"""What good images alone can say against a detector: sentences for whoever is about to run a line with it.

Without defective images nobody knows what a detector finds. But students that predict little better than the mean have
learnt nothing that an anomaly could contradict; students that do far better on the images they were trained on than on
those held out have learnt these by heart, or the images held out are other parts; and a threshold may be unproven.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.scoring import Moments, Positions
from runtime.promise import images_needed
from runtime.recipe import Threshold
from train.data import PreparedImages
from train.ensemble import student_path
from train.files import load_network
from train.students import CLOSE_TO_MEAN, MEANS_LOSS

if TYPE_CHECKING:
    from calibration.model import TrainedRun

TRAINING_IMAGES = 40  # scored for the comparison, evenly spaced
FAR = 0.95  # share of the training images that score below the median of those held out


def find_concerns(
    trained: "TrainedRun",
    moments: Sequence[Moments],
    positions: Positions | None,
    scores: NDArray[np.float64],
    threshold: Threshold,
) -> tuple[str, ...]:
    """Sentences; none where nothing speaks against the detector. `scores` are those of the images held out, [n]."""
    found = [*_of_losses(trained), far_apart(_training_scores(trained, moments, positions), scores)]
    return tuple(each for each in [*found, unproven(threshold)] if each is not None)


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
    return (
        f"the threshold is not proven: {threshold.sample_size:,} different images were held out for it, and a budget "
        f"of {100 * threshold.budget:.3g} % takes {images_needed(threshold.budget, threshold.confidence):,}"
    )


def _of_losses(trained: "TrainedRun") -> list[str]:
    found = []
    for scale in trained.scales:
        cards = [
            load_network(student_path(trained.folder.path, scale.patch_size, index))[1]
            for index in range(trained.config.students)
        ]
        losses = [float(card["loss"]) for card in cards if card.get("loss") is not None]
        if losses and max(losses) >= CLOSE_TO_MEAN * MEANS_LOSS:
            found.append(
                f"the students of p = {scale.patch_size} predict hardly better than the mean (loss {max(losses):.3g}, "
                f"the mean's is {MEANS_LOSS}): a defect can hardly surprise them; give them more --steps"
            )
    return found


def _training_scores(
    trained: "TrainedRun", moments: Sequence[Moments], positions: Positions | None
) -> NDArray[np.float64]:
    paths = trained.split.training
    chosen = PreparedImages(paths[:: -(-len(paths) // TRAINING_IMAGES)], trained.config.size_hw)
    frames = (chosen[index][None] for index in range(len(chosen)))
    return np.array([float(trained.maps_and_scores(each, moments, positions)[1]) for each in frames])
