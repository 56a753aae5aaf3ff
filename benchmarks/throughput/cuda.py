"""What copies and launches cost through each CUDA binding: bandwidth, and a chain of work with and without a graph.

::

    python -m benchmarks.throughput.cuda [--cuda auto|cuda-bindings|pycuda] [--repeats 100] [--json FILE]

It takes a GPU and its driver, no TensorRT. The chain is 64 small copies, one after the other: what starting them costs
is most of their time, as with the many small kernels of a network. A graph starts all of them at once. Each measurement
runs to the synchronized end of the stream.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from benchmarks.throughput.timing import P95_SAMPLES, Percentiles
from runtime import cli
from runtime.atomic import write_atomically
from runtime.engine_options import add_cuda_option
from runtime.tensorrt.cuda import open_cuda

if TYPE_CHECKING:
    from runtime.tensorrt.cuda import Cuda, Stream

COPY_BYTES = 64 << 20
CHAIN_LINKS, LINK_BYTES = 64, 256
WARM_UP = 5


@dataclass(frozen=True)
class CudaCosts:
    """Medians and, of 100 repeats or more, 95th percentiles."""

    upload_gb_s: float  # median, of 64 MiB from pinned memory
    download_gb_s: float
    chain_us: tuple[float, float | None]  # p50, p95 of 64 dependent small copies, launched one by one
    graph_us: tuple[float, float | None] | None  # the same as one graph; None where the binding has none
    repeats: int

    def lines(self) -> list[str]:
        """The figures as text."""
        graph = "this binding has none"
        if self.graph_us is not None:
            graph = f"{_in_words(self.graph_us)}, "
            graph += f"{self.graph_us[0] / self.chain_us[0]:.2f} of the time"
        return [
            f"upload                {self.upload_gb_s:.2f} GB/s, {COPY_BYTES >> 20} MiB from pinned memory",
            f"download              {self.download_gb_s:.2f} GB/s",
            f"{CHAIN_LINKS} launches           {_in_words(self.chain_us)}",
            f"the same as a graph   {graph}",
            f"medians of            {self.repeats} repeats",
        ]


def measure(cuda: "Cuda", repeats: int, copy_bytes: int = COPY_BYTES) -> CudaCosts:
    """Measure a GPU. Raises `EngineError` for a CUDA call that fails."""
    with cuda.current():
        host, device, stream = cuda.host_memory(copy_bytes), cuda.device_memory(copy_bytes), cuda.stream()

        def chain() -> None:
            for _ in range(CHAIN_LINKS):
                cuda.upload(host, device, LINK_BYTES, stream)

        upload = _seconds(cuda, stream, lambda: cuda.upload(host, device, copy_bytes, stream), repeats)
        download = _seconds(cuda, stream, lambda: cuda.download(device, host, copy_bytes, stream), repeats)
        plain, graph_us = _seconds(cuda, stream, chain, repeats), None
        if cuda.has_graphs:
            graph = cuda.capture(stream, chain)
            graph_us = _microseconds(_seconds(cuda, stream, lambda: cuda.launch(graph, stream), repeats))
            cuda.drop(graph)
    speeds = [copy_bytes / 1e9 / float(np.median(seconds)) for seconds in (upload, download)]
    return CudaCosts(speeds[0], speeds[1], _microseconds(plain), graph_us, repeats)


def _seconds(cuda: "Cuda", stream: "Stream", work: Callable[[], None], repeats: int) -> list[float]:
    taken = []
    for _ in range(WARM_UP + repeats):
        began = time.perf_counter()
        work()
        cuda.synchronize(stream)
        taken.append(time.perf_counter() - began)
    return taken[WARM_UP:]


def _microseconds(seconds: list[float]) -> tuple[float, float | None]:
    found = Percentiles.of(np.array(seconds), 1e6)
    return found.p50, found.p95


def _in_words(microseconds: tuple[float, float | None]) -> str:
    p50, p95 = microseconds
    return f"{p50:.1f} µs" if p95 is None else f"{p50:.1f} µs (p95 {p95:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.throughput.cuda"), description="Time copies and launches on a GPU."
    )
    add_cuda_option(parser)
    parser.add_argument("--repeats", type=cli.positive, default=P95_SAMPLES, metavar="N", help="of each (%(default)s)")
    add_json_option(parser)
    arguments = parser.parse_args()

    cuda = open_cuda(arguments.cuda or "auto")
    try:
        costs = measure(cuda, arguments.repeats)
    finally:
        cuda.close()
    environment = describe_environment()
    gpu = cuda.device
    major, minor = gpu.compute_capability
    print(f"{gpu.name}, compute capability {major}.{minor}, CUDA {gpu.driver} by its driver, {cuda.description}")
    print("\n".join(costs.lines()))
    print(one_line(environment))
    if arguments.json:
        document = {**asdict(costs), "gpu": asdict(gpu), "binding": cuda.description, "environment": environment}
        write_atomically(arguments.json, json.dumps(document, indent=1).encode())


if __name__ == "__main__":
    cli.run(main)
