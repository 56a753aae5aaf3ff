"""A fake engine: maps from a function instead of a network, for tests of everything around an engine."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Output
from runtime.engines.threaded import ThreadedEngine

MapFunction = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def deviation_from_grey(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Maps [n, H, W] of frames [n, H, W, 3]: how far each pixel is from middle grey, 0 to 1."""
    distance: NDArray[np.float32] = np.abs(frames.astype(np.float32).mean(axis=3) - 128) / 128
    return distance


class FakeEngine(ThreadedEngine):
    """An `Engine` that computes its maps with `maps`; the score is the map's maximum. What `maps` raises, it raises."""

    def __init__(
        self, size_hw: tuple[int, int], maps: MapFunction = deviation_from_grey, max_batch: int = 8, slots: int = 2
    ) -> None:
        super().__init__(lambda frames: _output(maps(frames)), size_hw, max_batch, slots, "fake engine")


def _output(maps: NDArray[np.float32]) -> Output:
    return Output(maps, maps.max(axis=(1, 2)))
