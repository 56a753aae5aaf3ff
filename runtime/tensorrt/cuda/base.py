"""The interface: device memory, pinned memory, streams, events and graphs of one GPU."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Device:
    """One GPU."""

    name: str
    compute_capability: tuple[int, int]
    integrated: bool  # shares the CPU's memory, as on a Jetson
    memory_bytes: int
    driver: str  # newest CUDA version that the driver supports, such as 12.6


@dataclass(frozen=True)
class Memory:
    """A piece of memory. `address` is the GPU's (0 where it has none), `host` the CPU's view, uint8 [bytes], if any."""

    address: int
    host: NDArray[np.uint8] | None
    handle: Any


@dataclass(frozen=True)
class Stream:
    """A queue of work. `address` is the raw handle that TensorRT takes."""

    address: int
    handle: Any


@dataclass(frozen=True)
class Event:
    """A mark in a stream."""

    handle: Any


@dataclass(frozen=True)
class Graph:
    """Recorded work, ready to be launched."""

    handle: Any


class Cuda(Protocol):
    """One GPU through one binding, in the process's primary context, which TensorRT shares.

    Every call but `current` and `close` belongs inside ``with cuda.current():``, on any thread, one at a time. What is
    handed out is freed by `close`, graphs also by `drop`. Every failure is an `EngineError` that names the call.
    """

    @property
    def description(self) -> str:
        """Binding and version."""

    @property
    def device(self) -> Device:
        """The GPU."""

    @property
    def has_graphs(self) -> bool:
        """Whether `capture` is there."""

    def current(self) -> AbstractContextManager[None]:
        """The GPU's context, current for this thread until the block ends."""

    def device_memory(self, size: int) -> Memory:
        """`size` bytes on the GPU."""

    def host_memory(self, size: int, mapped: bool = False) -> Memory:
        """`size` bytes of pinned memory; with `mapped` the GPU sees them too, without a copy."""

    def stream(self) -> Stream:
        """A stream that does not wait for the default one."""

    def event(self) -> Event:
        """An event without timing."""

    def upload(self, host: Memory, device: Memory, size: int, stream: Stream) -> None:
        """Queue a copy of the first `size` bytes to the GPU."""

    def download(self, device: Memory, host: Memory, size: int, stream: Stream) -> None:
        """Queue a copy of the first `size` bytes from the GPU."""

    def record(self, event: Event, stream: Stream) -> None:
        """Queue a mark."""

    def wait(self, stream: Stream, event: Event) -> None:
        """Make what is queued in `stream` from now on wait for a mark of another stream."""

    def is_done(self, event: Event) -> bool:
        """Whether the latest mark was reached; does not block. Raises what the work before it ran into."""

    def synchronize(self, stream: Stream) -> None:
        """Block until a stream is empty."""

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Record what `work` queues in `stream` instead of doing it.

        Whatever goes wrong, the stream takes plain work again afterwards.
        """

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Queue a graph."""

    def drop(self, graph: Graph) -> None:
        """Free a graph, which nothing under way may need."""

    def close(self) -> None:
        """Free everything that was handed out. Closing twice is allowed."""
