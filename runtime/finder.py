"""The finder: where in a frame the part lies that a reference shows, shifted and turned, and how surely.

Two steps, each of bounded work. A coarse one compares the frame with the reference turned to every few degrees, at all
shifts at once, by normalized cross-correlation (Lewis, Vision Interface 1995) through the Fourier transform. The best
few angles are then refined by ECC (Evangelidis and Psarakis, PAMI 2008; `cv2.findTransformECC`), and the most like one
is taken.

Both compare local contrast, not grey levels: the difference to the surroundings, divided by how much the surroundings
vary. Light that gets brighter or dimmer, evenly or from one side, changes little of it. Quality is the correlation of
the local contrast of frame and reference over what both show: 1 for the same picture, near 0 for two that have nothing
in common. Grey levels, differences of Gaussians, gradients and logarithms were tried, too, on turned images of bottles
and transistors, even test images: local contrast has small errors both of a part with corners and of a nearly round
one, and other things reach 0.3 at most, where with grey levels they reach 0.5, and with their logarithm 0.6.

Which of the refined angles is right, contrast alone does not always tell: on a board with a regular pattern it may be
as high half a turn off. There the correlation of the grey levels is added, which tells a dark body from bright leads.
``python -m benchmarks.alignment`` measures what errors are left. The same frame gives the same result: nothing in it is
random.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.alignment import ANY_ANGLE
from runtime.errors import InputError
from runtime.placement import Matrix, Placement, composed, turned

Map = NDArray[np.float32]

SIDE = 128  # pixels: the reference has those of a square of this side, and the shape of the pictures
SEARCHED = 0.5  # of that size in the coarse step
STEP = 6.0  # degrees between two angles of it: at the rim of the frame 3 of its pixels
REACH_ANGLE = 36.0  # degrees each way of the mode near: beyond the largest limit, so that a message can say how far
REACH_SHIFT = 0.25  # of the shorter side: the same
BORDER_SHARE = 0.1  # of the frame's sides, left out of the coarse comparison: a turned frame has no content there
REFINED = 4  # angles
ITERATIONS = 30  # of ECC, at most
CHANGE, LAST_CHANGE = 1e-3, 1e-6  # of ECC's correlation, at which it ends: of each angle, and of the best one
ECC_BLUR = 5  # pixels, of its own smoothing of both pictures
SURROUNDINGS = 6.0  # σ in pixels of the reference: what local contrast is relative to
NOISE = 6.0  # grey levels, added to the variation that divides: else a flat picture's noise would be contrast
CLEARLY = 0.2  # of quality and the correlation of grey levels together, 0 to 2
LEAST_SHARED = 0.5  # of the reference, that has to lie in the frame: of less, quality says nothing


@dataclass(frozen=True, eq=False)
class _Window:
    """The weights [h, w] of a comparison, 0 or 1."""

    weights: Map

    @property
    def count(self) -> float:
        return float(self.weights.sum())

    def unit(self, values: Map) -> Map:
        """Values less their mean, of unit length; 0 outside the window."""
        centred = (values - (values * self.weights).sum() / self.count) * self.weights
        return np.asarray(centred / max(float(np.sqrt((centred**2).sum())), 1e-6), np.float32)


class Finder:
    """Finds what `reference`, uint8 [h, w], shows. For any number of threads.

    A place that is turned by more than `largest_angle` degrees is taken only where it is clearly more like the
    reference than any other: a nearly round part is hardly less like it at any angle. Raises `InputError` for a
    reference without any contrast, in which nothing could be found.
    """

    def __init__(self, reference: NDArray[np.uint8], mode: str, largest_angle: float = 180.0) -> None:
        height, width = reference.shape
        self._largest_angle = largest_angle
        self.grid_hw = (height, width)
        round_window = mode == ANY_ANGLE
        self._reference = local_contrast(reference, SURROUNDINGS)
        self._levels: Map = reference.astype(np.float32)
        self._window = _window(self.grid_hw, round_window, 0.0)
        if float(np.abs(self._window.unit(self._reference)).max()) == 0 or float(self._reference.std()) < 1e-3:
            raise InputError("the reference shows nothing that could be found: it is of one grey level")
        self._searched_hw = max(1, round(height * SEARCHED)), max(1, round(width * SEARCHED))
        self._margin = round(REACH_SHIFT * min(self._searched_hw))
        rows, columns = (side + 2 * self._margin for side in self._searched_hw)
        self._transform_hw = cv2.getOptimalDFTSize(rows), cv2.getOptimalDFTSize(columns)
        self._coarse_window = _window(self._searched_hw, round_window, BORDER_SHARE)
        steps = int((180 if round_window else REACH_ANGLE) // STEP)
        self._angles = [STEP * step for step in range(-steps, steps + (0 if round_window else 1))]
        self._turned = [self._spectrum(self._coarse_window.unit(each)) for each in self._turned_references(reference)]
        self._window_spectrum = self._spectrum(self._coarse_window.weights)

    def find(self, picture: NDArray[np.uint8]) -> Placement:
        """The best place in a picture uint8 [H, W, 3], BGR, of any size; its quality says whether it is one."""
        grey = reduced(picture, self.grid_hw)
        contrast = local_contrast(grey, SURROUNDINGS)
        found = [self._refined(contrast, start, CHANGE) for start in self._starts(grey)]
        levels = grey.astype(np.float32)

        def worth(placed: Placement) -> float:
            likeness = placed.quality + self._likeness(self._levels, levels, placed.matrix)
            return likeness - (0 if abs(placed.angle) <= self._largest_angle else CLEARLY)

        best = max(found, key=worth)
        return max(best, self._refined(contrast, best.matrix, LAST_CHANGE), key=worth)

    def _turned_references(self, reference: NDArray[np.uint8]) -> list[Map]:
        height, width = self._searched_hw
        small = cv2.resize(reference, (width, height), interpolation=cv2.INTER_AREA)
        contrast = local_contrast(np.asarray(small, np.uint8), SURROUNDINGS * SEARCHED)
        matrices = [turned(angle, (0, 0), self._searched_hw) for angle in self._angles]
        return [
            np.asarray(cv2.warpAffine(contrast, each, (width, height), borderMode=cv2.BORDER_REPLICATE), np.float32)
            for each in matrices
        ]

    def _spectrum(self, values: Map) -> NDArray[np.complex64]:
        return np.asarray(np.conj(np.fft.rfft2(values, self._transform_hw)), np.complex64)

    def _starts(self, grey: NDArray[np.uint8]) -> list[Matrix]:
        """The best places of the coarse step, in pixels of the reference, of angles that are no neighbours."""
        peaks = sorted(self._peaks(grey), key=lambda peak: -peak[0])
        chosen: list[tuple[float, float, tuple[float, float]]] = []
        for peak in peaks:
            if all(abs((peak[1] - other[1] + 180) % 360 - 180) > STEP for other in chosen):
                chosen.append(peak)
        return [turned(angle, shift_xy, self.grid_hw) for _, angle, shift_xy in chosen[:REFINED]]

    def _peaks(self, grey: NDArray[np.uint8]) -> list[tuple[float, float, tuple[float, float]]]:
        """Of each angle the highest correlation, the angle, and the shift x, y in pixels of the reference."""
        height, width = self._searched_hw
        small = np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        values = np.pad(local_contrast(small, SURROUNDINGS * SEARCHED), self._margin)
        spectrum = np.fft.rfft2(values, self._transform_hw)
        sums = self._correlated(spectrum * self._window_spectrum)
        squares = self._correlated(np.fft.rfft2(values**2, self._transform_hw) * self._window_spectrum)
        lengths = np.sqrt(np.maximum(squares - sums**2 / self._coarse_window.count, 1e-6))
        peaks = []
        for angle, template in zip(self._angles, self._turned, strict=True):
            correlation = self._correlated(spectrum * template) / lengths
            y, x = np.unravel_index(int(correlation.argmax()), correlation.shape)
            shift_xy = (float(x - self._margin) / SEARCHED, float(y - self._margin) / SEARCHED)
            peaks.append((float(correlation[y, x]), angle, shift_xy))
        return peaks

    def _correlated(self, product: NDArray[np.complexfloating]) -> NDArray[np.floating]:
        """Correlations by shift, [2 · margin + 1, 2 · margin + 1]."""
        side = 2 * self._margin + 1
        return np.fft.irfft2(product, self._transform_hw)[:side, :side]

    def _refined(self, contrast: Map, start: Matrix, least_change: float) -> Placement:
        """A place, refined where that makes it better.

        ECC is given the frame as it lies by `start`, so that it begins at no angle: its own is limited to ±90 degrees.
        """
        there, shown = self._seen(contrast, start)
        placed = Placement(start, self.grid_hw, self._correlation(self._reference, there, shown))
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, ITERATIONS, least_change)
        try:
            _, change = cv2.findTransformECC(
                self._reference, there, np.eye(2, 3, dtype=np.float32), cv2.MOTION_EUCLIDEAN, criteria,
                shown.astype(np.uint8), ECC_BLUR,
            )  # fmt: skip
        except cv2.error:  # it does not converge, as where there is nothing to be found
            return placed
        matrix = composed(start, np.asarray(change, np.float64))
        better = Placement(matrix, self.grid_hw, self._likeness(self._reference, contrast, matrix))
        return max(placed, better, key=lambda each: each.quality)

    def _likeness(self, reference: Map, values: Map, matrix: Matrix) -> float:
        """The correlation of a reference with a frame's values as they lie by `matrix`, 0 to 1."""
        return self._correlation(reference, *self._seen(values, matrix))

    def _seen(self, values: Map, matrix: Matrix) -> tuple[Map, NDArray[np.bool_]]:
        """A frame's values as they lie by `matrix`, and where that lies in the frame and is compared; [h, w] both."""
        height, width = self.grid_hw
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        there = cv2.warpAffine(values, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        shown = Placement(matrix, self.grid_hw, 0.0).inside(self.grid_hw) & (self._window.weights > 0)
        return np.asarray(there, np.float32), shown

    def _correlation(self, reference: Map, there: Map, shown: NDArray[np.bool_]) -> float:
        if np.count_nonzero(shown) < LEAST_SHARED * self._window.count:
            return 0.0
        ours, theirs = reference[shown].astype(np.float64), there[shown].astype(np.float64)
        ours, theirs = ours - ours.mean(), theirs - theirs.mean()
        length = float(np.sqrt((ours**2).sum() * (theirs**2).sum()))
        return min(1.0, max(0.0, float((ours * theirs).sum()) / length)) if length > 0 else 0.0


def reference_of(picture: NDArray[np.uint8], frame_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture uint8 [H, W, 3], BGR, as a reference uint8 [h, w], in the shape `frame_hw` of the camera's picture."""
    ratio = frame_hw[1] / frame_hw[0]
    return reduced(picture, (max(1, round(SIDE / ratio**0.5)), max(1, round(SIDE * ratio**0.5))))


def reduced(picture: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture uint8 [H, W, 3], BGR, in grey at another size, uint8 [h, w]."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    shrinks = grey.shape[0] >= size_hw[0] and grey.shape[1] >= size_hw[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (size_hw[1], size_hw[0]), interpolation=interpolation), np.uint8)


def local_contrast(grey: NDArray[np.uint8], surroundings: float) -> Map:
    """Grey levels [h, w] less the mean of their surroundings, over the deviation there and `NOISE`."""
    scale = surroundings / SURROUNDINGS
    fine = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), max(scale, 0.5))
    difference = fine - cv2.GaussianBlur(fine, (0, 0), surroundings)
    variation = np.sqrt(cv2.GaussianBlur(difference**2, (0, 0), surroundings))
    return np.asarray(difference / (variation + NOISE), np.float32)


def _window(size_hw: tuple[int, int], is_round: bool, border: float) -> _Window:
    """What is compared: the frame without a border or, where parts lie at any angle, the disc in its middle."""
    height, width = size_hw
    weights: Map = np.zeros(size_hw, np.float32)
    if is_round:
        y, x = np.ogrid[:height, :width]
        radius = min(height, width) / 2 * (1 - border)
        weights[np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) <= radius] = 1
    else:
        top, left = round(height * border / 2), round(width * border / 2)
        weights[top : height - top, left : width - left] = 1
    return _Window(weights)
