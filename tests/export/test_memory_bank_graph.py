"""A memory bank as a graph: the plain formulas in every shape and precision, and distances near and far."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from runs import bank_of, opened

from calibration.calibrated import CalibratedRun
from calibration.image_evidence import ImageEvidence, fit_image_evidence
from calibration.maps import Moments, Positions
from calibration.methods import open_run
from calibration.methods.memory_bank import MemoryBankRun
from calibration.statistics import FLOOR
from export.detector import ExportOptions, export, recipe_of_run
from export.fused import FusedDetector
from export.graph import export_graph
from export.graphs import evidence_graph
from export.graphs.memory_bank import MemoryBankEvidence
from runtime.detector_file import read_detector
from runtime.errors import ParityError
from runtime.onnx_file import read_constants, with_constants
from runtime.parity import TOLERANCE
from runtime.recipe import CONSTANTS
from train.backbones import load_backbone
from train.backbones.features import Features
from train.data import PreparedImages
from train.memory_bank import MemoryBankConfig, load_memory_bank, train_memory_bank


@dataclass(frozen=True)
class Case:
    """One way to export."""

    backbone: str
    stages: tuple[str, ...]  # none: the usual ones
    size_hw: tuple[int, int]
    half: bool = False
    image_evidence: bool = True
    score_pixels: int = 1


SHALLOW = "shallow"  # the file of `shallow_backbone`
CASES = {
    "lite0, wide": Case("efficientnet-lite0", (), (48, 80)),
    "lite0, FP16": Case("efficientnet-lite0", (), (64, 48), half=True),
    "shallow, odd sides": Case(SHALLOW, (), (37, 54), score_pixels=5),
    "shallow, stride 16 alone": Case(SHALLOW, ("group5",), (48, 64)),
    "resnet18, tall": Case("resnet18", (), (80, 48)),
    "resnet18, one stage, FP16": Case("resnet18", ("layer2",), (32, 48), half=True),
    "without image evidence": Case(SHALLOW, (), (32, 32), image_evidence=False),
}
Made = tuple[bytes, CalibratedRun]


def frames_of(size_hw: tuple[int, int], count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Coarse noise on gradients of their own colour, so that a swap of channels or axes shows."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    base = np.stack([2 * x, y, 200 - x], axis=-1)
    coarse = random.integers(0, 90, (count, -(-size_hw[0] // 4), -(-size_hw[1] // 4), 3))
    noise = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, : size_hw[0], : size_hw[1]]
    return (base + noise).clip(0, 255).astype(np.uint8)


def image_of(run: CalibratedRun, seed: int) -> ImageEvidence:
    known = run.trained.pooled_features(frames_of(run.trained.size_hw, 24, seed))
    return fit_image_evidence(known.cpu(), slice(12))


def made(case: Case) -> CalibratedRun:
    """A run whose bank is of other frames than it is tried on, calibrated on these."""
    run = bank_of(case.backbone, case.stages, case.size_hw, frames_of(case.size_hw, 4, seed=1), case.image_evidence)
    scoring = replace(run.trained.scoring, smoothing=1.5, score_pixels=case.score_pixels)
    run = replace(run, trained=replace(run.trained, config=replace(run.trained.config, scoring=scoring)))  # type: ignore[type-var,attr-defined]
    evidence = run.trained.evidence(frames_of(case.size_hw, 3))
    draw = torch.Generator().manual_seed(0)
    mean, spread = (torch.rand(case.size_hw, generator=draw) for _ in range(2))
    positions = Positions(mean, 0.3 + spread)
    moments = (Moments(float(evidence.mean()), float(evidence.std())),)
    return replace(run, moments=moments, positions=positions, image=image_of(run, 2) if case.image_evidence else None)


@pytest.fixture(scope="module")
def graph_of(shallow_backbone: Path) -> Callable[[str], Made]:
    """A case's graph and its run; each is exported once."""

    @cache
    def make(name: str) -> Made:
        case = CASES[name]
        run = made(replace(case, backbone=str(shallow_backbone)) if case.backbone == SHALLOW else case)
        fused = FusedDetector(run, half=CASES[name].half, explain=True)
        return export_graph(fused, CASES[name].size_hw), run

    return make


