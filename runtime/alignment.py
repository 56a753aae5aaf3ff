"""Alignment: the part is found in each frame, and turned and moved to where a reference has it, before it is inspected.

The recipe's block `alignment` says how, with the limits that a frame has to keep. `runtime.finder` finds the part,
`runtime.placement` says how it lies, and `runtime.preparation.prepare` does all of it, in training as on the line.
"""

import base64
import binascii
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.bounds import check_above_zero, check_between
from runtime.errors import InputError
from runtime.placement import Placement

NEAR, ANY_ANGLE = "near", "any-angle"
MODES = (NEAR, ANY_ANGLE)
LARGEST_SHIFT = 0.2  # share of the shorter side; `runtime.finder` looks farther, to say how far a part lies
LARGEST_ANGLE = 30.0  # degrees, each way, of the mode near
HALF_TURN = 180.0  # degrees: any angle
SMALLEST_REFERENCE, LARGEST_REFERENCE = 16, 1024  # pixels of a side
LONGEST_TEXT = 64 << 10  # characters of the reference


@dataclass(frozen=True)
class Alignment:
    """How the part is found in a frame, and within which limits. What lies outside them is not inspected."""

    mode: str = field(metadata={"choices": MODES})  # near: shifted, turned a little; any-angle: shifted, turned by any
    reference: str = field(repr=False)  # a good image, reduced: 8-bit grey PNG in base64, in the shape of the pictures
    largest_shift: float  # of the frame's middle, share of the frame's shorter side
    largest_angle: float  # degrees, each way; 180 of the mode any-angle
    least_quality: float  # of what is found, 0 to 1: see `runtime.finder`
    good_quality: float  # the lowest of the good images, which the limit keeps a margin to
    border_bgr: tuple[int, int, int]  # what the aligned frame has from outside the picture: of good images' borders

    def __post_init__(self) -> None:
        check_above_zero("largest_shift", self.largest_shift)
        check_between("largest_shift", self.largest_shift, 0, LARGEST_SHIFT)
        check_above_zero("largest_angle", self.largest_angle)
        check_between("largest_angle", self.largest_angle, 0, self.widest_angle)
        if self.mode == ANY_ANGLE and self.largest_angle != HALF_TURN:
            raise InputError(f"largest_angle is {self.largest_angle:g}; expected {HALF_TURN:g} of the mode {ANY_ANGLE}")
        check_above_zero("least_quality", self.least_quality)
        check_between("good_quality", self.good_quality, self.least_quality, 1)
        for value in self.border_bgr:
            check_between("border_bgr", value, 0, 255)
        decoded_reference(self.reference)

    @property
    def widest_angle(self) -> float:
        """The largest angle that the mode allows, degrees."""
        return HALF_TURN if self.mode == ANY_ANGLE else LARGEST_ANGLE

    def problem(self, placed: Placement, frame_hw: tuple[int, int]) -> str | None:
        """Why a part that was found so in a frame of this size is not inspected, or None."""
        if not placed.quality >= self.least_quality:
            return (
                f"part not found: the best place looks like it with quality {placed.quality:.2f}, good images had "
                f"{self.good_quality:.2f} or more and {self.least_quality:.2f} is the least"
            )
        shorter = min(frame_hw)
        if placed.shift > self.largest_shift:
            return (
                f"part not in its place: shifted by {placed.shift * shorter:.0f} pixels, "
                f"{self.largest_shift * shorter:.0f} allowed"
            )
        if abs(placed.angle) > self.largest_angle:
            return f"part not in its place: turned by {abs(placed.angle):.1f} degrees, {self.largest_angle:.1f} allowed"
        return None


def hidden_part(placed: Placement, inspected: NDArray[np.bool_]) -> str | None:
    """Why what is inspected of an aligned frame [H, W] cannot be, or None: some of it lies outside the picture, where
    nobody sees the part."""
    seen = float(placed.inside((inspected.shape[0], inspected.shape[1]))[inspected].mean())
    if seen == 1:
        return None
    return f"part not all in the picture: {max(1 - seen, 1e-3):.1%} of the region of interest lies outside of it"


def encoded_reference(grey: NDArray[np.uint8]) -> str:
    """A reference uint8 [h, w] as the recipe holds it."""
    return base64.b64encode(cv2.imencode(".png", grey)[1].tobytes()).decode("ascii")


def decoded_reference(text: str) -> NDArray[np.uint8]:
    """The reference uint8 [h, w] in a recipe. Raises `InputError` for what is none."""
    if len(text) > LONGEST_TEXT:
        raise InputError(f"the reference has {len(text):,} characters; expected {LONGEST_TEXT:,} at most")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise InputError(f"the reference is not base64 ({error})") from error
    height, width = _png_size(data)
    if not SMALLEST_REFERENCE <= min(height, width) <= max(height, width) <= LARGEST_REFERENCE:
        raise InputError(
            f"the reference has {width}×{height} pixels; expected {SMALLEST_REFERENCE} to {LARGEST_REFERENCE:,} a side"
        )
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if grey is None or grey.ndim != 2 or grey.dtype != np.uint8:
        raise InputError("the reference is no PNG of 8-bit grey pixels")
    return np.asarray(grey, np.uint8)


def _png_size(data: bytes) -> tuple[int, int]:
    """Height and width that a PNG says it has, before anything is decoded: a small file may hold a huge picture."""
    if len(data) < 24 or not data.startswith(b"\x89PNG\r\n\x1a\n") or data[12:16] != b"IHDR":
        raise InputError("the reference is no PNG")
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
