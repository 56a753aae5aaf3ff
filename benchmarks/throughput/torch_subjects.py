"""Rows of a run folder in PyTorch: the module that is exported, eager and compiled."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.throughput.arithmetic import Arithmetic, count
from benchmarks.throughput.subject import Frames, Subject, limit_of
from export.fused import FusedDetector
from export.graph import export_graph
from runtime.errors import EngineError, InputError

RECOMPILATIONS = 64  # one for each row and batch size; PyTorch would go on uncompiled after 8


def arithmetic_of(fused: FusedDetector, size_hw: tuple[int, int]) -> Arithmetic:
    """That of the graph which the module is exported to."""
    return count(export_graph(fused, size_hw), (1, *size_hw, 3))


def subject_of_module(
    name: str,
    fused: FusedDetector,
    size_hw: tuple[int, int],
    arithmetic: Arithmetic,
    *,
    device: str,
    threads: int,
    compiled: bool,
) -> Subject:
    """The row of a fused detector in PyTorch, which takes `fused` over.

    Compiled is Inductor: on a GPU with ``max-autotune``, which includes CUDA graphs. Sets PyTorch's threads for this
    process. Raises `InputError` for ``cuda`` without a GPU, `EngineError` where it cannot be compiled.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is cuda, but PyTorch finds no NVIDIA GPU; use --device cpu or install a CUDA build")
    torch.set_num_threads(threads)
    module = fused.to(device).to(memory_format=torch.channels_last) if device == "cuda" else fused
    call: Callable[[Tensor], Any] = module
    if compiled:
        mode = "max-autotune" if device == "cuda" else None
        call = torch.compile(module, dynamic=False, fullgraph=True, mode=mode)
    infer = _on_gpu(call) if device == "cuda" else _on_cpu(call)
    if compiled:
        _try(infer, size_hw)
    return Subject(
        name=name,
        device=device,
        size_hw=size_hw,
        precision=arithmetic.precision,
        limit=limit_of("torch", device, arithmetic.precision),
        arithmetic=arithmetic,
        describe=lambda: _description(device, threads, compiled),
        infer=infer,
        close=lambda: None,
    )


def _on_cpu(call: Callable[[Tensor], Any]) -> Callable[[Frames], object]:
    def infer(frames: Frames) -> object:
        return [output.numpy() for output in _guarded(call, torch.from_numpy(frames))]

    return infer


def _on_gpu(call: Callable[[Tensor], Any]) -> Callable[[Frames], object]:
    pinned: dict[int, Tensor] = {}  # by batch size: an upload from pinned memory does not wait

    def infer(frames: Frames) -> object:
        if len(frames) not in pinned:
            pinned[len(frames)] = torch.empty(frames.shape, dtype=torch.uint8, pin_memory=True)
        staged = pinned[len(frames)].copy_(torch.from_numpy(frames))
        # the outputs of the call before are copied: they may be overwritten
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        outputs = _guarded(call, staged.to("cuda", non_blocking=True))
        return [output.cpu().numpy() for output in outputs]

    return infer


def _guarded(call: Callable[[Tensor], Any], frames: Tensor) -> Any:
    try:
        with torch.no_grad(), torch._dynamo.config.patch(recompile_limit=RECOMPILATIONS):
            return call(frames)
    except Exception as error:  # Dynamo, Inductor, Triton, CUDA and the C++ compiler each raise their own
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise EngineError(f"PyTorch failed on a batch of {len(frames)}: {reason}") from error


def _try(infer: Callable[[Frames], object], size_hw: tuple[int, int]) -> None:
    import numpy as np

    try:
        infer(np.zeros((1, *size_hw, 3), np.uint8))
    except EngineError as error:
        raise EngineError(
            f"torch.compile does not work here ({error}); it takes a C++ compiler, on a GPU Triton"
        ) from error


def _description(device: str, threads: int, compiled: bool) -> str:
    where = torch.cuda.get_device_name() if device == "cuda" else f"{threads} CPU threads"
    how = "eager" if not compiled else "compiled, CUDA graphs" if device == "cuda" else "compiled"
    return f"PyTorch {torch.__version__.split('+')[0]} {how}, {where}"