def run_graph(model: bytes, frames: NDArray[np.uint8]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"frames": frames}), strict=True))


def off_by(outputs: dict[str, Any], run: CalibratedRun, frames: NDArray[np.uint8]) -> dict[str, float]:
    """Largest deviation of each output from the plain formulas, of the deviation of the map that it is of."""
    maps, scores = run.maps_and_scores(frames)
    scored = run.scored(maps)
    expected = {
        "anomaly_map": (maps, maps),
        "deviation_map": (scored, scored),
        "anomaly_score": (scores.amax(dim=1), scored),
        "evidence_scores": (scores, scored),
    }
    found = {}
    for name in outputs.keys() & expected.keys():
        values, unit = expected[name]
        assert (outputs[name].shape, outputs[name].dtype) == (tuple(values.shape), np.float32)
        found[name] = float(np.abs(outputs[name] - values.numpy()).max() / unit.std())
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_exported_graph_is_the_plain_formulas(name: str, graph_of: Callable[[str], Made]) -> None:
    case, (model, run) = CASES[name], graph_of(name)
    frames = frames_of(case.size_hw, 3)
    outputs = run_graph(model, frames)
    recipe = recipe_of_run(run, model, "bailer", ExportOptions(explain=True), b"")
    assert {each: values.shape for each, values in outputs.items()} == {
        each: (3, *shape) for each, shape in recipe.outputs.items()
    }
    assert list(outputs) == list(recipe.outputs)
    assert ("evidence_scores" in outputs) == case.image_evidence
    limit = TOLERANCE["fp16"] if case.half else 2e-4
    off = off_by(outputs, run, frames)
    assert max(off.values()) < limit, off
    if case.half:  # which ONNX Runtime on a CPU computes in float32, and PyTorch as it stands
        fused = FusedDetector(run, half=True)
        halved = dict(zip(fused.output_names, fused(torch.from_numpy(frames)), strict=True))
        off = off_by({each: values.detach().numpy() for each, values in halved.items()}, run, frames)
        assert 1e-4 < max(off.values()) < 2 * limit, off  # frames so unlike good ones score far above a threshold
    if case.image_evidence:
        np.testing.assert_array_equal(outputs["anomaly_score"], outputs["evidence_scores"].max(axis=1))
    one = run_graph(model, frames[1:2])  # the number of frames is dynamic
    assert one["anomaly_map"].shape == (1, *case.size_hw)
    for each, values in one.items():
        np.testing.assert_allclose(values[0], outputs[each][1], rtol=1e-2, atol=limit * float(values.std()) + 1e-2)


def test_either_evidence_can_be_the_highest(graph_of: Callable[[str], Made]) -> None:
    model, run = graph_of("lite0, wide")
    frames = frames_of((48, 80), 3)
    assert run.image is not None
    highest = set()
    for shift in (-1e3, 1e3):
        moved = replace(run.image, evidence_mean=run.image.evidence_mean + shift)
        rewritten = with_constants(model, {f"{CONSTANTS}image_mean": np.array([moved.evidence_mean], np.float32)})
        outputs = run_graph(rewritten, frames)
        assert off_by(outputs, replace(run, image=moved), frames)["anomaly_score"] < 1e-2  # of thousands
        highest |= set(outputs["evidence_scores"].argmax(axis=1).tolist())
    assert highest == {0, 1}


