"""An engine for libraries whose calls block: batches run one after the other in a worker thread."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Output
from runtime.engines.ticketed import TicketedEngine
from runtime.engines.worker import Worker

log = logging.getLogger("proctor.engine")

CLOSE_S = 10.0  # for what is under way; a driver that hangs longer may hang for ever


class ThreadedEngine(TicketedEngine):
    """An `Engine` that runs the function `infer` in its own thread.

    What `infer` returns must not share memory with the frames that it gets.
    """

    def __init__(
        self,
        infer: Callable[[NDArray[np.uint8]], Output],
        size_hw: tuple[int, int],
        max_batch: int,
        slots: int,
        description: str,
    ) -> None:
        self._infer, self._worker = infer, Worker("engine")
        super().__init__(self._begin, size_hw, max_batch, slots, description)

    def _begin(self, frames: NDArray[np.uint8]) -> Future[Output]:
        return self._worker.submit(partial(self._infer, frames))

    def close(self) -> None:
        """See `Engine.close`."""
        if not self._closed:
            self._closed = True
            if not self._worker.close(CLOSE_S):
                log.warning("%s still hangs after %g s and is left behind", self.description, CLOSE_S)
        super().close()
