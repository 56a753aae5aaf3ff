"""Ranges of activations over good images, channel by channel: what INT8 numbers have to span.

The convolutions of patch networks are followed by a leaky ReLU of slope 5e-3, and in trained ones half of the channels
are never positive on good images: what they say lies within 5e-3 of what the others span, and a range for the whole
tensor rounds it away (p = 33 of the demo line: the map's correlation with the FP32 map falls to 0.2). So ranges are
those of channels, taken before the activation, where a channel has its full resolution; `export.quantized` folds them
into the weights, and the file still has one scale for a tensor.

Three methods, of which `max` is the default:

- ``max``: the smallest and the largest value seen. Nothing that good images show is cut off;
- a percentile, such as ``99.99``: as much is cut off, half of it at either end;
- ``mse``: of those, for each channel the one whose rounding errs least behind the activation (mean square).

Correlation of the maps with the FP32 maps, on good images beside those of the ranges: for the demo line's detector max
0.9923, mse 0.9913, 99.99 0.9907, 99.5 0.787; for one of photographs of cookies max 0.9992, mse 0.9989. What cuts off,
cuts off what a map is looked at for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

LEVELS = 255  # steps between the ends of an 8-bit range
POSITIONS = 512  # of an image, for percentiles; the extremes are of all
SEED = 0
CANDIDATES = (99.99, 99.95, 99.9, 99.5, 99.0)  # percentiles that `mse` chooses from, besides the extremes


@dataclass(frozen=True)
class Ranges:
    """Lowest and highest value of each channel, float64 [C], low < high."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def middle(self) -> NDArray[np.float64]:
        """What an INT8 zero stands for."""
        return (self.low + self.high) / 2

    @property
    def step(self) -> NDArray[np.float64]:
        """What an INT8 one stands for, over the middle."""
        return (self.high - self.low) / LEVELS


class RangeCollector:
    """Takes activations of good images, one after the other, and says what they span."""

    def __init__(self, method: str = "max", slope: float = 1.0) -> None:
        """`slope` is that of the activation behind for negative values, which `mse` weighs errors by.

        Raises `InputError` for an unknown method.
        """
        self.percentile = None if method in ("max", "mse") else _percentile(method)
        self.method, self.slope = method, slope
        self._random = np.random.default_rng(SEED)
        self._low: NDArray[np.float64] | None = None
        self._high: NDArray[np.float64] | None = None
        self._samples: list[NDArray[np.float32]] = []

    def add(self, values: NDArray[np.float32]) -> None:
        """Activations [N, C, h, w] of one image or more. Raises `InputError` for values that are not finite."""
        flat = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
        low, high = flat.min(axis=1).astype(np.float64), flat.max(axis=1).astype(np.float64)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise InputError("an activation is NaN or infinite on a good image; train or export the detector again")
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)
        if self.method != "max":
            chosen = self._random.integers(0, flat.shape[1], min(POSITIONS, flat.shape[1]))
            self._samples.append(flat[:, chosen])

    def ranges(self) -> Ranges:
        """Those of all that was added, one image at least."""
        assert self._low is not None
        assert self._high is not None
        if self.method == "max":
            return widened(self._low, self._high)
        samples = np.concatenate(self._samples, axis=1)
        if self.percentile is not None:
            return widened(*_between(samples, self.percentile))
        return self._of_least_error(samples)

    def _of_least_error(self, samples: NDArray[np.float32]) -> Ranges:
        extremes = widened(np.asarray(self._low), np.asarray(self._high))
        found = [extremes, *(widened(*_between(samples, percentile)) for percentile in CANDIDATES)]
        best = np.argmin([rounding_error(samples, ranges, self.slope) for ranges in found], axis=0)
        channels = np.arange(len(best))
        low, high = (np.stack([getattr(ranges, end) for ranges in found]) for end in ("low", "high"))
        return Ranges(low[best, channels], high[best, channels])


def rounding_error(values: NDArray[np.float32], ranges: Ranges, slope: float) -> NDArray[np.float64]:
    """Mean square by channel [C] of what rounding `values` [C, n] to 8 bits changes behind a leaky ReLU of `slope`."""
    middle, step = ranges.middle[:, None], ranges.step[:, None]
    rounded = np.clip(np.round((values - middle) / step), -128, 127) * step + middle
    difference = _leaky(rounded, slope) - _leaky(values.astype(np.float64), slope)
    return np.asarray(np.square(difference).mean(axis=1))


def widened(low: NDArray[np.float64], high: NDArray[np.float64]) -> Ranges:
    """Ranges that can be divided by: a channel that hardly moves gets a millionth of the widest one."""
    floor = max(float((high - low).max()), 1e-6) * 1e-6
    return Ranges(low, np.maximum(high, low + floor))


def _between(samples: NDArray[np.float32], percentile: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    outside = (100 - percentile) / 2
    low, high = np.percentile(samples.astype(np.float64), (outside, 100 - outside), axis=1)
    return low, high


def _leaky(values: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
    return np.where(values < 0, slope * values, values)


def _percentile(method: str) -> float:
    try:
        value = float(method)
    except ValueError:
        value = 0.0
    if not 50 < value <= 100:
        raise InputError(f"the method of the ranges is {method!r}; expected max, mse or a percentile such as 99.99")
    return value
