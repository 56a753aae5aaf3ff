"""Regions: where on the part the anomaly map is above the threshold."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.interest import Inspected
from runtime.placement import Matrix, Placement, moved
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
    within: tuple[str, ...] = ()  # the named regions of interest that those that count lie in, the highest peak's first
    outside: bool = False  # whether something above lies where an aligned frame reaches beyond the picture


def find_regions(
    scored_map: NDArray[np.float32],
    threshold: float,
    frame_hw: tuple[int, int],
    scoring: Scoring,
    placed: Placement | None = None,
) -> Found:
    """The 8-connected regions of `scored_map` [H, W] above `threshold`.

    Positions and areas are in pixels of the original frame of size `frame_hw`. What lies outside the region of interest
    does not count, as it does not count in the score: of a region that it cuts, the part inside is the region. One that
    lies in several named regions of interest is one region still, and says all their names. What lies outside the
    picture, in a map of an aligned frame, which was `placed` so, does not count either.
    """
    inspected = scoring.inspected((scored_map.shape[0], scored_map.shape[1]))
    # in float64, as the score is compared: NumPy would round the threshold to the map's float32
    above = np.greater(scored_map, threshold, signature="dd->?")
    if inspected is not None:
        above &= inspected.mask
    outside = False
    if placed is not None:
        inside = placed.inside((scored_map.shape[0], scored_map.shape[1]))
        outside = bool((above & ~inside).any())
        above &= inside
    if not above.any():
        return Found(outside=outside)
    _, labels, stats, centers = cv2.connectedComponentsWithStats(above.astype(np.uint8), connectivity=8)
    scale_yx = frame_hw[0] / scored_map.shape[0], frame_hw[1] / scored_map.shape[1]
    to_frame = _to_frame((scored_map.shape[0], scored_map.shape[1]), frame_hw, placed)
    areas = stats[:, cv2.CC_STAT_AREA] * (scale_yx[0] * scale_yx[1])
    counts = areas >= scoring.smallest_pixels * (1 - ROUNDING)
    counts[0] = False  # what is not above
    ignored = ~counts
    ignored[0] = False
    wanted = np.flatnonzero(counts)
    if len(wanted) > MOST_REGIONS and (inspected is None or inspected.masks is None):  # names are of all regions
        peaks = np.full(len(counts), -np.inf)
        np.maximum.at(peaks, labels[above].astype(np.intp), scored_map[above])
        wanted = wanted[np.argsort(-peaks[wanted], kind="stable")[:MOST_REGIONS]]
    regions = [
        _region(
            scored_map,
            labels,
            stats[label].tolist(),
            label,
            centers[label],
            to_frame,
            frame_hw,
            areas[label],
            scoring,
            inspected,
        )
        for label in wanted.tolist()
    ]
    regions.sort(key=lambda region: -region.peak_score)
    return Found(
        regions=tuple(regions[:MOST_REGIONS]),
        ignored=int(ignored.sum()),
        largest_ignored=float(areas[ignored].max(initial=0)),
        ignored_mask=np.asarray(ignored[labels]) if ignored.any() else None,
        within=tuple(dict.fromkeys(name for region in regions for name in region.within)),
        outside=outside,
    )


def _to_frame(map_hw: tuple[int, int], frame_hw: tuple[int, int], placed: Placement | None) -> Matrix:
    """From pixels of the map to pixels of the original frame; the centres of both lie at whole numbers."""
    if placed is not None:
        return placed.to_picture(map_hw, frame_hw)
    scale_y, scale_x = frame_hw[0] / map_hw[0], frame_hw[1] / map_hw[1]
    return np.array([[scale_x, 0, 0.5 * scale_x - 0.5], [0, scale_y, 0.5 * scale_y - 0.5]])


def _region(
    scored_map: NDArray[np.float32],
    labels: NDArray[np.generic],
    stats: Iterable[float],
    label: int,
    center_xy: NDArray[np.float64],
    to_frame: Matrix,
    frame_hw: tuple[int, int],
    area: float,
    scoring: Scoring,
    inspected: Inspected | None,
) -> Region:
    left, top, width, height, _ = (int(value) for value in stats)
    inside = labels[top : top + height, left : left + width] == label
    values = np.where(inside, scored_map[top : top + height, left : left + width], -np.inf)
    peak_y, peak_x = (int(place) for place in np.unravel_index(int(values.argmax()), values.shape))
    center, peak = moved(to_frame, np.array([center_xy, (left + peak_x, top + peak_y)], np.float64)).tolist()
    return Region(
        area=float(area),
        center_xy=(center[0], center[1]),
        box_xywh=_box(inside, (left, top), to_frame, frame_hw),
        peak_xy=(peak[0], peak[1]),
        peak_score=float(values[peak_y, peak_x]),
        area_mm2=scoring.area_mm2(float(area)),
        within=() if inspected is None else inspected.names_at((top, left), inside, (peak_y, peak_x)),
    )


def _box(
    inside: NDArray[np.bool_], origin_xy: tuple[int, int], to_frame: Matrix, frame_hw: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The whole pixels of the original frame that hold a region: left, top, width, height.

    `inside` are its pixels in its own box on the map, whose upper left one is `origin_xy`.
    """
    y, x = np.nonzero(inside & ~_surrounded(inside))
    pixels = np.column_stack([x, y]) + np.array(origin_xy)
    corners = (pixels[:, None] + np.array([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)])).reshape(-1, 2)
    edges = moved(to_frame, corners) + 0.5  # from here on, edges of pixels lie at whole numbers
    low, high = np.floor(edges.min(axis=0) + ROUNDING), np.ceil(edges.max(axis=0) - ROUNDING)
    limits = np.array([frame_hw[1], frame_hw[0]])
    (x0, y0), (x1, y1) = np.clip(low, 0, limits).astype(int).tolist(), np.clip(high, 0, limits).astype(int).tolist()
    return x0, y0, x1 - x0, y1 - y0


def _surrounded(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose neighbours left and right are in the region too: no corner of the box is theirs."""
    surrounded = np.zeros_like(inside)
    surrounded[:, 1:-1] = inside[:, :-2] & inside[:, 2:]
    return surrounded
