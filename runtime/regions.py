"""Regions: where on the part the anomaly map is above the threshold."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.scoring import Scoring
from runtime.verdict import Region

MOST_REGIONS = 32  # the highest peaks; a frame that is anomalous all over would fill a controller's message
ROUNDING = 1e-9  # relative: a region of exactly the smallest area counts, however its area is rounded


@dataclass(frozen=True)
class Found:
    """The regions above a threshold: those that count, and how many are too small to."""

    regions: tuple[Region, ...] = ()  # that count, highest peak first, 32 at most
    ignored: int = 0  # that are smaller than `smallest_area`
    largest_ignored: float = 0.0  # area in pixels of the original frame
    ignored_mask: NDArray[np.bool_] | None = None  # [H, W], where those lie; none where there are none


def find_regions(
    scored_map: NDArray[np.float32], threshold: float, frame_hw: tuple[int, int], scoring: Scoring
) -> Found:
    """The 8-connected regions of `scored_map` [H, W] above `threshold`.

    Positions and areas are in pixels of the original frame of size `frame_hw`. What lies outside the region of interest
    does not count, as it does not count in the score: of a region that it cuts, the part inside is the region.
    """
    top, left, height, width = scoring.region_of_interest or (0, 0, *scored_map.shape)
    above = np.zeros(scored_map.shape, np.uint8)
    inspected = slice(top, top + height), slice(left, left + width)
    # in float64, as the score is compared: NumPy would round the threshold to the map's float32
    above[inspected] = np.greater(scored_map[inspected], threshold, signature="dd->?")
    if not above.any():
        return Found()
    _, labels, stats, centers = cv2.connectedComponentsWithStats(above, connectivity=8)
    scale_yx = frame_hw[0] / scored_map.shape[0], frame_hw[1] / scored_map.shape[1]
    areas = stats[:, cv2.CC_STAT_AREA] * (scale_yx[0] * scale_yx[1])
    counts = areas >= scoring.smallest_pixels * (1 - ROUNDING)
    counts[0] = False  # what is not above
    ignored = ~counts
    ignored[0] = False
    regions = [
        _region(scored_map, labels, stats[label].tolist(), label, centers[label], scale_yx, scoring)
        for label in np.flatnonzero(counts).tolist()
    ]
    return Found(
        regions=tuple(sorted(regions, key=lambda region: -region.peak_score)[:MOST_REGIONS]),
        ignored=int(ignored.sum()),
        largest_ignored=float(areas[ignored].max(initial=0)),
        ignored_mask=np.asarray(ignored[labels]) if ignored.any() else None,
    )


def _region(
    scored_map: NDArray[np.float32],
    labels: NDArray[np.generic],
    stats: Iterable[float],
    label: int,
    center_xy: NDArray[np.float64],
    scale_yx: tuple[float, float],
    scoring: Scoring,
) -> Region:
    scale_y, scale_x = scale_yx
    left, top, width, height, pixels = (int(value) for value in stats)
    inside = labels[top : top + height, left : left + width] == label
    values = np.where(inside, scored_map[top : top + height, left : left + width], -np.inf)
    peak_y, peak_x = np.unravel_index(int(values.argmax()), values.shape)
    x0, y0 = int(left * scale_x), int(top * scale_y)
    x1, y1 = int(np.ceil((left + width) * scale_x)), int(np.ceil((top + height) * scale_y))
    area = pixels * scale_x * scale_y
    return Region(
        area=area,
        center_xy=(_rescaled(center_xy[0], scale_x), _rescaled(center_xy[1], scale_y)),
        box_xywh=(x0, y0, x1 - x0, y1 - y0),
        peak_xy=(_rescaled(left + int(peak_x), scale_x), _rescaled(top + int(peak_y), scale_y)),
        peak_score=float(values[peak_y, peak_x]),
        area_mm2=scoring.area_mm2(area),
    )


def _rescaled(position: float, scale: float) -> float:
    """A pixel's centre in the resized frame, in pixels of the original (pixel centres lie at whole numbers)."""
    return float((position + 0.5) * scale - 0.5)
