"""Our method before dense extraction: one crop for each position, through networks as they were trained.

It runs in ONNX Runtime on the CPU with the same threads as the fused graph, so that what differs is the form alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.throughput.arithmetic import Arithmetic, count
from benchmarks.throughput.subject import Frames, Subject, limit_of
from calibration.methods.students import StudentsRun
from export.graph import exported
from runtime.engines.onnxruntime_engine import open_session
from runtime.errors import EngineError, InputError
from train.dense import axis
from train.ensemble import Scale
from train.networks import PatchNetwork, receptive_field

Array = NDArray[np.float32]


def patches_subject(name: str, run: StudentsRun, threads: int, positions: int) -> Subject:
    """One crop for each position, through networks as they were trained: the method before dense extraction.

    Measured at `positions` of them, spread evenly, in one batch for each network, and scaled linearly to all. Raises
    `InputError` for more positions than there are.
    """
    config = run.config
    stride = config.output_stride
    all_positions = -(-config.frame_hw[0] // stride) * -(-config.frame_hw[1] // stride)
    if not 1 <= positions <= all_positions:
        raise InputError(f"--positions is {positions}; expected 1 to {all_positions}, all that a frame has")
    scales = [_crops_of_scale(scale, config.frame_hw, stride, positions, threads) for scale in run.scales]

    def infer(frames: Frames) -> object:
        return [crops.descriptors(frames[0]) for crops in scales]

    factor = all_positions / positions
    layers = [layer for crops in scales for part in crops.counted for layer in part.layers]
    whole = Arithmetic(
        tuple(
            replace(
                layer,
                multiply_adds=round(layer.multiply_adds * factor),
                moved_bytes=round(layer.moved_bytes * factor),
            )
            for layer in layers
        )
    )
    note = f"{name}: measured at {positions} of {all_positions} positions and scaled linearly"
    made = _subject(name, config.frame_hw, whole, threads, infer)
    return replace(made, max_batch=1, factor=factor, note=note)


@dataclass(frozen=True)
class Crops:
    """One scale, crop by crop."""

    corners: NDArray[np.intp]  # [K, 2], of the crops in the padded frame
    side: int
    halo: tuple[tuple[int, int], tuple[int, int]]  # reflected pixels before and behind, rows and columns
    sessions: tuple[Any, ...]
    counted: tuple[Arithmetic, ...]

    def descriptors(self, frame: NDArray[np.uint8]) -> list[Array]:
        """Descriptors [K, 128] of each network, of a frame [H, W, 3], BGR."""
        padded = np.pad(frame[..., ::-1], (*self.halo, (0, 0)), mode="reflect")
        crops = np.stack([padded[y : y + self.side, x : x + self.side] for y, x in self.corners])
        pixels = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
        return [_run(session, "crops", pixels) for session in self.sessions]


def _crops_of_scale(scale: Scale, size_hw: tuple[int, int], stride: int, positions: int, threads: int) -> Crops:
    layers = scale.teacher.network.layers
    side = receptive_field(layers)
    rows, columns = (axis(layers, length, stride) for length in size_hw)
    chosen = np.linspace(0, rows.positions * columns.positions - 1, positions).astype(np.intp)
    corners = np.stack([chosen // columns.positions, chosen % columns.positions], axis=1) * stride
    graphs = [crop_graph(network, side) for network in _networks(scale)]
    return Crops(
        corners,
        side,
        ((rows.before, max(0, rows.behind)), (columns.before, max(0, columns.behind))),
        tuple(open_session(graph, "cpu", threads) for graph in graphs),
        tuple(count(graph, (positions, 3, side, side)) for graph in graphs),
    )


def crop_graph(network: PatchNetwork, side: int) -> bytes:
    """The ONNX file of one network over crops, float32 [K, 3, side, side], RGB in [0, 1]."""
    count = torch.export.Dim("count", min=1, max=65_536)
    return exported(network, torch.zeros(2, 3, side, side), count, "crops", ["descriptors"])


def _networks(scale: Scale) -> list[PatchNetwork]:
    return [scale.teacher.network, *scale.students]


def _run(session: Any, name: str, values: NDArray[Any]) -> Array:
    try:
        return np.asarray(session.run(None, {name: values})[0], np.float32)
    except Exception as error:  # ONNX Runtime's own exceptions have no common base
        raise EngineError(f"ONNX Runtime failed on a batch of {len(values)}: {error}") from error


def _subject(
    name: str,
    size_hw: tuple[int, int],
    arithmetic: Arithmetic,
    threads: int,
    infer: Callable[[Frames], object],
) -> Subject:
    import onnxruntime

    return Subject(
        name=name,
        device="cpu",
        size_hw=size_hw,
        precision=arithmetic.precision,
        limit=limit_of("onnxruntime", "cpu", arithmetic.precision),
        arithmetic=arithmetic,
        describe=lambda: f"ONNX Runtime {onnxruntime.__version__}, {threads} CPU threads",
        infer=infer,
        close=lambda: None,
    )
