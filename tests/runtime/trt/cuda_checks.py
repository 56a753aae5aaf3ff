"""Checks of a CUDA binding, each a function that runs in a process of its own: ``cuda_checks.py BINDING CHECK``.

They hold for a real GPU and for the driver without one (driver.c) alike. What a check prints is its result.
"""

import sys
import threading

import numpy as np
import pytest

from runtime.errors import EngineError
from runtime.tensorrt.cuda import Cuda, open_cuda


def device(cuda: Cuda) -> None:
    gpu = cuda.device
    assert gpu.name
    assert gpu.compute_capability >= (5, 0)
    assert gpu.memory_bytes > 1 << 28
    assert float(gpu.driver) >= 11
    print(f"{gpu.name}, {cuda.description}, CUDA {gpu.driver}")


def copies_there_and_back(cuda: Cuda) -> None:
    size = 100_001
    with cuda.current():
        there, back = cuda.host_memory(size), cuda.host_memory(size)
        memory, stream, event = cuda.device_memory(size), cuda.stream(), cuda.event()
        assert there.host is not None
        assert back.host is not None
        there.host[:] = np.arange(size) % 251
        back.host[:] = 0
        cuda.upload(there, memory, size, stream)
        cuda.download(memory, back, size - 1, stream)  # and not one byte more
        cuda.record(event, stream)
        cuda.synchronize(stream)
        assert cuda.is_done(event)
        np.testing.assert_array_equal(back.host[:-1], there.host[:-1])
        assert back.host[-1] == 0


def mapped_memory_has_an_address_on_the_gpu(cuda: Cuda) -> None:
    with cuda.current():
        mapped, plain, stream = cuda.host_memory(64, mapped=True), cuda.host_memory(64), cuda.stream()
        assert mapped.address
        assert not plain.address
        assert mapped.host is not None
        assert plain.host is not None
        mapped.host[:] = 7
        cuda.download(mapped, plain, 64, stream)  # the GPU reads what the CPU wrote
        cuda.synchronize(stream)
        assert (plain.host == 7).all()


def streams_wait_for_events(cuda: Cuda) -> None:
    size = 1 << 24
    with cuda.current():
        there, back, memory = cuda.host_memory(size), cuda.host_memory(size), cuda.device_memory(size)
        uploads, work, uploaded, done = cuda.stream(), cuda.stream(), cuda.event(), cuda.event()
        assert uploads.address
        assert uploads.address != work.address
        assert there.host is not None
        assert back.host is not None
        for value in range(1, 5):
            there.host[:] = value
            cuda.upload(there, memory, size, uploads)
            cuda.record(uploaded, uploads)
            cuda.wait(work, uploaded)
            cuda.download(memory, back, size, work)
            cuda.record(done, work)
            while not cuda.is_done(done):
                pass
            assert (back.host == value).all()


def graphs_do_their_work_when_launched(cuda: Cuda) -> None:
    if not cuda.has_graphs:
        print("no graphs")
        return
    with cuda.current():
        there, back = cuda.host_memory(64), cuda.host_memory(64)
        memory, stream = cuda.device_memory(64), cuda.stream()
        assert there.host is not None
        assert back.host is not None

        def work() -> None:
            cuda.upload(there, memory, 64, stream)
            cuda.download(memory, back, 64, stream)

        back.host[:] = 0
        graph = cuda.capture(stream, work)
        cuda.synchronize(stream)
        assert not back.host.any(), "capturing did the work"
        for value in (3, 4):
            there.host[:] = value
            cuda.launch(graph, stream)
            cuda.synchronize(stream)
            assert (back.host == value).all()
        cuda.drop(graph)


def a_failed_capture_leaves_the_stream_usable(cuda: Cuda) -> None:
    with cuda.current():
        there, memory, stream = cuda.host_memory(64), cuda.device_memory(64), cuda.stream()

        def broken() -> None:
            cuda.upload(there, memory, 64, stream)
            raise EngineError("TensorRT could not start")

        with pytest.raises(EngineError, match="could not start" if cuda.has_graphs else "no CUDA graphs"):
            cuda.capture(stream, broken)
        cuda.upload(there, memory, 64, stream)
        cuda.synchronize(stream)


def any_thread_may_use_it(cuda: Cuda) -> None:
    problems: list[BaseException] = []

    def work() -> None:
        try:
            copies_there_and_back(cuda)
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not problems, problems


def a_failed_call_is_named(cuda: Cuda) -> None:
    """Memory that no GPU has."""
    with pytest.raises(EngineError, match="the CUDA call cuMemAlloc failed"), cuda.current():
        cuda.device_memory(1 << 60)


def main() -> None:
    cuda = open_cuda(sys.argv[1])
    try:
        globals()[sys.argv[2]](cuda)
    finally:
        cuda.close()
    cuda.close()


if __name__ == "__main__":
    main()
