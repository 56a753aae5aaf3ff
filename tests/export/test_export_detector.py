"""From a calibrated run folder to a checked detector.onnx: what is in it, what beside it, and what is refused."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from runs import opened

from calibration.calibrate import calibrate
from calibration.calibrated import of_pixels
from calibration.destination import replaced_by
from calibration.file_scores import PARITY_FRAMES, describe_highest, parity_frames, quantiles
from calibration.maps import Moments, Positions, smoothed
from calibration.methods import open_run
from calibration.threshold import fit_threshold
from export import detector as detector_module
from export.detector import ExportOptions, export
from export.fused import evidence_of
from export.parity import LARGEST_ACTIVATION
from runtime.adjust import adjust
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.errors import InputError, ParityError
from runtime.explain import explained, normalized_evidence
from runtime.images import read_image
from runtime.onnx_file import graph_sha256, read_constants, with_metadata
from runtime.preparation import scaled
from runtime.recipe import CONSTANTS, Evidence, constants_of
from runtime.scoring import Scoring
from runtime.set_threshold import set_threshold
from runtime.verdict import Decision
from train.data import Split
from train.files import load_network, save_network
from train.run_folder import SCORES

# each has an importer in TensorRT 10's ONNX parser (its operators.md); none with control flow, loops or random numbers
ALLOWED = {
    *("Cast", "Concat", "Constant", "Gather", "Pad", "Range", "Reshape", "Resize", "Shape", "Slice", "Squeeze"),
    *("Transpose", "Unsqueeze", "Conv", "MaxPool", "LeakyRelu"),
    *("Add", "Div", "Max", "Mul", "Pow", "Sub", "ReduceMax", "ReduceMean", "ReduceSum", "TopK"),
}


@pytest.fixture
def half_file(calibrated_run: Path, exported_file: Callable[..., Path]) -> Path:
    """The run's detector with convolutions in FP16, à trous."""
    return exported_file(calibrated_run, precision="fp16", form="atrous", explain=True)


@pytest.fixture
def small_file(calibrated_run: Path, exported_file: Callable[..., Path]) -> Path:
    """The run's detector with its weights stored in FP16."""
    return exported_file(calibrated_run, weights="fp16")


@pytest.fixture
def run(calibrated_run: Path, tmp_path: Path) -> Path:
    """A copy of the run folder, to be changed."""
    return Path(shutil.copytree(calibrated_run, tmp_path / "run"))


