"""The exported graph against equations 8 to 12, written in NumPy from the plain networks' descriptors in float64."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from runs import run_of
from scipy.ndimage import gaussian_filter

from calibration.calibrated import CalibratedRun
from calibration.image_evidence import fit_image_evidence
from calibration.maps import Moments, Positions
from export.detector import ExportOptions, recipe_of_run
from export.fused import FusedDetector, evidence_of
from export.graph import export_graph, with_halved_weights
from runtime.onnx_file import read_constants, with_constants
from runtime.recipe import CONSTANTS, constants_of
from runtime.scoring import Scoring
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
    image_evidence: bool = False


@dataclass(frozen=True)
class Expected:
    """What the paper's formulas give, [N, …]."""

    anomaly_map: Array
    anomaly_score: Array
    deviation_map: Array
    evidence: Array  # [N, K, H, W], raw
    evidence_scores: Array | None = None  # [N, 2]


CASES = {
    "stride 8, bailer": Case((17, 65), 1, 8, "bailer", (34, 39), 1, None, True),
    "stride 1, atrous": Case((33,), 1, 1, "atrous", (33, 32), 1, (3, 4, 20, 21), True),
    "stride 1, bailer": Case((65,), 1, 1, "bailer", (33, 35), 9),
    "stride 2, bailer": Case((33,), 3, 2, "bailer", (35, 37), 1, None),
    "stride 4, atrous": Case((33, 65), 2, 4, "atrous", (38, 41), 7, (2, 5, 30, 31), True),
    "relative and smoothed": Case((33,), 2, 4, "bailer", (38, 41), explain=True, relative=True, smoothing=2.5),
    "by position": Case((33,), 1, 4, "bailer", (38, 41), 3, (2, 5, 30, 31), True, smoothing=2.5, by_position=True),
    "as a whole": Case((17, 33), 1, 4, "bailer", (38, 41), 3, None, True, by_position=True, image_evidence=True),
    "as a whole, atrous": Case((33,), 1, 2, "atrous", (33, 36), by_position=True, image_evidence=True),
    "stride 8, p17": Case((17,), 1, 8, "atrous", (34, 33), 200),
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


def plain_evidence(case: Case, scales: Sequence[Scale], frames: NDArray[np.uint8]) -> Array:
    """[N, K, H, W]: of each scale its error, then its variance where there are several students."""
    pairs = [plain_terms(scale, frames, case.stride, case.relative) for scale in scales]
    return np.stack([term for pair in pairs for term in pair[: 1 if case.students == 1 else 2]], axis=1)


def moments_of(evidence: Array) -> list[Moments]:
    """Of the frames at hand, as calibration finds them of good ones: each kind comes out near 0 ± 1."""
    return [Moments(float(kind.mean()), float(kind.std())) for kind in evidence.swapaxes(0, 1)]


def plain_outputs(case: Case, evidence: Array, moments: Sequence[Moments], positions: Positions | None) -> Expected:
    """Equations 11 and 12, and the score."""
    terms = [(kind - m.mean) / m.deviation for kind, m in zip(evidence.swapaxes(0, 1), moments, strict=True)]
    anomaly_map: Array = np.sum(terms, axis=0) / len(case.patch_sizes)
    if case.smoothing:
        reach = int(np.ceil(3 * case.smoothing))
        anomaly_map = np.stack([gaussian_filter(m, case.smoothing, mode="mirror", radius=reach) for m in anomaly_map])
    scored = anomaly_map
    if positions is not None:
        scored = (anomaly_map - positions.mean.double().numpy()) / positions.deviation.double().numpy()
    top, left, height, width = case.region or (0, 0, *case.size_hw)
    inside = scored[:, top : top + height, left : left + width].reshape(len(anomaly_map), -1)
    score = np.sort(inside, axis=1)[:, -case.score_pixels :].mean(axis=1)
    return Expected(anomaly_map, score, scored, evidence)


def positions_of(case: Case, seed: int = 0) -> Positions | None:
    if not case.by_position:
        return None
    draw = torch.Generator().manual_seed(seed)
    mean, spread = torch.randn(case.size_hw, generator=draw), torch.rand(case.size_hw, generator=draw)
    return Positions(mean, 0.3 + spread)


def made(case: Case, make_scale: Callable[..., Scale], frames: NDArray[np.uint8]) -> tuple[CalibratedRun, Expected]:
    """A run of networks that resemble trained ones, and what it gives."""
    scales = [make_scale(p, case.students, seed=p) for p in case.patch_sizes]
    evidence = plain_evidence(case, scales, frames)
    moments, positions = moments_of(evidence), positions_of(case)
    scoring = Scoring(case.region, case.smoothing, case.by_position, case.score_pixels)
    found = run_of(scales, moments, case.size_hw, case.stride, scoring, positions, case.relative)
    expected = plain_outputs(case, evidence, moments, positions)
    return (found, expected) if not case.image_evidence else with_image_evidence(case, found, scales, expected, frames)


def plain_pooled(scales: Sequence[Scale], frames: NDArray[np.uint8], stride: int) -> Array:
    """[N, P]: mean and deviation over the frame of each channel of each standardized teacher."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames[..., ::-1].transpose(0, 3, 1, 2))).double() / 255
    found = []
    for scale in scales:
        plain = dense_descriptors(deepcopy(scale.teacher.network).double(), pixels, stride, "atrous").numpy()
        mean, deviation = (t.double().numpy()[:, None, None] for t in (scale.teacher.mean, scale.teacher.deviation))
        teacher = (plain - mean) / deviation
        found += [teacher.mean(axis=(2, 3)), teacher.std(axis=(2, 3))]
    return np.concatenate(found, axis=1)


def with_image_evidence(
    case: Case, found: CalibratedRun, scales: Sequence[Scale], expected: Expected, frames: NDArray[np.uint8]
) -> tuple[CalibratedRun, Expected]:
    """The run with evidence of the whole frame of twelve other frames, and what it gives by a matrix's inverse."""
    others = np.concatenate([frames_of(case.size_hw, 12)[3:], 255 - frames_of(case.size_hw, 3)])
    known, new = (plain_pooled(scales, each, case.stride) for each in (others, frames))
    image = fit_image_evidence(torch.from_numpy(known), slice(8))
    centre, deviation = known[:8].mean(axis=0), known[:8].std(axis=0, ddof=1)
    extended, tried = (np.insert((each - centre) / deviation, 0, 1, axis=1) for each in (known, new))
    inverse = np.linalg.inv(20 * np.eye(extended.shape[1]) + extended.T @ extended)
    raw = np.sqrt(np.einsum("np,pq,nq->n", tried, inverse, tried))
    of_frame = (raw - image.evidence_mean) / image.evidence_deviation
    scores = np.stack([expected.anomaly_score, of_frame], axis=1)
    config = replace(found.trained.config, image_evidence=True)  # type: ignore[attr-defined]
    run = replace(found, trained=replace(found.trained, config=config), image=image)  # type: ignore[type-var]
    return run, replace(expected, anomaly_score=scores.max(axis=1), evidence_scores=scores)


def exported(case: Case, found: CalibratedRun) -> bytes:
    return export_graph(FusedDetector(found, form=case.form, half=case.half, explain=case.explain), case.size_hw)


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


def off_by(outputs: dict[str, Any], expected: Expected) -> dict[str, float]:
    """Largest deviation of each output, of the map's standard deviation; of evidence, of its own kind's."""
    maps = expected.anomaly_map
    found = {name: deviation(outputs[name], getattr(expected, name), maps) for name in outputs if name != "evidence"}
    if "evidence" in outputs:
        pairs = zip(outputs["evidence"].swapaxes(0, 1), expected.evidence.swapaxes(0, 1), strict=True)
        found["evidence"] = max(deviation(one, other, other) for one, other in pairs)
    return found


@pytest.fixture(scope="module")
def graph_of(make_scale: Callable[..., Scale]) -> Callable[[str], tuple[bytes, CalibratedRun, Expected]]:
    """A case's graph, its run, and what it gives on its three frames; each is exported once."""

    @cache
    def make(name: str) -> tuple[bytes, CalibratedRun, Expected]:
        found, expected = made(CASES[name], make_scale, frames_of(CASES[name].size_hw, 3))
        return exported(CASES[name], found), found, expected

    return make


GraphOf = Callable[[str], tuple[bytes, CalibratedRun, Expected]]


@pytest.mark.parametrize("name", CASES)
def test_the_exported_graph_is_equations_8_to_12(name: str, graph_of: GraphOf) -> None:
    case, (model, found, expected) = CASES[name], graph_of(name)
    frames = frames_of(case.size_hw, 3)
    outputs = run(model, frames)
    recipe = recipe_of_run(found, model, case.form, ExportOptions(explain=case.explain), b"")
    assert {name: values.shape for name, values in outputs.items()} == {
        name: (3, *shape) for name, shape in recipe.outputs.items()
    }
    assert list(outputs) == list(recipe.outputs)
    limit = FP32_TOLERANCE * (
        3 if case.image_evidence else 1
    )  # scores of whole frames are of a hundred deviations here
    assert max(off_by(outputs, expected).values()) < limit, off_by(outputs, expected)
    if case.image_evidence:
        np.testing.assert_array_equal(outputs["anomaly_score"], outputs["evidence_scores"].max(axis=1))
    one = run(model, frames[1:2])  # the number of frames is dynamic
    np.testing.assert_allclose(one["anomaly_map"][0], outputs["anomaly_map"][1], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "moments"),
    [
        ("stride 8, p17", [Moments(-2.0, 3.0)]),
        ("by position", [Moments(30.0, 7.0)]),
        ("stride 2, bailer", [Moments(4.0, 0.5), Moments(-1.0, 3.0)]),
        ("stride 8, bailer", [Moments(2.0, 0.5), Moments(1e-3, 40.0)]),
    ],
)
def test_what_good_images_decide_can_be_written_anew(name: str, moments: list[Moments], graph_of: GraphOf) -> None:
    case, (model, found, expected) = CASES[name], graph_of(name)
    constants = read_constants(model, CONSTANTS)
    assert sorted(constants) == sorted(CONSTANTS + each for each in constants_by_hand(found))
    for each, values in constants_by_hand(found).items():
        np.testing.assert_array_equal(constants[CONSTANTS + each], values)
    other = replace(found, moments=tuple(moments), positions=positions_of(case, seed=1))
    rewritten = with_constants(model, {CONSTANTS + each: v for each, v in constants_by_hand(other).items()})
    wanted = plain_outputs(case, expected.evidence, moments, other.positions)
    assert max(off_by(run(rewritten, frames_of(case.size_hw, 3)), wanted).values()) < FP32_TOLERANCE
    assert float(np.abs(wanted.anomaly_map - expected.anomaly_map).max()) > 0.1  # or the test would show nothing


