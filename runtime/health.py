"""Frame health: a frame that shows no part as the good images did gets NO_DECISION instead of a score."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from runtime.frames import Frame
from runtime.recipe import HealthLimits

SATURATED = 250  # pixel value from which a channel counts as saturated


def brightness(image: NDArray[np.uint8]) -> float:
    """Mean of all pixels and channels of uint8 [H, W, 3], 0 to 255."""
    return float(image.mean())


def saturated_share(image: NDArray[np.uint8]) -> float:
    """Share of pixels of uint8 [H, W, 3] that are saturated in every channel, 0 to 1."""
    return float((image.min(axis=2) >= SATURATED).mean())


class HealthCheck:
    """Checks frames against a detector's limits; remembers the last live frame. For one thread at a time."""

    def __init__(self, limits: HealthLimits) -> None:
        self._limits = limits
        self._last_live: bytes | None = None

    def problem(self, frame: Frame, prepared: NDArray[np.uint8]) -> str | None:
        """What is wrong with a frame, in words, or None. `prepared` is uint8 [H, W, 3] made from it."""
        return self._wrong_size(frame.image) or self._frozen(frame) or self._badly_lit(prepared)

    def _wrong_size(self, image: NDArray[np.uint8]) -> str | None:
        height, width = image.shape[:2]
        low, high = self._limits.aspect_low, self._limits.aspect_high
        if low <= width / height <= high:
            return None
        return f"wrong size: {width}×{height} has aspect {width / height:.2f}, good images had {low:.2f} to {high:.2f}"

    def _frozen(self, frame: Frame) -> str | None:
        if not frame.live:
            return None
        digest = hashlib.blake2b(np.ascontiguousarray(frame.image).data, digest_size=16).digest()
        frozen, self._last_live = digest == self._last_live, digest
        # a sensor's noise never repeats, so equal pixels are the same picture delivered twice
        return "frozen: the camera delivered the same picture twice" if frozen else None

    def _badly_lit(self, prepared: NDArray[np.uint8]) -> str | None:
        limits, mean = self._limits, brightness(prepared)
        if mean < limits.brightness_low:
            return f"black: mean brightness {mean:.0f} of 255, good images had {limits.brightness_low:.0f} or more"
        share = saturated_share(prepared)
        if mean > limits.brightness_high or share > limits.saturated_high:
            return (
                f"over-exposed: mean brightness {mean:.0f} and {share:.0%} saturated, "
                f"limits are {limits.brightness_high:.0f} and {limits.saturated_high:.0%}"
            )
        return None
