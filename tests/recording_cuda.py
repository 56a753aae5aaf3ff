"""A GPU made of NumPy arrays, as late as a real one may be: what is queued happens only when somebody waits for it.

It follows CUDA's rules and nothing more. Streams do not wait for each other but where an event says so, memory holds
rubbish until something is written, and a call outside the context, on freed memory or with the wrong size is a failed
assertion. An engine that forgets a wait, mixes up two buffers or reads too early gets wrong numbers here, every time.
"""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from runtime.errors import EngineError
from runtime.tensorrt.cuda import Device, Event, Graph, Memory, Stream

RUBBISH = 0xAB
GPU = Device("NVIDIA Test", (8, 7), integrated=False, memory_bytes=8 << 30, driver="12.6")
JETSON = Device("Orin", (8, 7), integrated=True, memory_bytes=8 << 30, driver="12.6")

Work = Callable[[], None]


@dataclass
class Mark:
    """An event: how often it was recorded, and how many of these marks were reached."""

    recorded: int = 0
    reached: int = 0
    stream: "Queue | None" = None


@dataclass
class Queue:
    """A stream: work that has not happened yet."""

    work: deque[Work] = field(default_factory=deque)
    captured: list[Work] | None = None  # while it is being captured

    def put(self, work: Work) -> None:
        (self.work if self.captured is None else self.captured).append(work)

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        while self.work and not until():
            self.work.popleft()()


class RecordingCuda:
    """A `Cuda`. `calls` are the names of all calls in order; `fail[name]` makes the call of that name raise."""

    def __init__(self, device: Device = GPU, has_graphs: bool = True, polls: int = 2) -> None:
        """`polls` is how often `is_done` says no before a batch ends."""
        self.device, self.has_graphs, self.polls = device, has_graphs, polls
        self.description = "recording CUDA"
        self.calls: list[str] = []
        self.fail: dict[str, str] = {}
        self.memory: dict[int, NDArray[np.uint8]] = {}  # by the GPU's address
        self.pinned: list[NDArray[np.uint8]] = []
        self.graphs = 0
        self.closed = False
        self._queues: dict[int, Queue] = {}
        self._asked: dict[int, int] = {}
        self._addresses = itertools.count(0x1000, 0x1000)
        self._context = threading.local()

    @contextmanager
    def current(self) -> Iterator[None]:
        self._context.depth = getattr(self._context, "depth", 0) + 1
        try:
            yield
        finally:
            self._context.depth -= 1

    def device_memory(self, size: int) -> Memory:
        self._called("device_memory")
        address = next(self._addresses)
        self.memory[address] = np.full(size, RUBBISH, np.uint8)
        return Memory(address, None, address)

    def host_memory(self, size: int, mapped: bool = False) -> Memory:
        self._called("host_memory")
        view = np.full(size, RUBBISH, np.uint8)
        self.pinned.append(view)
        address = next(self._addresses) if mapped else 0
        if mapped:
            self.memory[address] = view
        return Memory(address, view, view)

    def stream(self) -> Stream:
        self._called("stream")
        address = next(self._addresses)
        self._queues[address] = Queue()
        return Stream(address, self._queues[address])

    def event(self) -> Event:
        self._called("event")
        return Event(Mark())

    def upload(self, host: Memory, device: Memory, size: int, stream: Stream) -> None:
        self._called("upload")
        assert host.host is not None
        source = host.host

        def copy() -> None:
            self.memory[device.address][:size] = source[:size]

        assert size <= len(source)
        assert size <= len(self.memory[device.address])
        stream.handle.put(copy)

    def download(self, device: Memory, host: Memory, size: int, stream: Stream) -> None:
        self._called("download")
        assert host.host is not None
        target = host.host

        def copy() -> None:
            target[:size] = self.memory[device.address][:size]

        assert size <= len(target)
        assert size <= len(self.memory[device.address])
        stream.handle.put(copy)

    def record(self, event: Event, stream: Stream) -> None:
        self._called("record")
        mark: Mark = event.handle
        mark.recorded += 1
        mark.stream = stream.handle
        number = mark.recorded

        def reach() -> None:
            mark.reached = number

        stream.handle.put(reach)

    def wait(self, stream: Stream, event: Event) -> None:
        self._called("wait")
        mark: Mark = event.handle
        number = mark.recorded  # of marks recorded so far; an event never recorded holds nobody up

        def wait() -> None:
            if mark.stream is not None:
                mark.stream.run(until=lambda: mark.reached >= number)

        stream.handle.put(wait)

    def is_done(self, event: Event) -> bool:
        self._called("is_done")
        mark: Mark = event.handle
        if mark.reached < mark.recorded:
            self._asked[id(mark)] = self._asked.get(id(mark), 0) + 1
            if self._asked[id(mark)] <= self.polls:
                return False
        self._asked[id(mark)] = 0
        if mark.stream is not None:
            mark.stream.run(until=lambda: mark.reached >= mark.recorded)
        return True

    def synchronize(self, stream: Stream) -> None:
        self._called("synchronize")
        stream.handle.run()

    def capture(self, stream: Stream, work: Work) -> Graph:
        self._called("capture")
        queue: Queue = stream.handle
        queue.captured = []
        try:
            work()
            captured = queue.captured
            if "end of capture" in self.fail:
                raise EngineError(self.fail["end of capture"])
        finally:
            queue.captured = None
        self.graphs += 1
        return Graph(captured)

    def launch(self, graph: Graph, stream: Stream) -> None:
        self._called("launch")
        for work in graph.handle:
            stream.handle.put(work)

    def drop(self, graph: Graph) -> None:
        self._called("drop")
        self.graphs -= 1

    def close(self) -> None:
        self.closed = True
        self.memory.clear()
        for view in self.pinned:
            view.fill(RUBBISH)

    def queue(self, address: int) -> Queue:
        """The stream behind a raw handle, as TensorRT is given it."""
        self.check_current()
        return self._queues[address]

    def check_current(self) -> None:
        """Fail outside ``with current()`` of this thread, and after `close`."""
        assert getattr(self._context, "depth", 0) > 0, "a CUDA call outside the context"
        assert not self.closed, "a CUDA call after close"

    def _called(self, name: str) -> None:
        self.check_current()
        self.calls.append(name)
        if name in self.fail:
            raise EngineError(f"the CUDA call {name} failed: {self.fail[name]}")