def test_the_evidence_of_the_frame_is_a_leverage_in_numpy(graph_of: Callable[[str], Made]) -> None:
    """h(x) = x̃ᵀ (κ I + Σ x̃ x̃ᵀ)⁻¹ x̃, without the factors that the graph holds."""
    model, run = graph_of("resnet18, tall")
    pooled = [
        run.trained.pooled_features(frames_of((80, 48), count, seed)).double().numpy()
        for count, seed in ((24, 2), (3, 0))
    ]
    known, new = pooled
    centre, deviation = known[:12].mean(axis=0), known[:12].std(axis=0, ddof=1)
    deviation = np.maximum(deviation, FLOOR * deviation.mean())
    known, new = (np.insert((each - centre) / deviation, 0, 1, axis=1) for each in (known, new))
    inverse = np.linalg.inv(20 * np.eye(known.shape[1]) + known.T @ known)

    def leverage(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.einsum("np,pq,nq->n", x, inverse, x))

    assert run.image is not None
    expected = (np.sqrt(leverage(new)) - run.image.evidence_mean) / run.image.evidence_deviation
    found = run_graph(model, frames_of((80, 48), 3))["evidence_scores"][:, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_what_good_images_decide_can_be_written_anew(graph_of: Callable[[str], Made]) -> None:
    model, run = graph_of("lite0, wide")
    other = replace(run, moments=(Moments(2.0, 3.0),), image=image_of(run, seed=7))
    constants = {
        CONSTANTS + name: tensor.numpy() for name, tensor in FusedDetector(other).calibration.state_dict().items()
    }
    assert sorted(constants) == sorted(read_constants(model, CONSTANTS))
    frames = frames_of((48, 80), 3)
    outputs = run_graph(with_constants(model, constants), frames)
    assert max(off_by(outputs, other, frames).values()) < 2e-4
    assert max(off_by(outputs, run, frames).values()) > 0.1  # or the test would show nothing


@pytest.mark.parametrize("name", ["lite0, FP16", "resnet18, one stage, FP16"])
def test_an_fp16_file_has_its_first_convolution_and_all_behind_the_network_in_float32(
    name: str, graph_of: Callable[[str], Made]
) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(graph_of(name)[0]), data_prop=True)
    kept = {tensor.name: tensor for tensor in model.graph.initializer}
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    types |= {each: tensor.data_type for each, tensor in kept.items()}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    smoothing = [node for node in convolutions if list(kept[node.input[1]].dims[:2]) == [1, 1]]
    first = [node for node in convolutions if kept[node.input[1]].dims[1] == 3]
    assert (len(first), len(smoothing)) == (1, 2)
    for node in convolutions:
        expected = TensorProto.FLOAT if node in (*first, *smoothing) else TensorProto.FLOAT16
        assert {types[each] for each in node.input if each in types} == {expected}, node.name
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    tail = [node for node in model.graph.node if node.op_type in ("MatMul", "Sqrt", "ArgMin", "ReduceSum", "Gemm")]
    assert tail
    for node in tail:
        assert {types[each] for each in node.input if types.get(each) in floats} <= {TensorProto.FLOAT}, node.name


def test_distances_are_right_however_far_from_the_origin_descriptors_lie(bank_run: Path) -> None:
    features, memory = load_memory_bank(bank_run, open_run(bank_run, "cpu").config)  # type: ignore[attr-defined]
    far = Shifted(features, 1e3)
    pixels = torch.from_numpy(frames_of((32, 36), 1)).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        graph = MemoryBankEvidence(features, memory.bank + 1e3, False)
        graph.network = far
        found, _ = graph(pixels)
        vectors = features(pixels.flip(1) / 255)[0].permute(0, 2, 3, 1).flatten(0, 2).double() + 1e3
        expected = torch.cdist(vectors, (memory.bank + 1e3).double()).amin(dim=1).view(1, 1, 4, 5)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=0)


