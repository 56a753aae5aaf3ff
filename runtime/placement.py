"""How a part lies in a frame, as it was found: the way between the aligned frame and the picture, there and back."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]  # [2, 3]: x, y, 1 → x, y; pixel centres lie at whole numbers


@dataclass(frozen=True, eq=False)
class Placement:
    """Where in a picture the part lies that the reference shows.

    `matrix` turns and moves a place of the reference to its place in the picture, both in pixels of the reference,
    whose size `grid_hw` is. The aligned frame is what lies there, at any size, and the picture is stretched to it.
    """

    matrix: Matrix
    grid_hw: tuple[int, int]
    quality: float  # 0 to 1, of `runtime.finder`

    @property
    def angle(self) -> float:
        """By how much the part is turned from the reference, degrees, from x to y (clockwise as one looks), ±180."""
        return math.degrees(math.atan2(self.matrix[1, 0], self.matrix[0, 0]))

    @property
    def shift(self) -> float:
        """How far the frame's middle lies from the reference's, share of the shorter side."""
        middle = middle_of(self.grid_hw)
        x, y = self.matrix[:, :2] @ middle + self.matrix[:, 2] - middle
        return math.hypot(x, y) / min(self.grid_hw)

    def to_picture(self, aligned_hw: tuple[int, int], picture_hw: tuple[int, int]) -> Matrix:
        """From pixels of an aligned frame or map of `aligned_hw` to pixels of the picture at the size `picture_hw`."""
        return composed(
            _rescaling(self.grid_hw, picture_hw), composed(self.matrix, _rescaling(aligned_hw, self.grid_hw))
        )

    def aligned(self, picture: NDArray[np.uint8], border_bgr: tuple[int, int, int]) -> NDArray[np.uint8]:
        """The aligned frame uint8 [H, W, 3] of a picture of that size; `border_bgr` is what lies outside the picture.

        One colour, the same in all frames of a detector. Of a border that is repeated, or mirrored, streaks and second
        parts come in, which no other good image has; a colour of each frame's own is, once in a while, an odd one. Both
        stood out more than anything on the part, and raised thresholds.
        """
        height, width = picture.shape[:2]
        matrix = self.to_picture((height, width), (height, width))
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderValue=border_bgr), np.uint8
        )

    def aligned_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask [H, W] over the picture as the aligned frame has it; nothing outside the picture is marked."""
        height, width = mask.shape
        matrix = self.to_picture((height, width), (height, width))
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(mask.astype(np.uint8), matrix, (width, height), flags=flags)) > 0

    def inside(self, aligned_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """Which pixels of the aligned frame lie in the picture, [H, W]: the others show the border, not the part."""
        height, width = aligned_hw
        (a, b, c), (d, e, f) = self.to_picture(aligned_hw, aligned_hw).tolist()
        x, y = np.arange(width)[None], np.arange(height)[:, None]
        at_x, at_y = a * x + b * y + c, d * x + e * y + f
        inside = (at_x > -0.5) & (at_x < width - 0.5) & (at_y > -0.5) & (at_y < height - 0.5)
        return np.asarray(inside)

    def in_picture(self, aligned_map: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map [H, W] of the aligned frame, for showing, where its values lie in the picture, at the same size.

        Interpolated; what the aligned frame leaves out of the picture has the map's lowest value.
        """
        height, width = aligned_map.shape
        matrix = self.to_picture((height, width), (height, width))
        lowest = float(aligned_map.min())
        return np.asarray(cv2.warpAffine(aligned_map, matrix, (width, height), borderValue=(lowest,)), np.float32)

    def mask_in_picture(self, aligned_mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask [H, W] of the aligned frame in the picture; see `in_picture`."""
        return self.in_picture(aligned_mask.astype(np.float32)) > 0.5


def middle_of(size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """x and y of the middle of a frame."""
    return np.array([size_hw[1] - 1, size_hw[0] - 1]) / 2


def turned(degrees: float, shift_xy: tuple[float, float], size_hw: tuple[int, int]) -> Matrix:
    """The matrix that turns a frame about its middle, from x to y, and then moves it."""
    radians, middle = math.radians(degrees), middle_of(size_hw)
    turn = np.array([[math.cos(radians), -math.sin(radians)], [math.sin(radians), math.cos(radians)]])
    return np.column_stack([turn, middle - turn @ middle + shift_xy])


def composed(last: Matrix, first: Matrix) -> Matrix:
    """The matrix of one after the other."""
    return np.column_stack([last[:, :2] @ first[:, :2], last[:, :2] @ first[:, 2] + last[:, 2]])


def moved(matrix: Matrix, points_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [n, 2] where a matrix moves them."""
    return np.asarray(points_xy @ matrix[:, :2].T + matrix[:, 2])


def _rescaling(from_hw: tuple[int, int], to_hw: tuple[int, int]) -> Matrix:
    scale = np.array([to_hw[1] / from_hw[1], to_hw[0] / from_hw[0]])
    return np.column_stack([np.diag(scale), 0.5 * scale - 0.5])
