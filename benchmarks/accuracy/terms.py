"""The terms of an anomaly map, of a detector exported with ``--explain``: which scale saw it, and by which cause."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.evaluation import Inspection, ask_engine
from runtime.detector import Detector
from runtime.images import read_image


@dataclass(frozen=True)
class Terms:
    """The normalized terms of equation 11 for one image, by scale; their sum, averaged over scales, is the map."""

    inspection: Inspection
    patch_sizes: tuple[int, ...]
    error: NDArray[np.float32]  # [L, H, W], at the size of the prepared frame
    variance: NDArray[np.float32] | None  # [L, H, W]; None for a single student

    @property
    def by_scale(self) -> NDArray[np.float32]:
        """Each scale's own map, [L, H, W]."""
        return self.error if self.variance is None else self.error + self.variance

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask at the size of the terms, [H, W]; true where any of it falls into a pixel, false if not known."""
        height, width = self.error.shape[1:]
        if self.inspection.mask is None:
            return np.zeros((height, width), np.bool_)
        shares = cv2.resize(
            self.inspection.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )  # INTER_AREA averages; where the frame is larger than the image it interpolates
        return np.asarray(shares) > 0


def terms_of(detector: Detector, inspections: Sequence[Inspection]) -> list[Terms]:
    """Ask the engine again for the terms of `inspections`; none at all from a detector that does not give them."""
    found = []
    for inspection in inspections if detector.recipe.explain else ():
        output = ask_engine(detector, read_image(inspection.image.path))
        if output.regression_error is None:
            return []
        variance = None if output.predictive_variance is None else output.predictive_variance[0]
        sizes = tuple(scale.patch_size for scale in detector.recipe.scales)
        found.append(Terms(inspection, sizes, output.regression_error[0], variance))
    return found
