"""What engines have in common whose batches are futures: shapes checked, slots kept, each result taken once."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import TICKETS, Output, check_frames
from runtime.errors import EngineError, ResultTimeout


class TicketedEngine:
    """An `Engine` over a function `start`, which begins on a batch and returns the future of its output.

    The frames that `start` gets lie in a slot's own buffer, which later batches use again once the future is done: an
    output must not share memory with them.
    """

    def __init__(
        self,
        start: Callable[[NDArray[np.uint8]], Future[Output]],
        size_hw: tuple[int, int],
        max_batch: int,
        slots: int,
        description: str,
    ) -> None:
        self._start, self._size_hw = start, size_hw
        self.max_batch, self.slots, self.description = max_batch, slots, description
        self._under_way: dict[int, tuple[Future[Output], NDArray[np.uint8]]] = {}  # with the buffer it reads
        self._free = [np.empty((1, *size_hw, 3), np.uint8) for _ in range(slots)]
        self._closed = False

    def submit(self, frames: NDArray[np.uint8]) -> int:
        """See `Engine.submit`."""
        if self._closed:
            raise EngineError("the engine is closed; open the detector again")
        check_frames(frames, self._size_hw, self.max_batch)
        if len(self._under_way) >= self.slots:
            raise EngineError(f"all {self.slots} slots are under way; take a result first")
        ticket = next(TICKETS)
        buffer = self._free.pop()
        if len(buffer) < len(frames):
            buffer = np.empty(frames.shape, np.uint8)  # a larger batch than ever in this slot
        np.copyto(buffer[: len(frames)], frames)
        try:
            future = self._start(buffer[: len(frames)])
        except BaseException:
            self._free.append(buffer)
            raise
        self._under_way[ticket] = future, buffer
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
        self._closed = True
        self._under_way.clear()

    def _finish(self, ticket: int) -> None:
        """Free a ticket's slot; nobody reads its buffer any more."""
        self._free.append(self._under_way.pop(ticket)[1])
