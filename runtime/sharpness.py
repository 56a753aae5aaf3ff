"""How sharp a prepared frame is: what stands in it at the finest scale, in relation to what stands at a coarser one.

Blur takes away what is fine and leaves what is coarse, so that their ratio falls; light and contrast do not change it.
The sensor's noise is fine, too, and hides a blur from measures such as the variance of the Laplacian. But noise differs
from row to row, where an edge goes on. So the differences of one row are multiplied by those of the next: whatever is
independent between them cancels in the mean. It is measured once from left to right and once from top to bottom, since
motion blurs in one direction alone. ``python -m benchmarks.health`` compares measures.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

DIRECTIONS = ("from left to right", "from top to bottom")
COARSE = 4  # pixels of the prepared frame in one of the coarser scale, each way
FLOOR = 0.05  # grey levels squared: rounding alone. What is coarse counts as so much at least

FEWEST = 8  # good images, below which nothing is known of how much they differ
LEAST_MARGIN = 0.1  # of the logarithm below the least sharp image, where images hardly differ: 10 %
FEW = 50  # images whose least sharp one leaves as much to be seen as the margin of many: the margin is then doubled
LEAST_LIMIT = 0.001  # less is rounding

SECOND = np.array([[1, -2, 1]], np.float32)


class SharpnessMeter:
    """Measures prepared frames of `size_hw`, 16 pixels or more each way, in buffers of its own.

    For one thread at a time.
    """

    def __init__(self, size_hw: tuple[int, int], seen: NDArray[np.bool_] | None = None) -> None:
        """`seen` [H, W] is what counts of a frame, None: all. Nothing is put in the place of the rest, whose edge would
        be sharp in any frame: a mean is taken of what lies wholly in what is seen."""
        height, width = self.size_hw = size_hw
        self._grey = np.empty((height, width), np.uint8)
        self._across = _Direction((height, width), seen)
        self._down = _Direction((width, height), None if seen is None else seen.T)

    def measure(self, prepared: NDArray[np.uint8]) -> tuple[float, float]:
        """Sharpness of uint8 [H, W, 3], BGR, from left to right and from top to bottom.

        For each direction: with d the second differences of the grey levels along it and e the first differences of the
        means of 4×4 pixels (what is left over at the right and at the bottom is left out), the mean of d · d' over that
        of e · e', where ' is the neighbour across the direction; the lower mean is at least `FLOOR`. 0 where nothing
        that is seen is large enough.
        """
        grey = cv2.cvtColor(prepared, cv2.COLOR_BGR2GRAY, self._grey)
        np.copyto(self._across.grey, grey)
        cv2.transpose(self._across.grey, self._down.grey)
        return self._across.measure(), self._down.measure()


class _Direction:
    """The buffers of one direction, in which the picture lies such that the direction goes along its rows."""

    def __init__(self, size_hw: tuple[int, int], seen: NDArray[np.bool_] | None) -> None:
        height, width = size_hw
        rows, columns = height // COARSE, width // COARSE
        self._fine_mask = self._coarse_mask = None
        if seen is not None:
            whole = seen[: rows * COARSE, : columns * COARSE].reshape(rows, COARSE, columns, COARSE)
            cells: NDArray[np.bool_] = np.asarray(whole.all(axis=(1, 3)))
            self._fine_mask = _across_rows(seen[:, :-2] & seen[:, 1:-1] & seen[:, 2:])
            self._coarse_mask = _across_rows(cells[:, 1:] & cells[:, :-1])
        self.grey = np.empty((height, width), np.float32)
        self._whole = self.grey[: rows * COARSE, : columns * COARSE]
        self._fine, self._fine_products = np.empty_like(self.grey), np.empty((height - 1, width - 2), np.float32)
        self._coarse = np.empty((rows, columns), np.float32)
        self._steps = np.empty((rows, columns - 1), np.float32)
        self._coarse_products = np.empty((rows - 1, columns - 1), np.float32)

    def measure(self) -> float:
        """The ratio, of what lies in `grey`."""
        cv2.filter2D(self.grey, cv2.CV_32F, SECOND, self._fine)
        fine = self._fine[:, 1:-1]  # where the kernel lies inside
        rows, columns = self._coarse.shape
        cv2.resize(self._whole, (columns, rows), self._coarse, interpolation=cv2.INTER_AREA)
        cv2.subtract(self._coarse[:, 1:], self._coarse[:, :-1], self._steps)
        if self._coarse_mask is not None and not self._coarse_mask.any():
            return 0.0
        coherent = _mean_product(fine, self._fine_products, self._fine_mask)
        return coherent / max(_mean_product(self._steps, self._coarse_products, self._coarse_mask), FLOOR)


def _across_rows(seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Where a value and that in the row below are both of what is seen."""
    return np.ascontiguousarray(seen[:-1] & seen[1:]).view(np.uint8)


def _mean_product(values: NDArray[np.float32], products: NDArray[np.float32], mask: NDArray[np.uint8] | None) -> float:
    """Mean over all positions, or those of a mask, of a value times that below it. `products` is written over."""
    cv2.multiply(values[:-1], values[1:], products)
    return float(cv2.mean(products, mask)[0])


def sharpness_limits(found: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Limits, one for each direction, from the sharpness of good images, [n]; 0 where they set none.

    Of the logarithms: the least less the lower half's deviation, that times 1 + `FEW` / n, since the least of a few
    images is not yet the least that a good image has.
    """
    across, down = (_limit(np.array(values, np.float64)) for values in zip(*found, strict=True))
    return across, down


def _limit(found: NDArray[np.float64]) -> float:
    if len(found) < FEWEST or found.min() < LEAST_LIMIT:
        return 0.0
    logarithms = np.log(found)
    deviation = float(np.median(logarithms) - np.quantile(logarithms, 0.16))
    limit = float(np.exp(logarithms.min() - max(deviation, LEAST_MARGIN) * (1 + FEW / len(found))))
    return limit if limit >= LEAST_LIMIT else 0.0