def test_a_scale_of_one_and_a_shift_of_nothing_stay_in_the_graph(graph_of: GraphOf) -> None:
    case, (model, found, _) = CASES["stride 8, p17"], graph_of("stride 8, p17")
    neutral = replace(found, moments=(Moments(0.0, 1.0),))  # which an optimizer would gladly do without
    expected = exported(case, neutral)
    assert with_constants(model, read_constants(expected, CONSTANTS)) == expected
    assert {name: values.item() for name, values in read_constants(expected, CONSTANTS).items()} == {
        "calibration.scale": 1.0,
        "calibration.shift": 0.0,
    }


def constants_by_hand(found: CalibratedRun) -> dict[str, Any]:
    """What the graph is to hold, by name."""
    weight = 1 / len({kind.name.rpartition(" ")[2] for kind in found.trained.kinds})
    scale = np.array([weight / m.deviation for m in found.moments], np.float32)
    shift = np.array([-weight * m.mean / m.deviation for m in found.moments], np.float32)
    values = {"scale": scale.reshape(-1, 1, 1), "shift": shift.reshape(-1, 1, 1)}
    for name, array in constants_of(evidence_of(found)).items():
        np.testing.assert_array_equal(array, values[name])
    if found.positions is not None:
        values["position_mean"] = found.positions.mean.numpy()
        values["position_factor"] = 1 / found.positions.deviation.numpy()
    if found.image is not None:
        values |= {
            "image_centre": found.image.centre.float().numpy(),
            "image_weight": (found.image.whitening[:, 1:] / found.image.deviation).float().numpy(),
            "image_bias": found.image.whitening[:, 0].float().numpy(),
            "image_mean": np.array([found.image.evidence_mean], np.float32),
            "image_factor": np.array([1 / found.image.evidence_deviation], np.float32),
        }
    return values


def test_what_good_images_decide_stays_exact_where_weights_are_halved(graph_of: GraphOf) -> None:
    whole, found, _ = graph_of("by position")
    model = with_halved_weights(whole)
    assert onnx.TensorProto.FLOAT16 in {t.data_type for t in onnx.load_model_from_string(model).graph.initializer}
    for name, values in constants_by_hand(found).items():
        np.testing.assert_array_equal(read_constants(model, CONSTANTS)[CONSTANTS + name], values)


@pytest.mark.parametrize("precision", ["convolutions", "stored weights"])
def test_half_precision_stays_within_its_stated_deviation(precision: str, graph_of: GraphOf) -> None:
    case, (model, found, expected) = CASES["stride 2, bailer"], graph_of("stride 2, bailer")  # of three students
    frames = frames_of(case.size_hw, 3)
    model = with_halved_weights(model) if precision == "stored weights" else exported(replace(case, half=True), found)
    off = deviation(run(model, frames)["anomaly_map"], expected.anomaly_map, expected.anomaly_map)
    assert 1e-5 < off < FP16_TOLERANCE
