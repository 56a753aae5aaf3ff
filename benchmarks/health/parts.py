"""Frames without a part, or with one of another product: how many are refused, and for what."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.health.decisions import refusals
from benchmarks.health.spoiled import Image, noisy
from runtime.demo import DemoLine
from runtime.detector import Detector

FLAT = (40, 90, 140, 190, 230)  # grey levels
CORNER = 0.05  # of either side
EMPTY_BELTS = 40
BELT_SEED = 77  # no part of the demo set lies there

Refused = dict[str, object]


def refused_frames(detector: Detector, name: str, sets: Mapping[str, Sequence[Image]]) -> dict[str, Refused]:
    """Of each kind of frame that shows no part of the set `name`, how many there are and how many are refused, by
    reason. `sets` are good test images by set."""
    own = sets[name]
    frames: dict[str, Sequence[Image]] = {
        "flat grey": [np.full_like(own[0], level) for level in FLAT],
        "flat grey with noise": [noisy(np.full_like(own[0], level), 4.0, level) for level in FLAT],
        "the corner's colour alone": [noisy(_like_the_corner(image), 2.0, index) for index, image in enumerate(own)],
    }
    if name == "demo-line":
        line = DemoLine(BELT_SEED)
        frames["empty belt"] = [line.empty(index) for index in range(EMPTY_BELTS)]
    frames |= {f"good images of {other}": images for other, images in sets.items() if other != name}
    return {kind: {"frames": len(shown), **refusals(detector, shown)} for kind, shown in frames.items()}


def _like_the_corner(image: Image) -> Image:
    """A picture of one colour: the median of its upper left corner's."""
    rows, columns = (max(1, int(CORNER * side)) for side in image.shape[:2])
    colour = np.median(image[:rows, :columns].reshape(-1, 3), axis=0)
    return np.broadcast_to(colour.astype(np.uint8), image.shape).copy()