class Shifted(torch.nn.Module):
    """The maps of a backbone, far from the origin."""

    def __init__(self, features: Features, by: float) -> None:
        super().__init__()
        from export.folding import FoldedBackbone

        self.network, self.by = FoldedBackbone(features), by

    def forward(self, pixels: torch.Tensor, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
        return {name: found + self.by for name, found in self.network(pixels, names).items()}


def test_where_a_descriptor_is_in_the_bank_its_distance_is_nothing(
    bank_config: MemoryBankConfig, tmp_path: Path
) -> None:
    train_memory_bank(replace(bank_config, coreset=2_000), tmp_path)  # more than there are
    trained: Any = open_run(tmp_path)
    frame = PreparedImages(trained.split.training[:1], trained.size_hw, None)[0]
    with torch.no_grad():
        found, _ = evidence_graph(trained, "bailer", False)(torch.from_numpy(frame[None]).float().permute(0, 3, 1, 2))
    assert float(found.min()) >= 0
    # a difference of squares would leave a thousandth, on flat parts more than the parity gate allows
    assert float(found.max()) < 1e-5 * float(trained.memory.bank.norm(dim=1).median())


def test_in_fp16_a_bank_keeps_its_distances_in_float32(shallow_bank_run: Path, tmp_path: Path) -> None:
    run = opened(shallow_bank_run)
    done = export(run, tmp_path / "detector.onnx", ExportOptions("fp16", weights="fp16"))
    done.parity.check()
    assert done.parity.half
    assert 0 < done.parity.largest_activation < 1e4
    model, recipe = read_detector(tmp_path / "detector.onnx")
    assert recipe.threshold.sample_size == len(run.trained.split.training)
    assert len(read_constants(model, CONSTANTS)) == 9
    bank = [t for t in onnx.load_model_from_string(model).graph.initializer if t.name.startswith("evidence.")]
    bank = [t for t in bank if len(t.dims) < 3 and not t.name.endswith("bias")]
    types = {tensor.name: tensor.data_type for tensor in bank}
    assert types.pop("evidence.bank.half") == TensorProto.FLOAT16  # as stored: it is cast back before any arithmetic
    assert {"evidence.squares", "evidence.mean"} <= set(types)
    assert set(types.values()) == {TensorProto.FLOAT}  # distances are small differences


def test_a_bank_whose_file_in_fp16_differs_is_refused(shallow_bank_run: Path, tmp_path: Path) -> None:
    """Behind a large number that one convolution adds and the next takes away, FP16 resolves nothing."""
    run = opened(shallow_bank_run)
    trained: Any = run.trained
    (first,), (second,) = trained.features.network.groups[:2]
    with torch.no_grad():
        first.project.bias += 2000
        second.expand.bias -= 2000 * second.expand.weight.sum(dim=(1, 2, 3))
    export(run, tmp_path / "exact.onnx")
    for made in tmp_path.iterdir():
        made.unlink()
    with pytest.raises(ParityError, match=r"the exported file deviates from the formulas by .* give --precision fp32"):
        export(run, tmp_path / "detector.onnx", ExportOptions("fp16"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", CASES)
def test_its_graph_holds_nothing_that_tensorrt_rejects(name: str, graph_of: Callable[[str], Made]) -> None:
    from test_export_detector import ALLOWED

    model = onnx.load_model_from_string(graph_of(name)[0])
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    operators = {node.op_type for node in model.graph.node}
    # each has an importer in TensorRT 10's ONNX parser
    more = {"MatMul", "Gemm", "ArgMin", "Sqrt", "AveragePool", "Relu", "Clip", "GatherElements", "Expand", "ReduceMin"}
    assert operators <= ALLOWED | more, operators - ALLOWED - more


def test_the_shipped_backbones_are_those_that_are_tried() -> None:
    assert {case.backbone for case in CASES.values()} == {"efficientnet-lite0", "resnet18", SHALLOW}
    assert load_backbone("efficientnet-lite2").architecture == load_backbone("efficientnet-lite0").architecture


def test_a_run_in_memory_is_one(graph_of: Callable[[str], Made]) -> None:
    assert isinstance(graph_of("lite0, wide")[1].trained, MemoryBankRun)
