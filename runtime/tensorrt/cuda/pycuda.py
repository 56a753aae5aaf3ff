"""CUDA through PyCUDA, the binding that Jetson's users know. It has no graphs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pycuda
import pycuda.driver as driver  # never pycuda.autoinit: TensorRT works in the primary context, autoinit makes another

from runtime.errors import EngineError
from runtime.tensorrt.cuda.base import Device, Event, Graph, Memory, Stream, give_back

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, for which PyCUDA has no name


class PyCuda:
    """A `Cuda` over ``pycuda.driver``."""

    has_graphs = False

    def __init__(self) -> None:
        self.description = f"PyCUDA {pycuda.VERSION_TEXT}"
        with _ours("cuInit"):
            driver.init()
        with _ours("cuDevicePrimaryCtxRetain"):
            gpu = driver.Device(0)
            self.device = _describe(gpu)
            self._context = gpu.retain_primary_context()
        self._free: list[Callable[[], None]] = []
        # PyCUDA destroys streams and events with their last reference, and leaks them where its context is not current
        self._kept: list[object] = []
        self._closed = False

    @contextmanager
    def current(self) -> Iterator[None]:
        """See `Cuda.current`."""
        with _ours("cuCtxPushCurrent"):
            self._context.push()
        try:
            yield
        except BaseException:
            with suppress(driver.Error):  # after a fault every call fails, and the first error is the one to be told
                driver.Context.pop()
            raise
        with _ours("cuCtxPopCurrent"):
            driver.Context.pop()

    def device_memory(self, size: int) -> Memory:
        """See `Cuda.device_memory`."""
        with _ours("cuMemAlloc"):
            memory = driver.mem_alloc(size)
        self._free.append(memory.free)
        return Memory(int(memory), None, memory)

    def host_memory(self, size: int, mapped: bool = False) -> Memory:
        """See `Cuda.host_memory`."""
        with _ours("cuMemHostAlloc"):
            flags = driver.host_alloc_flags.DEVICEMAP if mapped else 0
            view = driver.pagelocked_empty(size, np.uint8, mem_flags=flags)
        self._free.append(view.base.free)
        with _ours("cuMemHostGetDevicePointer"):
            address = int(view.base.get_device_pointer()) if mapped else 0
        return Memory(address, view, view)

    def stream(self) -> Stream:
        """See `Cuda.stream`."""
        with _ours("cuStreamCreate"):
            stream = driver.Stream(NON_BLOCKING)
        self._kept.append(stream)
        return Stream(int(stream.handle), stream)

    def event(self) -> Event:
        """See `Cuda.event`."""
        with _ours("cuEventCreate"):
            event = driver.Event(driver.event_flags.DISABLE_TIMING)
        self._kept.append(event)
        return Event(event)

    def upload(self, host: Memory, device: Memory, size: int, stream: Stream) -> None:
        """See `Cuda.upload`."""
        with _ours("cuMemcpyHtoDAsync"):
            driver.memcpy_htod_async(device.address, host.handle[:size], stream.handle)

    def download(self, device: Memory, host: Memory, size: int, stream: Stream) -> None:
        """See `Cuda.download`."""
        with _ours("cuMemcpyDtoHAsync"):
            driver.memcpy_dtoh_async(host.handle[:size], device.address, stream.handle)

    def record(self, event: Event, stream: Stream) -> None:
        """See `Cuda.record`."""
        with _ours("cuEventRecord"):
            event.handle.record(stream.handle)

    def wait(self, stream: Stream, event: Event) -> None:
        """See `Cuda.wait`."""
        with _ours("cuStreamWaitEvent"):
            stream.handle.wait_for_event(event.handle)

    def is_done(self, event: Event) -> bool:
        """See `Cuda.is_done`."""
        with _ours("cuEventQuery"):
            return bool(event.handle.query())

    def synchronize(self, stream: Stream) -> None:
        """See `Cuda.synchronize`."""
        with _ours("cuStreamSynchronize"):
            stream.handle.synchronize()

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Raises `EngineError`: PyCUDA has no graphs."""
        raise EngineError("PyCUDA has no CUDA graphs; pip install cuda-bindings and use --cuda cuda-bindings")

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Raises `EngineError`, as `capture` does."""
        self.capture(stream, lambda: None)

    def drop(self, graph: Graph) -> None:
        """Nothing was captured, so that nothing is to be freed."""

    def close(self) -> None:
        """See `Cuda.close`."""
        if self._closed:
            return
        self._closed = True
        free = [_in_ours("cuMemFree", each) for each in self._free]
        give_back(self.current, [*free, self._kept.clear], _in_ours("cuDevicePrimaryCtxRelease", self._context.detach))
        del self._context  # PyCUDA gives the primary context back with its last reference


def _describe(gpu: "driver.Device") -> Device:
    major, minor = gpu.compute_capability()
    return Device(
        name=gpu.name(),
        compute_capability=(int(major), int(minor)),
        integrated=bool(gpu.get_attribute(driver.device_attribute.INTEGRATED)),
        memory_bytes=int(gpu.total_memory()),
        driver=f"{driver.get_driver_version() // 1000}.{driver.get_driver_version() % 1000 // 10}",
    )


@contextmanager
def _ours(call: str) -> Iterator[None]:
    """PyCUDA's errors become `EngineError`; they name the call that failed, which may be another than `call`."""
    try:
        yield
    except driver.Error as error:
        raise EngineError(f"the CUDA call {call} failed: {error}") from error


def _in_ours(call: str, function: Callable[[], None]) -> Callable[[], None]:
    """The function with its errors as `EngineError`."""

    def called() -> None:
        with _ours(call):
            function()

    return called
