"""An engine for libraries whose calls block: batches run one after the other in a worker thread."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import TICKETS, Output
from runtime.engines.worker import Worker
from runtime.errors import EngineError, ResultTimeout

log = logging.getLogger("proctor.engine")

CLOSE_S = 10.0  # for what is under way; a driver that hangs longer may hang for ever


class ThreadedEngine:
    """An `Engine` that runs the function `infer` in its own thread; it checks shapes and keeps the slots.

    The frames that `infer` gets lie in a slot's own buffer, which later batches use again: what it returns must not
    share memory with them.
    """

    def __init__(
        self,
        infer: Callable[[NDArray[np.uint8]], Output],
        size_hw: tuple[int, int],
        max_batch: int,
        slots: int,
        description: str,
    ) -> None:
        self._infer, self._size_hw = infer, size_hw
        self.max_batch, self.slots, self.description = max_batch, slots, description
        self._under_way: dict[int, tuple[Future[Output], NDArray[np.uint8]]] = {}  # with the buffer it reads
        self._free = [np.empty((1, *size_hw, 3), np.uint8) for _ in range(slots)]
        self._worker = Worker("engine")
        self._closed = False

    def submit(self, frames: NDArray[np.uint8]) -> int:
        """See `Engine.submit`."""
        if self._closed:
            raise EngineError("the engine is closed; open the detector again")
        expected = (*self._size_hw, 3)
        if frames.dtype != np.uint8 or frames.shape[1:] != expected or not 1 <= len(frames) <= self.max_batch:
            raise EngineError(
                f"got frames {list(frames.shape)} of {frames.dtype}; "
                f"expected uint8 [n, {expected[0]}, {expected[1]}, 3] with n from 1 to {self.max_batch}"
            )
        if len(self._under_way) >= self.slots:
            raise EngineError(f"all {self.slots} slots are under way; take a result first")
        ticket = next(TICKETS)
        buffer = self._free.pop()
        if len(buffer) < len(frames):
            buffer = np.empty(frames.shape, np.uint8)  # a larger batch than ever in this slot
        np.copyto(buffer[: len(frames)], frames)
        self._under_way[ticket] = self._worker.submit(partial(self._infer, buffer[: len(frames)])), buffer
        return ticket

    def result(self, ticket: int, timeout_s: float = 30.0) -> Output:
        """See `Engine.result`."""
        if ticket not in self._under_way:
            raise EngineError(f"ticket {ticket} is unknown; each result can be taken once")
        try:
            output = self._under_way[ticket][0].result(timeout_s)
        except FutureTimeout as error:
            raise ResultTimeout(f"no result within {timeout_s:g} s; the machine is too slow or overloaded") from error
        except BaseException:
            self._finish(ticket)
            raise
        self._finish(ticket)
        return output

    def close(self) -> None:
        """See `Engine.close`."""
        if not self._closed:
            self._closed = True
            if not self._worker.close(CLOSE_S):
                log.warning("%s still hangs after %g s and is left behind", self.description, CLOSE_S)
        self._under_way.clear()

    def _finish(self, ticket: int) -> None:
        """Free a ticket's slot; nobody reads its buffer any more."""
        self._free.append(self._under_way.pop(ticket)[1])