@pytest.fixture(scope="module")
def loud_run(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with its first student alone, scores of the whole map, and first activations 10,000 times as large."""
    run = Path(shutil.copytree(calibrated_run, tmp_path_factory.mktemp("loud") / "run"))
    config = run / "config.yaml"
    text = config.read_text().replace("students: 2", "students: 1").replace("by_position: true", "by_position: false")
    config.write_text(text)
    scaled_first_convolution(run, 1e4)
    calibrate(open_run(run), 0.2)
    return run


def scaled_first_convolution(run: Path, factor: float) -> None:
    """Multiply the first scale's first activations by `factor`, and divide behind: the descriptors stay."""
    for path in run.glob("*-p33*.safetensors"):
        network, card, beside = load_network(path)
        with torch.no_grad():
            for parameter in network.conv(0).parameters():
                parameter.mul_(factor)
            network.conv(1).weight.div_(factor)
        save_network(path, network, card, beside=beside)


def constants(model: Any) -> dict[str, Any]:
    return {initializer.name: initializer for initializer in model.graph.initializer}


def test_the_recipe_is_complete_and_the_runtime_reads_it(detector_file: Path, calibrated_run: Path) -> None:
    run, split = opened(calibrated_run), Split.load(calibrated_run / "split.json")
    model, recipe = read_detector(detector_file)
    assert (recipe.schema, recipe.size_hw, recipe.scoring) == (2, (32, 36), run.trained.scoring)
    assert recipe.scoring == Scoring((2, 3, 28, 30), 1.5, True, 5)
    assert (recipe.method.name, recipe.method.looks_at) == ("students", run.trained.looks_at)
    assert recipe.method.settings == {
        "patch_sizes": [33],
        "teachers_sha256": [run.trained.scales[0].teacher_sha256],  # type: ignore[attr-defined]
        "students": 2,
        "output_stride": 8,
        "relative": True,
        "form": "bailer",
    }
    assert (recipe.precision, recipe.explain) == ("fp32", True)
    assert recipe.method.evidence == tuple(
        Evidence(f"{name}, p = 33", 1.0, moments.mean, moments.deviation)
        for name, moments in zip(("regression error", "predictive variance"), run.moments, strict=True)
    )
    assert recipe.health == run.health
    assert recipe.provenance.images == {"training": 10, "statistics": 3, "threshold": 3}
    assert recipe.provenance.images_sha256 == split.images_sha256
    assert {"python", "numpy", "onnx", "onnxruntime", "torch"} <= set(recipe.provenance.versions)
    assert recipe.provenance.created.endswith("+00:00")
    assert recipe.graph_sha256 == graph_sha256(model)
    assert 0 < recipe.largest_activation < LARGEST_ACTIVATION


def test_the_teacher_in_the_recipe_is_the_file_it_was_trained_from(
    detector_file: Path, teacher_files: dict[int, Path]
) -> None:
    settings = read_detector(detector_file)[1].method.settings
    assert settings["teachers_sha256"] == [hashlib.sha256(teacher_files[33].read_bytes()).hexdigest()]


def test_the_parity_frames_are_held_out_images_and_their_hash_is_in_the_recipe(
    detector_file: Path, calibrated_run: Path
) -> None:
    data = detector_file.with_suffix(".parity.npz").read_bytes()
    assert hashlib.sha256(data).hexdigest() == read_detector(detector_file)[1].parity_sha256
    split = Split.load(calibrated_run / "split.json")
    held_out = [*split.threshold, *split.statistics][:PARITY_FRAMES]
    expected = np.stack([scaled(read_image(path), (32, 36)) for path in held_out])
    np.testing.assert_array_equal(np.load(io.BytesIO(data), allow_pickle=False)["frames"], expected)


def test_the_threshold_is_fitted_once_to_the_exported_files_own_scores(half_file: Path, calibrated_run: Path) -> None:
    run = opened(calibrated_run)
    with Detector.open(half_file, threads=1) as detector:
        prepared = [scaled(read_image(path), (32, 36))[None] for path in run.trained.split.threshold]
        outputs = [detector.engine.result(detector.engine.submit(frame)) for frame in prepared]
        recipe = detector.recipe
    scores = np.array([float(output.anomaly_score[0]) for output in outputs])
    assert recipe.threshold.value == pytest.approx(fit_threshold(scores, 0.2).value, rel=1e-6)
    assert recipe.score_quantiles == pytest.approx(quantiles(scores), rel=1e-6)
    plain = [float(run.maps_and_scores(frame)[1]) for frame in prepared]
    np.testing.assert_allclose(scores, plain, rtol=1e-2)
    assert not np.allclose(scores, plain, rtol=1e-6)  # FP16 scores are not those of the formulas
    assert (recipe.threshold.budget, recipe.threshold.confidence) == (run.budget, run.confidence) == (0.2, 0.95)


def test_scores_that_cannot_be_kept_in_the_run_folder_leave_the_detector_that_was_there(
    bank_run: Path,
    bank_file: Path,
    detector_file: Path,
    tmp_path: Path,
    graph_of_file: Callable[[Path], AbstractContextManager[None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Path(shutil.copytree(bank_run, tmp_path / "run"))
    out = Path(shutil.copy(detector_file, tmp_path / "detector.onnx"))
    (run / SCORES).unlink(missing_ok=True)
    (run / SCORES).mkdir()
    with graph_of_file(bank_file), pytest.raises(InputError, match=r"calibration_scores\.npy cannot be written"):
        export(opened(run), out, ExportOptions(explain=True))
    assert "by hand" not in capsys.readouterr().out  # nothing is said of the threshold of the file that was there
    assert out.read_bytes() == detector_file.read_bytes()
    assert not list(tmp_path.glob("*.npz"))


def test_of_one_student_every_image_held_out_gives_the_threshold_and_fp32_may_have_large_activations(
    loud_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parity = export(opened(loud_run), tmp_path / "detector.onnx", ExportOptions(explain=True)).parity
    recipe, split = read_detector(tmp_path / "detector.onnx")[1], Split.load(loud_run / "split.json")
    assert f"highest scores of good images: {recipe.score_quantiles['1.0']:.2f} " in capsys.readouterr().out
    assert recipe.threshold.sample_size == len(split.threshold) + len(split.statistics)
    kept = np.load(loud_run / SCORES, allow_pickle=False)  # those that the threshold is of
    assert (recipe.threshold, recipe.score_quantiles) == (fit_threshold(kept, 0.2), quantiles(kept))
    assert recipe.method.settings["students"] == 1
    assert recipe.outputs == {"anomaly_map": (32, 36), "anomaly_score": (), "evidence": (1, 32, 36)}
    assert recipe.largest_activation == parity.largest_activation > LARGEST_ACTIVATION
    assert not parity.half


def test_copies_of_images_left_out_prove_nothing_and_are_counted_aloud_as_is_a_threshold_set_by_hand(
    bank_run: Path,
    tmp_path: Path,
    bank_file: Path,
    graph_of_file: Callable[[Path], AbstractContextManager[None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, out = Path(shutil.copytree(bank_run, tmp_path / "run")), Path(shutil.copy(bank_file, tmp_path))
    split = Split.load(run / "split.json")
    copies = [Path(shutil.copy(split.training[0], tmp_path / f"{number}.png")) for number in range(20)]
    sha256 = {**split.sha256, **dict.fromkeys(map(str, copies), split.sha256[str(split.training[0])])}
    replace(split, training=(*split.training, *copies), sha256=sha256).save(run / "split.json")
    set_threshold(out, 5.0)
    with graph_of_file(bank_file):
        export(opened(run), out, ExportOptions(explain=True))
    assert read_detector(out)[1].threshold == read_detector(bank_file)[1].threshold
    said = capsys.readouterr().out
    assert "left out of the threshold: 20 copies of the 8 different pictures it counts" in said
    assert f"{out} had a threshold set by hand, 5; the one fitted now replaces it\n" in said


def test_the_good_images_that_scored_highest_are_named() -> None:
    images = [Path(f"good/{index}.png") for index in range(5)]
    found = describe_highest(images, np.array([1.0, 28.834, 3.0, 15.2, 2.0]))
    assert found.startswith("highest scores of good images: 28.83 good/1.png, 15.20 good/3.png, 3.00 good/2.png. Look")


def test_quantiles_run_from_the_lowest_to_the_highest_score() -> None:
    found = quantiles(np.arange(101.0))
    assert found == {"0.0": 0, "0.05": 5, "0.25": 25, "0.5": 50, "0.75": 75, "0.95": 95, "1.0": 100}


def test_golden_arrays_by_position_are_those_that_the_doctor_finds_again(
    detector_file: Path, calibrated_run: Path, tmp_path: Path
) -> None:
    from export.golden import write_golden
    from runtime.doctor.vendor import golden

    shutil.copy(detector_file, tmp_path / "demo.onnx")
    image, arrays = Split.load(calibrated_run / "split.json").threshold[0], tmp_path / "demo.golden.npz"
    write_golden(detector_file, image, arrays)
    assert golden("cpu", str(tmp_path))["deviation"] < 1e-4
    with np.load(arrays) as kept:
        changed = dict(kept)
    changed["deviation_map"] = changed["deviation_map"] + changed["deviation_map"].std() / 100
    np.savez(arrays, **changed)
    assert golden("cpu", str(tmp_path))["deviation"] == pytest.approx(0.01, rel=0.05)


def test_golden_arrays_of_a_memory_bank_hold_its_scores_by_evidence(
    bank_file: Path, bank_run: Path, tmp_path: Path
) -> None:
    from export.golden import write_golden
    from runtime.doctor.vendor import golden

    shutil.copy(bank_file, tmp_path / "demo.onnx")
    image, arrays = Split.load(bank_run / "split.json").training[0], tmp_path / "demo.golden.npz"
    write_golden(bank_file, image, arrays)
    assert golden("cpu", str(tmp_path))["deviation"] < 1e-4
    with np.load(arrays) as kept:
        changed = dict(kept)
    changed["evidence_scores"] = changed["evidence_scores"] + np.array([0, changed["deviation_map"].std() / 100])
    np.savez(arrays, **changed)
    assert golden("cpu", str(tmp_path))["deviation"] == pytest.approx(0.01, rel=0.05)


def test_raw_evidence_is_the_formulas_and_its_weighted_sum_is_the_map_before_smoothing(
    detector_file: Path, calibrated_run: Path
) -> None:
    run = opened(calibrated_run)
    frames = np.load(detector_file.with_suffix(".parity.npz"))["frames"][:2]
    with Detector.open(detector_file, threads=1) as detector:
        output = detector.engine.result(detector.engine.submit(frames))
        terms = normalized_evidence(detector.recipe, output)
        first = detector.engine.result(detector.engine.submit(frames[:1]))
        explanation = explained(detector.recipe, first, None)
    assert output.evidence is not None
    assert terms is not None
    expected = of_pixels(run.trained, run.trained.evidence(frames)).numpy()
    for kind in range(2):
        off = np.abs(output.evidence[:, kind] - expected[:, kind]).max()
        assert off < 1e-3 * expected[:, kind].std()
    unsmoothed = sum(kind.weight * terms[:, index] for index, kind in enumerate(detector.recipe.method.evidence))
    found = smoothed(torch.from_numpy(np.asarray(unsmoothed)), 1.5).numpy()
    off = 1e-4 * float(output.anomaly_map.std())
    np.testing.assert_allclose(found, output.anomaly_map, atol=off)
    assert explanation is not None
    np.testing.assert_allclose(explanation.terms(10_000).sum(axis=0), first.anomaly_map[0], atol=off)
    assert first.deviation_map is not None
    highest = np.where(run.trained.scoring.inspected((32, 36)).mask, first.deviation_map[0], -np.inf).argmax()
    assert sum(explanation.at_the_highest().values()) == pytest.approx(first.anomaly_map[0].flat[highest], abs=off)
    assert output.regression_error is output.predictive_variance is None


RECALIBRATE = """
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from runtime.detector_file import read_detector
from runtime.onnx_file import graph_sha256, read_constants, with_constants
from runtime.recipe import CONSTANTS, constants_of
from runtime.detector_file import write_recipe

path = Path(sys.argv[1])
model, recipe = read_detector(path)
evidence = tuple(replace(kind, mean=2 * kind.mean, deviation=kind.deviation / 3) for kind in recipe.method.evidence)
constants = {CONSTANTS + name: values for name, values in constants_of(evidence).items()}
for name, values in read_constants(model, CONSTANTS + "position").items():
    constants[name] = values[::-1].copy()
model = with_constants(model, constants)
recipe = replace(recipe, method=replace(recipe.method, evidence=evidence), graph_sha256=graph_sha256(model))
write_recipe(path, model, recipe)
heavy = {"torch", "onnx", "onnxscript", "scipy", "train", "calibration", "export"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""


@pytest.mark.parametrize("file", ["detector_file", "small_file"])
def test_a_device_can_recalibrate_a_detector_without_torch_and_onnx(
    file: str, calibrated_run: Path, environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = Path(shutil.copy(request.getfixturevalue(file), tmp_path / "detector.onnx"))
    command = [sys.executable, "-c", RECALIBRATE, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    run = opened(calibrated_run)
    assert run.positions is not None
    moments = tuple(Moments(2 * each.mean, each.deviation / 3) for each in run.moments)
    positions = Positions(run.positions.mean.flip(0), run.positions.deviation.flip(0))
    other = replace(run, moments=moments, positions=positions)
    frames = parity_frames(run.trained.split, (32, 36), None)[:3]
    maps, scores = other.maps_and_scores(frames)
    with Detector.open(path, threads=1) as detector:
        output = detector.engine.result(detector.engine.submit(frames))
        assert detector.recipe.method.evidence == evidence_of(other)
    tolerance = (1e-3 if file == "detector_file" else 2e-2) * float(maps.std())
    np.testing.assert_allclose(output.anomaly_map, maps.numpy(), atol=tolerance)
    scored = other.scored(maps)
    assert output.deviation_map is not None
    scale = float(scored.std() / maps.std())
    np.testing.assert_allclose(output.deviation_map, scored.numpy(), atol=10 * tolerance * scale)
    np.testing.assert_allclose(output.anomaly_score, scores[:, 0].numpy(), atol=10 * tolerance * scale)


@pytest.mark.parametrize("file", ["detector_file", "half_file", "small_file"])
def test_what_good_images_decide_is_in_the_file_under_its_names_in_full_precision(
    file: str, calibrated_run: Path, request: pytest.FixtureRequest
) -> None:
    model, recipe = read_detector(request.getfixturevalue(file))
    found, run = read_constants(model, CONSTANTS), opened(calibrated_run)
    assert run.positions is not None
    expected = {name: torch.from_numpy(values) for name, values in constants_of(recipe.method.evidence).items()}
    expected |= {"position_mean": run.positions.mean, "position_factor": 1 / run.positions.deviation}
    assert sorted(found) == sorted(CONSTANTS + name for name in expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[CONSTANTS + name], values.numpy())


def test_the_detector_passes_good_parts_and_rejects_what_is_none(detector_file: Path, calibrated_run: Path) -> None:
    split = Split.load(calibrated_run / "split.json")
    with Detector.open(detector_file, threads=1) as detector:
        good = [detector.inspect(read_image(path)) for path in split.threshold]
        stained = read_image(split.threshold[0])
        stained[26:38, 26:38] = (0, 255, 0)  # one so large as to hide the part is no part in view
        bad = detector.inspect(stained)
    assert all(verdict.decision is Decision.OK for verdict in good)  # no threshold of a tail model lies below them
    assert bad.score is not None
    assert bad.score > max(verdict.score or 0 for verdict in good)


def test_the_file_needs_no_other_and_tells_nothing_of_the_machine(detector_file: Path, calibrated_run: Path) -> None:
    data = detector_file.read_bytes()
    model = onnx.load_model_from_string(data)
    assert all(tensor.data_location == TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert [entry.key for entry in model.metadata_props] == ["recipe", "recipe_sha256"]
    assert model.producer_name == "proctor"
    for node in model.graph.node:
        assert not node.doc_string
        assert not node.metadata_props
    for path in (Path.cwd(), Path(torch.__file__).parent, calibrated_run, Path.home()):
        assert str(path).encode() not in data


@pytest.mark.parametrize("file", ["detector_file", "half_file"])
def test_the_graph_holds_nothing_that_tensorrt_rejects(file: str, request: pytest.FixtureRequest) -> None:
    model = onnx.load(request.getfixturevalue(file))
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert not model.functions
    operators = {node.op_type for node in model.graph.node}
    assert operators <= ALLOWED, operators - ALLOWED
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "MaxPool":
            assert set(attributes.get("dilations", [1, 1])) == {1}
            assert not attributes.get("ceil_mode", 0)
        if node.op_type == "Pad":
            assert attributes.get("mode", b"constant") in (b"constant", b"reflect")
        if node.op_type == "Resize":
            assert attributes["mode"] == b"linear"
        if "frames" in node.input:
            assert node.op_type == "Cast"
    (frames,) = model.graph.input
    assert frames.type.tensor_type.elem_type == TensorProto.UINT8
    dimensions = frames.type.tensor_type.shape.dim
    assert dimensions[0].dim_param
    assert [d.dim_value for d in dimensions[1:]] == [32, 36, 3]
    for output in model.graph.output:
        assert output.type.tensor_type.elem_type == TensorProto.FLOAT


def test_an_fp16_file_says_itself_which_convolutions_are_half_and_that_the_tail_is_not(half_file: Path) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(half_file), data_prop=True)
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    types |= {name: tensor.data_type for name, tensor in constants(model).items()}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    first = [node for node in convolutions if constants(model)[node.input[1]].dims[1] == 3]
    assert len(first) == 3  # a teacher and two students
    smoothing = [node for node in convolutions if constants(model)[node.input[1]].dims[1] == 1]
    assert len(smoothing) == 2  # rows and columns of the finished map
    for node in convolutions:
        expected = TensorProto.FLOAT if node in (*first, *smoothing) else TensorProto.FLOAT16
        assert {types[name] for name in node.input if name in types} == {expected}
    tail = [node for node in model.graph.node if node.op_type in ("ReduceSum", "ReduceMean", "TopK", "Resize", "Sub")]
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    assert tail
    for node in tail:
        assert {types[name] for name in node.input if types.get(name) in floats} <= {TensorProto.FLOAT}, node.name


def test_an_fp32_file_has_no_half_precision_anywhere(detector_file: Path) -> None:
    model = onnx.load(detector_file)
    assert TensorProto.FLOAT16 not in {tensor.data_type for tensor in model.graph.initializer}


def test_stored_in_fp16_the_weights_take_half_the_room(detector_file: Path, small_file: Path) -> None:
    assert small_file.stat().st_size < 0.52 * detector_file.stat().st_size
    model = onnx.load(small_file)
    large = [t for t in model.graph.initializer if np.prod(t.dims) > 20_000]
    assert large
    assert {t.data_type for t in large} == {TensorProto.FLOAT16}
    first = [t for t in model.graph.initializer if len(t.dims) == 4 and t.dims[1] == 3]
    assert {t.data_type for t in first} == {TensorProto.FLOAT}
    assert read_detector(small_file)[1].precision == "fp32"  # the arithmetic's


@pytest.mark.parametrize("further", [1, 100])  # too large, and overflowing
def test_activations_that_fp16_could_overflow_are_refused(
    loud_run: Path, detector_file: Path, tmp_path: Path, further: float
) -> None:
    run = Path(shutil.copytree(loud_run, tmp_path / "run"))
    scaled_first_convolution(run, further)
    out = tmp_path / "out" / "detector.onnx"
    out.parent.mkdir()
    shutil.copy(detector_file, out)
    message = r"an activation reached \S+ on good images, 16000 is allowed in FP16, which overflows at 65504; .*fp32"
    with pytest.raises(ParityError, match=message):
        export(opened(run), out, ExportOptions("fp16"))
    assert [*out.parent.iterdir()] == [out]  # the detector that was there
    assert out.read_bytes() == detector_file.read_bytes()


@pytest.mark.parametrize("tampering", ["weight", "constant"])
def test_a_graph_that_does_not_compute_the_formulas_is_not_written(
    calibrated_run: Path, detector_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tampering: str
) -> None:
    deviates = "the exported file deviates from the formulas by .* nothing was written"
    chosen, added, message = {
        "weight": ("teacher.weights.0", 0.1, deviates),
        "constant": ("calibration.scale", np.nan, "the exported file scores 3 of 3 good images NaN or infinite; noth"),
    }[tampering]

    def tampered(*arguments: Any) -> bytes:
        model = onnx.load_model_from_string(with_metadata(detector_file.read_bytes(), {}))  # as exported before
        tensor = next(t for t in model.graph.initializer if chosen in t.name)
        values = numpy_helper.to_array(tensor).copy()
        values.flat[0] += added
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return bytes(model.SerializeToString())

    monkeypatch.setattr(detector_module, "export_graph", tampered)
    with pytest.raises(ParityError, match=message):
        export(opened(calibrated_run), tmp_path / "detector.onnx", ExportOptions(explain=True))
    assert list(tmp_path.iterdir()) == []


def test_a_changed_image_is_noticed(run: Path) -> None:
    document = json.loads((run / "split.json").read_text())
    copy = run.parent / "changed.png"
    victim = document["threshold"][0]
    copy.write_bytes(Path(victim).read_bytes() + b"more")
    (run / "split.json").write_text(json.dumps(document).replace(victim, str(copy)))
    with pytest.raises(InputError, match="was changed since training; restore it, or train again"):
        export(opened(run), run.parent / "detector.onnx")


def test_a_file_that_is_no_detector_is_not_replaced(calibrated_run: Path, detector_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "yolo.onnx"
    out.write_bytes(with_metadata(detector_file.read_bytes(), {}))
    before = out.read_bytes()
    with pytest.raises(InputError, match="is no detector of Proctor's and would be replaced; move it, or name another"):
        export(opened(calibrated_run), out)
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


def test_a_smallest_area_set_in_the_file_is_replaced_with_a_word(tmp_path: Path, bank_file: Path) -> None:
    out = Path(shutil.copy(bank_file, tmp_path))
    recipe = read_detector(out)[1]
    assert replaced_by(recipe, tmp_path / "gone.onnx") == replaced_by(recipe, out) == []
    adjust(out, {"smallest_area": 25})
    assert replaced_by(recipe, out) == [
        f"{out} had mm_per_pixel None, smallest_area 25.0; the run's mm_per_pixel None, smallest_area 0.0 replace them "
        "(python -m runtime.adjust)"
    ]


def test_another_ending_than_onnx_is_refused(calibrated_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--out is .*detector\.plan; expected a name ending in \.onnx"):
        export(opened(calibrated_run), tmp_path / "detector.plan")
