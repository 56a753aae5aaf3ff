"""One engine for several cameras: each has a share of it, and their frames take turns."""

from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from threading import Condition, Thread

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import TICKETS, Engine, Output, check_frames
from runtime.errors import EngineError, ResultTimeout

POLL_S = 0.001  # for a result while a slot is free, so that another camera's frame is uploaded meanwhile
PATIENCE_S = 0.2  # for a result while none is; so soon is it seen that the engine is to be closed
CLOSED = "the engine is closed; open the detector again"
CLOSE_S = 12.0  # longer than `ThreadedEngine` waits for a call that hangs


@dataclass(eq=False)
class _Request:
    frames: NDArray[np.uint8]
    future: Future[Output] = field(default_factory=Future)


class SharedEngine:
    """Runs an engine for `shares`, each an `Engine` of its own, for a thread of its own.

    A thread here alone talks to the engine. Batches go to it in the order in which they were submitted, and a share has
    one slot: so no camera has a second batch waiting while another's first one does, and a frame that waits for its
    turn is the newest that its camera had when the one before was done. The engine is closed with the last share.
    """

    def __init__(self, engine: Engine, size_hw: tuple[int, int], shares: int) -> None:
        """An engine that is open already, for frames of `size_hw`; 1 or more `shares`."""
        self._engine, self._open = engine, shares
        self._waiting: deque[_Request] = deque()
        self._changed = Condition()
        self._closing = False
        self.shares = tuple(Share(self, engine, size_hw, shares) for _ in range(shares))
        self._thread = Thread(target=self._work, name="shared engine", daemon=True)
        self._thread.start()

    def put(self, frames: NDArray[np.uint8]) -> Future[Output]:
        """Queue a batch, which must stay as it is until its result is there. From any thread."""
        request = _Request(frames)
        with self._changed:
            self._waiting.append(request)
            self._changed.notify()
        return request.future

    def leave(self) -> None:
        """Close one share; with the last of them the engine. A call that hangs is left behind."""
        with self._changed:
            self._open -= 1
            self._closing = self._open == 0
            self._changed.notify()
        if self._closing:
            self._thread.join(CLOSE_S)

    def _work(self) -> None:
        under_way: deque[tuple[int, _Request]] = deque()
        while self._start(under_way):
            self._hand_back(under_way)
        self._engine.close()
        for request in (*(request for _, request in under_way), *self._waiting):
            request.future.set_exception(EngineError(CLOSED))

    def _start(self, under_way: deque[tuple[int, _Request]]) -> bool:
        """Fill the engine's slots with what waits, after waiting for something to do; False once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing or under_way)
            if self._closing:
                return False
            free = self._engine.slots - len(under_way)
            taken = [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]
        for request in taken:
            try:
                under_way.append((self._engine.submit(request.frames), request))
            except BaseException as error:
                request.future.set_exception(error)
        return True

    def _hand_back(self, under_way: deque[tuple[int, _Request]]) -> None:
        """Wait a moment for the oldest result."""
        if not under_way:
            return
        ticket, request = under_way[0]
        try:
            output = self._engine.result(ticket, POLL_S if len(under_way) < self._engine.slots else PATIENCE_S)
        except ResultTimeout:
            return
        except BaseException as error:
            request.future.set_exception(error)
        else:
            request.future.set_result(output)
        under_way.popleft()


class Share:
    """An `Engine`: one camera's share of another. What it waits for may be another camera's turn."""

    slots = 1

    def __init__(self, shared: SharedEngine, engine: Engine, size_hw: tuple[int, int], shares: int) -> None:
        self.max_batch = engine.max_batch
        self.description = f"{engine.description}, shared by {shares} cameras" if shares > 1 else engine.description
        self._shared, self._size_hw = shared, size_hw
        self._under_way: tuple[int, Future[Output]] | None = None
        self._buffer = np.empty((1, *size_hw, 3), np.uint8)
        self._closed = False

    def submit(self, frames: NDArray[np.uint8]) -> int:
        """See `Engine.submit`."""
        if self._closed:
            raise EngineError(CLOSED)
        check_frames(frames, self._size_hw, self.max_batch)
        if self._under_way is not None:
            raise EngineError("all 1 slots are under way; take a result first")
        if len(self._buffer) < len(frames):
            self._buffer = np.empty(frames.shape, np.uint8)
        buffer = self._buffer[: len(frames)]
        np.copyto(buffer, frames)
        ticket = next(TICKETS)
        self._under_way = ticket, self._shared.put(buffer)
        return ticket

    def result(self, ticket: int, timeout_s: float = 30.0) -> Output:
        """See `Engine.result`."""
        if self._under_way is None or self._under_way[0] != ticket:
            raise EngineError(f"ticket {ticket} is unknown; each result can be taken once")
        try:
            output = self._under_way[1].result(timeout_s)
        except FutureTimeout as error:
            raise ResultTimeout(f"no result within {timeout_s:g} s; the machine is too slow or overloaded") from error
        except BaseException:
            self._under_way = None
            raise
        self._under_way = None
        return output

    def close(self) -> None:
        """See `Engine.close`. What is under way has its result thrown away."""
        if not self._closed:
            self._closed = True
            self._shared.leave()
