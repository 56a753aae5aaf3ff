"""The exported graph against equations 8 to 12, written in NumPy from the plain networks' descriptors in float64."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from calibration.scoring import Moments, Positions
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from export.fused import FusedDetector
from export.graph import export_graph, with_halved_weights
from train.dense import Form, dense_descriptors
from train.ensemble import Scale
from train.networks import PatchNetwork

Array = NDArray[np.float64]
FP32_TOLERANCE = 1e-4  # of the map's standard deviation
FP16_TOLERANCE = 2e-2  # 1.1e-2 is measured; with a first convolution in FP16 2.3e-2


@dataclass(frozen=True)
class Case:
    """One way to export."""

    patch_sizes: tuple[int, ...]
    students: int
    stride: int
    form: Form
    size_hw: tuple[int, int]
    score_pixels: int = 1
    region: tuple[int, int, int, int] | None = None
    explain: bool = False
    half: bool = False
    relative: bool = False
    smoothing: float = 0.0
    by_position: bool = False


@dataclass(frozen=True)
class Expected:
    """What the paper's formulas give, [N, …]; the terms are [N, L, H, W]."""

    anomaly_map: Array
    anomaly_score: Array
    deviation_map: Array
    regression_error: Array
    predictive_variance: Array


CASES = {
    "stride 8, bailer": Case((17, 65), 1, 8, "bailer", (34, 39), 1, None, True),
    "stride 1, atrous": Case((33,), 1, 1, "atrous", (33, 30), 1, (3, 4, 20, 21), True),
    "stride 1, bailer": Case((65,), 1, 1, "bailer", (31, 33), 9),
    "stride 2, bailer": Case((33,), 3, 2, "bailer", (35, 37), 1, None),
    "stride 4, atrous": Case((33, 65), 2, 4, "atrous", (38, 41), 7, (2, 5, 30, 31), True),
    "relative and smoothed": Case((33, 65), 2, 4, "bailer", (38, 41), explain=True, relative=True, smoothing=2.5),
    "by position": Case((33,), 1, 4, "bailer", (38, 41), 3, (2, 5, 30, 31), True, smoothing=2.5, by_position=True),
    "stride 8, p17": Case((17,), 1, 8, "atrous", (26, 33), 200),
}


def frames_of(size_hw: tuple[int, int], count: int) -> NDArray[np.uint8]:
    """Noise on gradients of their own colour, so that a swap of channels or axes shows."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    base = np.stack([3 * x, 2 * y, 200 - 2 * x], axis=-1)
    noise = np.random.default_rng(0).integers(0, 56, (count, *size_hw, 3))
    return (base + noise).clip(0, 255).astype(np.uint8)


def upsampling(count: int, length: int, stride: int) -> Array:
    """[count, length]: what sample k gives to each pixel; bilinear between the samples' centres, constant beyond."""
    centres = np.arange(count) * stride + (stride - 1) / 2
    return np.array([np.interp(np.arange(length), centres, unit) for unit in np.eye(count)])


