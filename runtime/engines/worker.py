"""A thread that works off calls one after the other, and that nobody has to wait for: a driver may hang for ever."""

import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any

_Queue = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class Worker:
    """One thread. Unlike those of a `ThreadPoolExecutor` it does not keep the process from ending."""

    def __init__(self, name: str) -> None:
        self._queue: _Queue = SimpleQueue()
        self._thread = Thread(target=_work_off, args=(self._queue,), name=name, daemon=True)
        self._thread.start()
        weakref.finalize(self, self._queue.put, None)

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Queue a call; the future brings what it returns or raises."""
        future: Future[Any] = Future()
        self._queue.put((future, call))
        return future

    def close(self, timeout_s: float) -> bool:
        """Let the thread end after what is queued; whether it did in time. It is left behind otherwise."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


def _work_off(queue: _Queue) -> None:
    while (item := queue.get()) is not None:
        future, call = item
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
        del item, future, call  # nothing is kept until the next call
