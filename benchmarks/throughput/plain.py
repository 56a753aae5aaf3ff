"""Our method without its engineering: networks one by one with the equations outside, and one crop for each position.

Both run in ONNX Runtime on the CPU with the same threads as the fused graph, so that what differs is the form alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from calibration.scoring import Moments, smoothing_reach
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.throughput.arithmetic import Arithmetic, count
from benchmarks.throughput.subject import Frames, Subject, limit_of
from benchmarks.throughput.torch_subjects import Calibrated
from export.graph import OPSET, cleaned
from runtime.engines.onnxruntime_engine import open_session
from runtime.errors import EngineError, InputError
from train.dense import axis, dense_descriptors
from train.ensemble import Scale, pixels_from_frames
from train.networks import PatchNetwork, receptive_field

Array = NDArray[np.float32]


def unfused_subject(name: str, run: Calibrated, threads: int) -> Subject:
    """Each teacher and student a graph of its own, from frames to descriptors; equations 7 to 12 in NumPy."""
    config = run.trained.config
    height, width = config.size_hw
    graphs = [
        [dense_graph(network, config.size_hw, config.output_stride) for network in _networks(scale)]
        for scale in run.trained.scales
    ]
    counted = [count(graph, (1, height, width, 3)) for scale in graphs for graph in scale]
    sessions = [[open_session(graph, "cpu", threads) for graph in scale] for scale in graphs]

    def infer(frames: Frames) -> tuple[Array, Array]:
        descriptors = [[_run(session, "frames", frames) for session in scale] for scale in sessions]
        return maps_and_scores(run, descriptors)

    arithmetic = Arithmetic(tuple(layer for part in counted for layer in part.layers))
    return _subject(name, config.size_hw, arithmetic, threads, infer)


def maps_and_scores(run: Calibrated, descriptors: Sequence[Sequence[Array]]) -> tuple[Array, Array]:
    """Equations 7 to 12 in NumPy: maps [N, H, W] and scores [N].

    Of descriptors [N, 128, h, w] for each scale, the teacher's first, as its network gives them.
    """
    config, maps = run.trained.config, []
    terms = zip(run.trained.scales, run.statistics.moments, descriptors, strict=True)
    for scale, moments, (teacher, *students) in terms:
        mean, deviation = scale.teacher.mean.numpy(), scale.teacher.deviation.numpy()
        target = (teacher - mean[:, None, None]) / deviation[:, None, None]
        maps.append(normalized_terms(np.stack(students), target, moments, config.relative))
    whole = np.stack([_upsampled(one, config.size_hw, config.output_stride) for one in np.mean(maps, axis=0)])
    if config.smoothing:
        whole = np.stack([_smoothed(one, config.smoothing) for one in whole])
    top, left, height, width = config.region_of_interest or (0, 0, *config.size_hw)
    scored, positions = whole, run.statistics.positions
    if positions is not None:
        scored = (whole - positions.mean.numpy()) / positions.deviation.numpy()
    inside = scored[:, top : top + height, left : left + width].reshape(len(whole), -1)
    highest = np.partition(inside, -config.score_pixels, axis=1)[:, -config.score_pixels :]
    return whole, highest.mean(axis=1)


def normalized_terms(students: Array, target: Array, moments: Moments, relative: bool) -> Array:
    """Equations 8 to 11: the sum of the normalized terms [N, h, w].

    Of students [M, N, 128, h, w] and the standardized teacher [N, 128, h, w]; see `calibration.scoring.relative`.
    """
    mean = students.mean(axis=0)
    size = 1 + np.square(target).mean(axis=1) if relative else np.float32(1)
    error = np.square(mean - target).sum(axis=1) / size
    found: Array = (error - moments.error_mean) / moments.error_std
    if moments.variance_mean is not None and moments.variance_std is not None:
        variance = np.square(students - mean).sum(axis=2).mean(axis=0) / size
        found = found + (variance - moments.variance_mean) / moments.variance_std
    return found


def patches_subject(name: str, run: Calibrated, threads: int, positions: int) -> Subject:
    """One crop for each position, through networks as they were trained: the method before dense extraction.

    Measured at `positions` of them, spread evenly, in one batch for each network, and scaled linearly to all. Raises
    `InputError` for more positions than there are.
    """
    config = run.trained.config
    stride = config.output_stride
    all_positions = -(-config.size_hw[0] // stride) * -(-config.size_hw[1] // stride)
    if not 1 <= positions <= all_positions:
        raise InputError(f"--positions is {positions}; expected 1 to {all_positions}, all that a frame has")
    scales = [_crops_of_scale(scale, config.size_hw, stride, positions, threads) for scale in run.trained.scales]

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
    made = _subject(name, config.size_hw, whole, threads, infer)
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


class _Dense(nn.Module):
    """A network's descriptors [N, 128, h, w] of frames uint8 [N, H, W, 3], nothing folded."""

    def __init__(self, network: PatchNetwork, stride: int) -> None:
        super().__init__()
        self.network, self.stride = network, stride

    def forward(self, frames: Tensor) -> Tensor:
        return dense_descriptors(self.network, pixels_from_frames(frames), self.stride)


def dense_graph(network: PatchNetwork, size_hw: tuple[int, int], stride: int) -> bytes:
    """The ONNX file of one network over whole frames, in Bailer's form."""
    frames = torch.zeros(2, *size_hw, 3, dtype=torch.uint8)
    return _exported(_Dense(network, stride), frames, "frames")


def crop_graph(network: PatchNetwork, side: int) -> bytes:
    """The ONNX file of one network over crops, float32 [K, 3, side, side], RGB in [0, 1]."""
    return _exported(network, torch.zeros(2, 3, side, side), "crops")


def _exported(module: nn.Module, example: Tensor, name: str) -> bytes:
    import logging
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes to its own authors
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[name],
            output_names=["descriptors"],
            dynamic_shapes=({0: torch.export.Dim("count", min=1, max=65_536)},),
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return cleaned(program.model_proto)


def _networks(scale: Scale) -> list[PatchNetwork]:
    return [scale.teacher.network, *scale.students]


def _upsampled(one: Array, size_hw: tuple[int, int], stride: int) -> Array:
    """As `calibration.scoring.upsampled`, of one map [h, w]: OpenCV has the same centres and repeats the borders."""
    if stride == 1:
        return one
    size = (one.shape[1] * stride, one.shape[0] * stride)
    resized = np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return resized[: size_hw[0], : size_hw[1]]


def _smoothed(one: Array, sigma: float) -> Array:
    """As `calibration.scoring.smoothed`, of one map [H, W]."""
    side = 2 * smoothing_reach(sigma) + 1
    return np.asarray(cv2.GaussianBlur(one, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)


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
