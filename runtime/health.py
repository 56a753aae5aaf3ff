"""Frame health: a frame that shows no part as the good images did gets NO_DECISION instead of a score."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.alignment import Alignment
from runtime.frames import Frame
from runtime.interest import Inspected
from runtime.likeness import centred, likeness, pattern
from runtime.recipe import HealthLimits
from runtime.scoring import Scoring
from runtime.sharpness import DIRECTIONS, SharpnessMeter


class Measured(NamedTuple):
    """What was measured of a frame that is healthy."""

    brightness: float  # mean of the prepared frame's pixels where they are seen, 0 to 255
    sharpness: tuple[float, float] | None  # see runtime/sharpness.py; None where no limit asks for it


SATURATED = 250  # pixel value from which a channel counts as saturated


def brightness(image: NDArray[np.uint8]) -> float:
    """Mean of all pixels and channels of uint8 [H, W, 3], 0 to 255."""
    return float(sum(cv2.sumElems(image)) / image.size)


def saturated_share(image: NDArray[np.uint8], mask: NDArray[np.uint8] | None = None) -> float:
    """Share of pixels of uint8 [H, W, 3] that are saturated in every channel, 0 to 1. `mask` [H, W] is written over."""
    saturated = cv2.inRange(image, (SATURATED,) * 3, (255,) * 3, mask)
    return float(cv2.countNonZero(saturated) / saturated.size)


def lit_part(prepared: NDArray[np.uint8], seen: Inspected | None) -> NDArray[np.uint8]:
    """The pixels [h, w, 3] of a prepared frame whose light counts: those that are seen, in one column; None: all."""
    return prepared if seen is None else prepared[seen.mask][:, None]


def seen_by_health(scoring: Scoring, alignment: Alignment | None, size_hw: tuple[int, int]) -> Inspected | None:
    """Where frames of `size_hw` are looked at for their health. Regions are of the aligned frame, and health is of the
    picture as it came: with an alignment it is looked at everywhere."""
    return scoring.in_regions(size_hw) if alignment is None else None


class HealthCheck:
    """Checks frames against a detector's limits; keeps the last live frame. For one thread at a time."""

    def __init__(self, limits: HealthLimits, seen: Inspected | None = None) -> None:
        """Light, likeness and sharpness are judged where something is `seen`; None: everywhere."""
        self._limits, self._seen = limits, seen
        self._seen_mask = None if seen is None else seen.mask
        self._last_live: NDArray[np.uint8] | None = None
        self._mask: NDArray[np.uint8] | None = None  # [H, W] of the prepared frames
        self._typical = centred(np.array(limits.typical)) if limits.likeness_low else None
        self._meter: SharpnessMeter | None = None  # for the prepared frames
        self._brightness = 0.0
        self._sharpness: tuple[float, float] | None = None

    def problem(self, frame: Frame, prepared: NDArray[np.uint8]) -> str | None:
        """What is wrong with a frame, in words, or None. `prepared` is uint8 [H, W, 3] made from it."""
        return (
            self._wrong_size(frame.image)
            or self._frozen(frame)
            or self._badly_lit(lit_part(prepared, self._seen))
            or self._without_part(prepared)
            or self._blurred(prepared)
        )

    @property
    def measured(self) -> Measured:
        """What was measured of the last frame, if `problem` found none."""
        return Measured(self._brightness, self._sharpness)

    def _wrong_size(self, image: NDArray[np.uint8]) -> str | None:
        height, width = image.shape[:2]
        low, high = self._limits.aspect_low, self._limits.aspect_high
        if not low <= width / height <= high:
            aspect = width / height
            return f"wrong size: {width}×{height} has aspect {aspect:.2f}, good images had {low:.2f} to {high:.2f}"
        if height < self._limits.height_low:  # scaled up, it would show defects no better than a blur does
            return (
                f"wrong size: {width}×{height} is small, good images allow {self._limits.height_low:.0f} rows or more"
            )
        return None

    def _frozen(self, frame: Frame) -> str | None:
        if not frame.live:
            return None
        last, self._last_live = self._last_live, frame.image
        # a sensor's noise never repeats, so equal pixels are the same picture delivered twice
        frozen = last is not None and _are_equal(last, frame.image)
        return "frozen: the camera delivered the same picture twice" if frozen else None

    def _badly_lit(self, prepared: NDArray[np.uint8]) -> str | None:
        limits, mean = self._limits, brightness(prepared)
        self._brightness = mean
        if mean < limits.brightness_low:
            return f"black: mean brightness {mean:.0f} of 255, good images had {limits.brightness_low:.0f} or more"
        if self._mask is None or self._mask.shape != prepared.shape[:2]:
            self._mask = np.empty(prepared.shape[:2], np.uint8)
        share = saturated_share(prepared, self._mask)
        if mean > limits.brightness_high or share > limits.saturated_high:
            return (
                f"over-exposed: mean brightness {mean:.0f} and {share:.0%} saturated, "
                f"limits are {limits.brightness_high:.0f} and {limits.saturated_high:.0%}"
            )
        return None

    def _without_part(self, prepared: NDArray[np.uint8]) -> str | None:
        if self._typical is None:
            return None
        found = float(likeness(centred(pattern(prepared, self._seen_mask)), self._typical))
        if found >= self._limits.likeness_low:
            return None
        return (
            f"no part in view: the frame's likeness to the good images is {found:.2f}, "
            f"they allow {self._limits.likeness_low:.2f} or more"
        )

    def _blurred(self, prepared: NDArray[np.uint8]) -> str | None:
        limits = self._limits.sharpness_low
        if not any(limits):
            return None
        size_hw = (prepared.shape[0], prepared.shape[1])
        if self._meter is None or self._meter.size_hw != size_hw:
            self._meter = SharpnessMeter(size_hw, self._seen_mask)
        self._sharpness = self._meter.measure(prepared)
        for found, low, direction in zip(self._sharpness, limits, DIRECTIONS, strict=True):
            if found < low:
                return f"blurred: sharpness {direction} is {found:.3g}, good images allow {low:.3g} or more"
        return None


def _are_equal(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Whether two pictures are the same, bit for bit; the first row tells almost always."""
    if first.shape != second.shape:
        return False
    rows = (slice(1), slice(None))
    return all(cv2.norm(first[part], second[part], cv2.NORM_INF) == 0 for part in rows)