def plain_terms(scale: Scale, frames: NDArray[np.uint8], stride: int, relative: bool = False) -> tuple[Array, Array]:
    """Regression error and predictive variance [N, H, W], equations 8 to 10 as printed, or in relation to ‖T‖²."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames[..., ::-1].transpose(0, 3, 1, 2))).double() / 255

    def descriptors(network: PatchNetwork) -> Array:
        return np.asarray(dense_descriptors(deepcopy(network).double(), pixels, stride, "atrous").numpy(), np.float64)

    mean, deviation = (t.double().numpy()[:, None, None] for t in (scale.teacher.mean, scale.teacher.deviation))
    teacher = (descriptors(scale.teacher.network) - mean) / deviation
    students = np.stack([descriptors(student) for student in scale.students])
    ensemble = students.mean(axis=0)
    error = ((ensemble - teacher) ** 2).sum(axis=1)
    variance = (students**2).sum(axis=2).mean(axis=0) - (ensemble**2).sum(axis=1)
    if relative:
        size = 1 + (teacher**2).sum(axis=1) / 128
        error, variance = error / size, variance / size
    (height, width), (h, w) = frames.shape[1:3], error.shape[1:]
    rows, columns = upsampling(h, height, stride), upsampling(w, width, stride)
    return rows.T @ error @ columns, rows.T @ variance @ columns


def moments_of(error: Array, variance: Array, students: int) -> Moments:
    """Of the frames at hand, as calibration finds them of good ones: the terms come out near 0 ± 1."""
    single = students == 1
    return Moments(
        float(error.mean()),
        float(error.std()),
        None if single else float(variance.mean()),
        None if single else float(variance.std()),
    )


def plain_outputs(case: Case, terms: Sequence[tuple[Array, Array]], moments: Sequence[Moments]) -> Expected:
    """Equations 11 and 12, and the score."""
    errors = [(error - m.error_mean) / m.error_std for (error, _), m in zip(terms, moments, strict=True)]
    variances = [
        np.zeros_like(variance) if m.variance_mean is None or m.variance_std is None
        else (variance - m.variance_mean) / m.variance_std
        for (_, variance), m in zip(terms, moments, strict=True)
    ]  # fmt: skip
    anomaly_map: Array = np.mean([e + v for e, v in zip(errors, variances, strict=True)], axis=0)
    if case.smoothing:
        reach = int(np.ceil(3 * case.smoothing))
        anomaly_map = np.stack([gaussian_filter(m, case.smoothing, mode="mirror", radius=reach) for m in anomaly_map])
    positions = positions_of(case)
    scored = anomaly_map
    if positions is not None:
        scored = (anomaly_map - positions.mean.double().numpy()) / positions.deviation.double().numpy()
    top, left, height, width = case.region or (0, 0, *case.size_hw)
    inside = scored[:, top : top + height, left : left + width].reshape(len(anomaly_map), -1)
    score = np.sort(inside, axis=1)[:, -case.score_pixels :].mean(axis=1)
    return Expected(anomaly_map, score, scored, np.stack(errors, axis=1), np.stack(variances, axis=1))


def positions_of(case: Case) -> Positions | None:
    if not case.by_position:
        return None
    draw = torch.Generator().manual_seed(0)
    mean, spread = torch.randn(case.size_hw, generator=draw), torch.rand(case.size_hw, generator=draw)
    return Positions(mean, 0.3 + spread)


def exported(case: Case, make_scale: Callable[..., Scale], frames: NDArray[np.uint8]) -> tuple[FusedDetector, Expected]:
    scales = [make_scale(p, case.students, seed=p) for p in case.patch_sizes]
    terms = [plain_terms(scale, frames, case.stride, case.relative) for scale in scales]
    moments = [moments_of(*pair, case.students) for pair in terms]
    fused = FusedDetector(
        scales,
        moments,
        output_stride=case.stride,
        in_relation=case.relative,
        smoothing=case.smoothing,
        positions=positions_of(case),
        score_pixels=case.score_pixels,
        region_of_interest=case.region,
        form=case.form,
        half=case.half,
        explain=case.explain,
    )
    return fused, plain_outputs(case, terms, moments)


def run(model: bytes, frames: NDArray[np.uint8]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"frames": frames}), strict=True))


def deviation(found: Any, expected: Array, anomaly_map: Array) -> float:
    """Largest, of the map's standard deviation."""
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    return float(np.abs(found - expected).max() / anomaly_map.std())


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_exported_graph_is_equations_8_to_12(case: Case, make_scale: Callable[..., Scale]) -> None:
    frames = frames_of(case.size_hw, 3)
    fused, expected = exported(case, make_scale, frames)
    model = export_graph(fused, case.size_hw)
    outputs = run(model, frames)
    names = ["anomaly_map", "anomaly_score"] + (["deviation_map"] if case.by_position else [])
    if case.explain:
        names += ["regression_error"] + (["predictive_variance"] if case.students > 1 else [])
    assert list(outputs) == names
    for name in names:
        assert deviation(outputs[name], getattr(expected, name), expected.anomaly_map) < FP32_TOLERANCE, name
    one = run(model, frames[1:2])  # the number of frames is dynamic
    np.testing.assert_allclose(one["anomaly_map"][0], outputs["anomaly_map"][1], atol=1e-4)


def test_statistics_by_position_stay_exact_where_weights_are_halved(make_scale: Callable[..., Scale]) -> None:
    case = Case((33,), 1, 8, "bailer", (40, 44), by_position=True)
    fused, _ = exported(case, make_scale, frames_of(case.size_hw, 2))
    model = onnx.load_model_from_string(with_halved_weights(export_graph(fused, case.size_hw)))
    kept = {tuple(weight.dims): weight.data_type for weight in model.graph.initializer}
    assert kept[case.size_hw] == onnx.TensorProto.FLOAT
    assert onnx.TensorProto.FLOAT16 in kept.values()


@pytest.mark.parametrize("precision", ["convolutions", "stored weights"])
def test_half_precision_stays_within_its_stated_deviation(precision: str, make_scale: Callable[..., Scale]) -> None:
    case = Case((33,), 3, 4, "bailer", (40, 44), half=precision == "convolutions")
    frames = frames_of(case.size_hw, 2)
    fused, expected = exported(case, make_scale, frames)
    model = export_graph(fused, case.size_hw)
    if precision == "stored weights":
        model = with_halved_weights(model)
    found = deviation(run(model, frames)["anomaly_map"], expected.anomaly_map, expected.anomaly_map)
    assert 1e-5 < found < FP16_TOLERANCE
