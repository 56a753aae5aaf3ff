"""Regions: where on the part the anomaly map is above the threshold."""

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.verdict import Region

MOST_REGIONS = 32  # the highest peaks; a frame that is anomalous all over would fill a controller's message


def find_regions(
    anomaly_map: NDArray[np.float32],
    threshold: float,
    frame_hw: tuple[int, int],
    region_of_interest: tuple[int, int, int, int] | None = None,
) -> tuple[Region, ...]:
    """8-connected regions of `anomaly_map` [H, W] above `threshold`, highest peak first, 32 at most.

    Positions and areas are in pixels of the original frame of size `frame_hw`. What lies outside `region_of_interest`
    (top, left, height, width; pixels of the map) does not count, as it does not count in the score.
    """
    top, left, height, width = region_of_interest or (0, 0, *anomaly_map.shape)
    above = np.zeros(anomaly_map.shape, np.uint8)
    inspected = slice(top, top + height), slice(left, left + width)
    # in float64, as the score is compared: NumPy would round the threshold to the map's float32
    above[inspected] = np.greater(anomaly_map[inspected], threshold, signature="dd->?")
    if not above.any():
        return ()
    count, labels, stats, centers = cv2.connectedComponentsWithStats(above, connectivity=8)
    scale_y, scale_x = (frame / size for frame, size in zip(frame_hw, anomaly_map.shape, strict=True))
    regions = []
    for label in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[label])
        inside = labels[top : top + height, left : left + width] == label
        values = np.where(inside, anomaly_map[top : top + height, left : left + width], -np.inf)
        peak_y, peak_x = np.unravel_index(int(values.argmax()), values.shape)
        x0, y0 = int(left * scale_x), int(top * scale_y)
        x1, y1 = int(np.ceil((left + width) * scale_x)), int(np.ceil((top + height) * scale_y))
        regions.append(
            Region(
                area=area * scale_x * scale_y,
                center_xy=(_rescaled(centers[label][0], scale_x), _rescaled(centers[label][1], scale_y)),
                box_xywh=(x0, y0, x1 - x0, y1 - y0),
                peak_xy=(_rescaled(left + int(peak_x), scale_x), _rescaled(top + int(peak_y), scale_y)),
                peak_score=float(values[peak_y, peak_x]),
            )
        )
    return tuple(sorted(regions, key=lambda region: -region.peak_score)[:MOST_REGIONS])


def _rescaled(position: float, scale: float) -> float:
    """A pixel's centre in the resized frame, in pixels of the original (pixel centres lie at whole numbers)."""
    return float((position + 0.5) * scale - 0.5)
