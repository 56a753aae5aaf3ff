"""The terms of an anomaly map, of a detector exported with ``--explain``: which kind of evidence saw it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.evaluation import Inspection, ask_engine_and_place
from runtime.detector import Detector
from runtime.explain import normalized_evidence
from runtime.images import read_image


@dataclass(frozen=True)
class Terms:
    """The normalized evidence of equation 11 for one image, by kind; weighted and summed it is the map."""

    inspection: Inspection
    kinds: tuple[str, ...]
    values: NDArray[np.float32]  # [K, H, W], over the picture, at the size of the prepared frame

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask at the size of the terms, [H, W]; true where any of it falls into a pixel, false if not known."""
        height, width = self.values.shape[1:]
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
        output, placed = ask_engine_and_place(detector, read_image(inspection.image.path))
        values = normalized_evidence(detector.recipe, output)
        if values is None:
            return []
        if placed is not None:
            values = np.stack([placed.in_picture(each) for each in values[0]])[None]
        found.append(Terms(inspection, tuple(kind.name for kind in detector.recipe.method.evidence), values[0]))
    return found
