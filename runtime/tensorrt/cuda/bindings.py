"""CUDA through cuda-bindings, NVIDIA's own (12.8 and later), which has graphs."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import Any

import numpy as np
from cuda.bindings import driver

from runtime.errors import EngineError
from runtime.tensorrt.cuda.base import Device, Event, Graph, Memory, Stream, give_back

_ATTRIBUTE = driver.CUdevice_attribute
_NON_BLOCKING = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
_NO_TIMING = driver.CUevent_flags.CU_EVENT_DISABLE_TIMING
# other threads may go on calling CUDA while one captures
_THREAD_LOCAL = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL


class CudaBindings:
    """A `Cuda` over ``cuda.bindings.driver``."""

    has_graphs = True

    def __init__(self) -> None:
        self.description = f"cuda-bindings {metadata.version('cuda-bindings')}"
        _call("cuInit", 0)
        self._number = _call("cuDeviceGet", 0)
        self.device = _describe(self._number)
        self._context = _call("cuDevicePrimaryCtxRetain", self._number)
        self._free: list[Callable[[], object]] = []
        self._closed = False

    @contextmanager
    def current(self) -> Iterator[None]:
        """See `Cuda.current`."""
        _call("cuCtxPushCurrent", self._context)
        try:
            yield
        except BaseException:
            with suppress(EngineError):  # after a fault every call fails, and the first error is the one to be told
                _call("cuCtxPopCurrent")
            raise
        _call("cuCtxPopCurrent")

    def device_memory(self, size: int) -> Memory:
        """See `Cuda.device_memory`."""
        pointer = _call("cuMemAlloc", size)
        self._free.append(lambda: _call("cuMemFree", pointer))
        return Memory(int(pointer), None, pointer)

    def host_memory(self, size: int, mapped: bool = False) -> Memory:
        """See `Cuda.host_memory`."""
        address = int(_call("cuMemHostAlloc", size, driver.CU_MEMHOSTALLOC_DEVICEMAP if mapped else 0))
        self._free.append(lambda: _call("cuMemFreeHost", address))
        view = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        return Memory(int(_call("cuMemHostGetDevicePointer", address, 0)) if mapped else 0, view, address)

    def stream(self) -> Stream:
        """See `Cuda.stream`."""
        stream = _call("cuStreamCreate", _NON_BLOCKING)
        self._free.append(lambda: _call("cuStreamDestroy", stream))
        return Stream(int(stream), stream)

    def event(self) -> Event:
        """See `Cuda.event`."""
        event = _call("cuEventCreate", _NO_TIMING)
        self._free.append(lambda: _call("cuEventDestroy", event))
        return Event(event)

    def upload(self, host: Memory, device: Memory, size: int, stream: Stream) -> None:
        """See `Cuda.upload`."""
        _call("cuMemcpyHtoDAsync", device.handle, host.handle, size, stream.handle)

    def download(self, device: Memory, host: Memory, size: int, stream: Stream) -> None:
        """See `Cuda.download`."""
        _call("cuMemcpyDtoHAsync", host.handle, device.handle, size, stream.handle)

    def record(self, event: Event, stream: Stream) -> None:
        """See `Cuda.record`."""
        _call("cuEventRecord", event.handle, stream.handle)

    def wait(self, stream: Stream, event: Event) -> None:
        """See `Cuda.wait`."""
        _call("cuStreamWaitEvent", stream.handle, event.handle, 0)

    def is_done(self, event: Event) -> bool:
        """See `Cuda.is_done`."""
        (code,) = driver.cuEventQuery(event.handle)
        if code == driver.CUresult.CUDA_ERROR_NOT_READY:
            return False
        _check("cuEventQuery", code)
        return True

    def synchronize(self, stream: Stream) -> None:
        """See `Cuda.synchronize`."""
        _call("cuStreamSynchronize", stream.handle)

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """See `Cuda.capture`."""
        _call("cuStreamBeginCapture", stream.handle, _THREAD_LOCAL)
        try:
            work()
        except BaseException:
            # a capture that was made invalid fails to end, and has ended all the same
            code, graph = driver.cuStreamEndCapture(stream.handle)
            if code == driver.CUresult.CUDA_SUCCESS:
                with suppress(EngineError):
                    _call("cuGraphDestroy", graph)
            raise
        graph = _call("cuStreamEndCapture", stream.handle)
        try:
            return Graph(_call("cuGraphInstantiate", graph, 0))
        finally:
            _call("cuGraphDestroy", graph)

    def launch(self, graph: Graph, stream: Stream) -> None:
        """See `Cuda.launch`."""
        _call("cuGraphLaunch", graph.handle, stream.handle)

    def drop(self, graph: Graph) -> None:
        """See `Cuda.drop`."""
        _call("cuGraphExecDestroy", graph.handle)

    def close(self) -> None:
        """See `Cuda.close`."""
        if self._closed:
            return
        self._closed = True
        # the last first: streams are made before the memory that is used in them, and are freed behind it
        give_back(self.current, self._free, lambda: _call("cuDevicePrimaryCtxRelease", self._number))


def _describe(number: Any) -> Device:
    version = _call("cuDriverGetVersion")
    major = _call("cuDeviceGetAttribute", _ATTRIBUTE.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, number)
    minor = _call("cuDeviceGetAttribute", _ATTRIBUTE.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, number)
    return Device(
        name=bytes(_call("cuDeviceGetName", 256, number)).split(b"\0")[0].decode(),
        compute_capability=(int(major), int(minor)),
        integrated=bool(_call("cuDeviceGetAttribute", _ATTRIBUTE.CU_DEVICE_ATTRIBUTE_INTEGRATED, number)),
        memory_bytes=int(_call("cuDeviceTotalMem", number)),
        driver=f"{version // 1000}.{version % 1000 // 10}",
    )


def _call(name: str, *arguments: Any) -> Any:
    """The result of a driver call, without its error code; raises `EngineError` for any but success."""
    code, *values = getattr(driver, name)(*arguments)
    _check(name, code)
    return values[0] if values else None


def _check(name: str, code: Any) -> None:
    if code != driver.CUresult.CUDA_SUCCESS:
        raise EngineError(f"the CUDA call {name} failed: {code.name}")
