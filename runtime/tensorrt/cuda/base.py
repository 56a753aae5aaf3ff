"""The interface: device memory, pinned memory, streams, events and graphs of one GPU."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineError

log = logging.getLogger("proctor.tensorrt")

# faults behind which the driver refuses a process: "any further CUDA work will return the same error", "the process
# must be terminated and relaunched" (cuda.h; of an assert the context must be destroyed). As cuda-bindings calls them,
# and as PyCUDA and TensorRT do, in the driver's words
LOST = (
    "CUDA_ERROR_CONTAINED",
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    "CUDA_ERROR_LAUNCH_TIMEOUT",
    "CUDA_ERROR_ASSERT",
    "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION",
    "CUDA_ERROR_MISALIGNED_ADDRESS",
    "CUDA_ERROR_INVALID_ADDRESS_SPACE",
    "CUDA_ERROR_INVALID_PC",
    "CUDA_ERROR_LAUNCH_FAILED",
    "CUDA_ERROR_TENSOR_MEMORY_LEAK",
    "CUDA_ERROR_MPS_CLIENT_TERMINATED",
    "CUDA_ERROR_EXTERNAL_DEVICE",
    "an illegal memory access was encountered",
    "the launch timed out and was terminated",
    "device-side assert triggered",
    "hardware stack error",
    "an illegal instruction was encountered",
    "misaligned address",
    "operation not supported on global/shared address space",
    "invalid program counter",
    "unspecified launch failure",
)


def what_helps(fault: str) -> str:
    """What to do after a failure of the GPU, which is given in words."""
    if any(each in fault for each in LOST):
        return "start the program again: after such a fault the driver refuses all further work of a process"
    return "open the detector again"


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
        """Free everything that was handed out. Closing twice is allowed. What cannot be freed, as after a fault of the
        GPU, is logged: nothing is raised."""


def give_back(
    current: Callable[[], AbstractContextManager[None]], free: list[Callable[[], object]], release: Callable[[], object]
) -> None:
    """Call each of `free` in the context `current`, the last first, and `release` in any case.

    Whatever raises `EngineError` is logged, and the others are called all the same. Where the context itself cannot be
    had, nothing can be freed: it stays in `free`, for the driver to clear away with the process.
    """
    problems: list[EngineError] = []

    def tried(call: Callable[[], object]) -> None:
        try:
            call()
        except EngineError as error:
            problems.append(error)

    with ExitStack() as context:
        tried(lambda: context.enter_context(current()))
        is_current = not problems
        while free and is_current:
            tried(free.pop())
        tried(context.close)
    tried(release)
    if problems:
        more = f" (and {len(problems) - 1} calls more)" if len(problems) > 1 else ""
        log.warning("while the GPU was given back: %s%s", problems[0], more)
