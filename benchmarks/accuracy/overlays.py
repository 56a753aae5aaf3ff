"""Pictures of what a detector made of a test set, with the ground truth drawn in."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.evaluation import Inspection
from runtime.atomic import write_atomically
from runtime.frames import Frame
from runtime.images import read_image
from runtime.overlay import draw_overlay

TRUTH_COLOUR = (167, 121, 204)  # BGR; Okabe and Ito's reddish purple, which the runtime's overlays leave free
LINE_SHARE = 1 / 300  # the outline's width over the picture's longer side


def write_overlays(folder: Path, inspections: Sequence[Inspection], count: int) -> None:
    """Write the overlays of `count` inspections, chosen by `spread`, as PNG files into `folder`."""
    for number, each in enumerate(spread(inspections, count)):
        name = f"{number:03}-{each.image.defect}-{each.image.path.stem}-{each.verdict.decision.value}.png"
        _, encoded = cv2.imencode(".png", overlay(each))
        write_atomically(folder / name, encoded.tobytes())


def overlay(inspection: Inspection) -> NDArray[np.uint8]:
    """The runtime's overlay of one inspection, the outline of its mask on the picture: uint8 [h, w, 3], BGR."""
    pixels = outlined(read_image(inspection.image.path), inspection.mask)
    name = f"{inspection.image.defect}/{inspection.image.path.name}"
    return draw_overlay(Frame(pixels, inspection.verdict.frame_id, name=name), inspection.verdict)


def spread(inspections: Sequence[Inspection], count: int) -> list[Inspection]:
    """`count` of them, or all if there are fewer: as many of each kind as of any other, good ones last, and within a
    kind evenly over the scores, lowest first; a kind's only one has its median score."""
    kinds = sorted({each.image.defect for each in inspections if each.image.label})
    kinds += sorted({each.image.defect for each in inspections if not each.image.label})
    ranked = [sorted((each for each in inspections if each.image.defect == kind), key=_score) for kind in kinds]
    shares = _fair_shares([len(group) for group in ranked], count)
    return [
        group[(2 * step + 1) * len(group) // (2 * share)]
        for group, share in zip(ranked, shares, strict=True)
        for step in range(share)
    ]


def _score(inspection: Inspection) -> float:
    return inspection.score


def _fair_shares(sizes: list[int], count: int) -> list[int]:
    """How many to take from groups of `sizes`, one from each in turn until `count` are taken."""
    shares = [0] * len(sizes)
    while sum(shares) < min(count, sum(sizes)):
        for index, size in enumerate(sizes):
            if shares[index] < size and sum(shares) < count:
                shares[index] += 1
    return shares


def outlined(pixels: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """`pixels` with a line around the mask, not on it: small defects would vanish under their own outline.

    Without a mask they are returned as they are.
    """
    if mask is None:
        return pixels
    width = max(1, round(max(mask.shape) * LINE_SHARE))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    inside = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    line = (cv2.dilate(inside, kernel) > 0) & (inside == 0)
    drawn = pixels.copy()
    drawn[line] = TRUTH_COLOUR
    return drawn
