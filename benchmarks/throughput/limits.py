"""What a machine can do at most, measured in the same run: a matrix product of each precision, and a copy of memory."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from runtime.engines.onnxruntime_engine import open_session

SMALLEST, LARGEST = 1024, 8192  # side of the square matrices
LONG_ENOUGH_S = 0.02  # of one product: below that its start counts
COPY_BYTES = 256 << 20  # many times a cache


@dataclass(frozen=True)
class Probe:
    """One thing to be timed for a limit; `work` is operations, or for the kind ``copy`` bytes read and written."""

    kind: str  # fp32, tf32, fp16, int8 or copy
    device: str  # cpu or cuda
    how: str  # in words
    work: float
    call: Callable[[], object]


def probes(kinds: set[tuple[str, str]], threads: int) -> list[Probe]:
    """What can be timed here for these pairs of device and precision, and a copy for each of the devices.

    For some nothing can: a GPU's limits take PyTorch with CUDA.
    """
    found: list[Probe] = []
    for device, kind in sorted(kinds):
        found += _cuda_products(kind) if device == "cuda" else _cpu_products(kind, threads)
    for device in sorted({device for device, _ in kinds}):
        found += _cuda_copy() if device == "cuda" else [_cpu_copy(threads)]
    return found


def _cpu_products(kind: str, threads: int) -> list[Probe]:
    if kind == "int8":
        return [_sized("int8", "cpu", "ONNX Runtime MatMulInteger", partial(_onnxruntime_product, "int8", threads))]
    makers = {
        "NumPy": partial(_numpy_product, threads),
        "PyTorch": partial(_torch_product, threads),
        "ONNX Runtime MatMul": partial(_onnxruntime_product, "fp32", threads),
    }
    found = []
    for how, maker in makers.items():
        with contextlib.suppress(ModuleNotFoundError):  # the best of what is installed
            found.append(_sized("fp32", "cpu", how, maker))
    return found


def _sized(kind: str, device: str, how: str, maker: Callable[[int], Callable[[], object]]) -> Probe:
    """A product of matrices just large enough for its start not to count."""
    side = SMALLEST
    while True:
        call = maker(side)
        call()
        start = time.perf_counter()
        call()
        if time.perf_counter() - start >= LONG_ENOUGH_S or side >= LARGEST:
            return Probe(kind, device, f"{how}, {side}×{side}", 2.0 * side**3, call)
        side *= 2


def _numpy_product(threads: int, side: int) -> Callable[[], object]:
    from threadpoolctl import threadpool_limits

    a, b = (_random(side) for _ in range(2))
    out = np.empty_like(a)

    def call() -> object:
        with threadpool_limits(threads, user_api="blas"):
            return np.matmul(a, b, out=out)

    return call


def _torch_product(threads: int, side: int) -> Callable[[], object]:
    import torch

    a, b = (torch.from_numpy(_random(side)) for _ in range(2))
    out = torch.empty_like(a)

    def call() -> object:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return torch.matmul(a, b, out=out)
        finally:
            torch.set_num_threads(before)

    return call


def _onnxruntime_product(kind: str, threads: int, side: int) -> Callable[[], object]:
    """With the second matrix constant, as weights are: the library may pack it beforehand."""

    session = open_session(_product_graph(kind, side), "cpu", threads)
    a = _random(side) if kind == "fp32" else np.random.default_rng(0).integers(0, 128, (side, side), np.uint8)
    return lambda: session.run(None, {"a": a})


def _product_graph(kind: str, side: int) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    operator, source, result, b = "MatMul", TensorProto.FLOAT, TensorProto.FLOAT, _random(side)
    if kind == "int8":
        operator, source, result = "MatMulInteger", TensorProto.UINT8, TensorProto.INT32
        b = np.random.default_rng(1).integers(-64, 64, (side, side)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", source, [side, side])],
        [helper.make_tensor_value_info("c", result, [side, side])],
        [numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def _cpu_copy(threads: int) -> Probe:
    source, target = np.ones(COPY_BYTES, np.uint8), np.zeros(COPY_BYTES, np.uint8)
    sources, targets = (np.array_split(array, threads) for array in (source, target))  # views
    pool = ThreadPoolExecutor(threads)

    def call() -> object:
        return list(pool.map(np.copyto, targets, sources))

    return Probe("copy", "cpu", f"NumPy copy of {COPY_BYTES >> 20} MiB", 2.0 * COPY_BYTES, call)


def _cuda_products(kind: str) -> list[Probe]:
    torch = _torch_with_cuda()
    if torch is None or (kind == "int8" and not hasattr(torch, "_int_mm")):
        return []
    maker = partial(_cuda_product, torch, kind)
    return [_sized(kind, "cuda", f"PyTorch {kind} product, {torch.cuda.get_device_name()}", maker)]


def _cuda_product(torch: Any, kind: str, side: int) -> Callable[[], object]:
    if kind == "int8":
        a, b = (torch.randint(-64, 64, (side, side), dtype=torch.int8, device="cuda") for _ in range(2))
        product = partial(torch._int_mm, a, b.t())  # PyTorch has no public INT8 product
    else:
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(kind, torch.float32)
        a, b = (torch.rand(side, side, dtype=dtype, device="cuda") for _ in range(2))
        product = partial(torch.matmul, a, b)

    def call() -> object:
        with _matmul_precision(torch, "high" if kind == "tf32" else "highest"):
            product()
        torch.cuda.synchronize()
        return None

    return call


@contextlib.contextmanager
def _matmul_precision(torch: Any, precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _cuda_copy() -> list[Probe]:
    torch = _torch_with_cuda()
    if torch is None:
        return []
    source, target = (torch.ones(COPY_BYTES, dtype=torch.uint8, device="cuda") for _ in range(2))

    def call() -> object:
        target.copy_(source)
        torch.cuda.synchronize()
        return None

    return [Probe("copy", "cuda", f"PyTorch copy of {COPY_BYTES >> 20} MiB on the GPU", 2.0 * COPY_BYTES, call)]


def _torch_with_cuda() -> Any:
    try:
        import torch
    except ModuleNotFoundError:
        return None
    return torch if torch.cuda.is_available() else None


def _random(side: int) -> Any:
    return np.random.default_rng(0).random((side, side), np.float32)
