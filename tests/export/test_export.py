"""From a calibrated run folder to a checked detector.onnx: what is in it, what beside it, and what is refused."""

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from calibration.statistics import Statistics
from onnx import TensorProto, helper, numpy_helper

from calibration.fit import fit, quantiles
from calibration.threshold import fit_threshold
from export import graph as graph_module
from export.onnx import PARITY_FRAMES, export
from export.parity import LARGEST_ACTIVATION
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.errors import InputError, ParityError
from runtime.images import read_image
from runtime.onnx_file import graph_sha256, with_metadata
from runtime.preparation import prepare
from runtime.set_threshold import set_threshold
from runtime.verdict import Decision
from train.data import Split
from train.files import load_network, save_network

# each has an importer in TensorRT 10's ONNX parser (its operators.md); none with control flow, loops or random numbers
ALLOWED = {
    *("Cast", "Concat", "Constant", "Gather", "Pad", "Range", "Reshape", "Resize", "Shape", "Slice", "Squeeze"),
    *("Transpose", "Unsqueeze", "Conv", "MaxPool", "LeakyRelu"),
    *("Add", "Div", "Max", "Mul", "Pow", "Sub", "ReduceMax", "ReduceMean", "ReduceSum", "TopK"),
}


@pytest.fixture(scope="session")
def detector_file(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's detector in FP32, with the terms as outputs."""
    out = tmp_path_factory.mktemp("detector") / "detector.onnx"
    export(calibrated_run, out, explain=True)
    return out


@pytest.fixture(scope="session")
def half_file(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's detector with convolutions in FP16, à trous."""
    out = tmp_path_factory.mktemp("half") / "detector.onnx"
    export(calibrated_run, out, precision="fp16", form="atrous")
    return out


@pytest.fixture
def run(calibrated_run: Path, tmp_path: Path) -> Path:
    """A copy of the run folder, to be changed."""
    return Path(shutil.copytree(calibrated_run, tmp_path / "run"))


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
    statistics = Statistics.load(calibrated_run / "statistics.json")
    split = Split.load(calibrated_run / "split.json")
    model, recipe = read_detector(detector_file)
    assert (recipe.size_hw, recipe.region_of_interest) == ((32, 36), (2, 3, 28, 30))
    assert (recipe.students, recipe.output_stride, recipe.score_pixels) == (2, 8, 5)
    assert (recipe.precision, recipe.form, recipe.explain) == ("fp32", "bailer", True)
    assert [scale.patch_size for scale in recipe.scales] == [33]
    for scale, moments in zip(recipe.scales, statistics.moments, strict=True):
        assert (scale.error_mean, scale.error_std) == (moments.error_mean, moments.error_std)
        assert (scale.variance_mean, scale.variance_std) == (moments.variance_mean, moments.variance_std)
        assert len(scale.teacher_sha256) == 64
    assert recipe.health == statistics.health
    assert recipe.provenance.images == {"training": 10, "statistics": 3, "threshold": 3}
    assert recipe.provenance.images_sha256 == split.images_sha256
    assert {"python", "numpy", "onnx", "onnxruntime", "torch"} <= set(recipe.provenance.versions)
    assert recipe.provenance.created.endswith("+00:00")
    assert recipe.graph_sha256 == graph_sha256(model)
    assert 0 < recipe.largest_activation < LARGEST_ACTIVATION


def test_the_teacher_in_the_recipe_is_the_file_it_was_trained_from(
    detector_file: Path, teacher_files: dict[int, Path]
) -> None:
    (scale,) = read_detector(detector_file)[1].scales
    assert scale.teacher_sha256 == hashlib.sha256(teacher_files[33].read_bytes()).hexdigest()


def test_the_parity_frames_are_held_out_images_and_their_hash_is_in_the_recipe(
    detector_file: Path, calibrated_run: Path
) -> None:
    data = detector_file.with_suffix(".parity.npz").read_bytes()
    assert hashlib.sha256(data).hexdigest() == read_detector(detector_file)[1].parity_sha256
    split = Split.load(calibrated_run / "split.json")
    held_out = [*split.threshold, *split.statistics][:PARITY_FRAMES]
    expected = np.stack([prepare(read_image(path), (32, 36)) for path in held_out])
    np.testing.assert_array_equal(np.load(io.BytesIO(data), allow_pickle=False)["frames"], expected)


def test_the_threshold_is_fitted_again_on_the_exported_files_own_scores(half_file: Path, calibrated_run: Path) -> None:
    split = Split.load(calibrated_run / "split.json")
    statistics = Statistics.load(calibrated_run / "statistics.json")
    with Detector.open(half_file, threads=1) as detector:
        prepared = [prepare(read_image(path), (32, 36))[None] for path in split.threshold]
        outputs = [detector.engine.result(detector.engine.submit(frame)) for frame in prepared]
        recipe = detector.recipe
    scores = np.array([float(output.anomaly_score[0]) for output in outputs])
    assert recipe.threshold.value == pytest.approx(fit_threshold(scores, 0.2).value, rel=1e-6)
    assert recipe.score_quantiles == pytest.approx(quantiles(scores), rel=1e-6)
    assert recipe.threshold.value != statistics.threshold.value  # FP16 scores are not those of the formulas
    assert recipe.threshold.budget == statistics.threshold.budget


def test_of_one_student_every_image_held_out_gives_the_threshold(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = run / "config.yaml"
    text = config.read_text().replace("students: 2", "students: 1").replace("by_position: true", "by_position: false")
    config.write_text(text)
    found, split = fit(run, 0.2), Split.load(run / "split.json")
    assert f"highest scores of good images: {found.score_quantiles['1.0']:.2f} " in capsys.readouterr().out
    export(run, tmp_path / "detector.onnx")
    recipe = read_detector(tmp_path / "detector.onnx")[1]
    assert (recipe.students, recipe.by_position) == (1, False)
    assert found.threshold.sample_size == recipe.threshold.sample_size == len(split.threshold) + len(split.statistics)


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


def test_the_recipe_says_of_positions_what_the_graph_was_made_with(run: Path, tmp_path: Path) -> None:
    fit(run, 0.2)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("by_position: true", "by_position: false"))
    export(run, tmp_path / "detector.onnx")  # the statistics are still those by position
    with Detector.open(tmp_path / "detector.onnx", threads=1) as detector:
        frame = prepare(read_image(Split.load(run / "split.json").threshold[0]), detector.recipe.size_hw)
        output = detector.engine.result(detector.engine.submit(frame[None]))
    assert detector.recipe.by_position
    assert output.deviation_map is not None


def test_the_detector_passes_good_parts_and_rejects_what_is_none(detector_file: Path, calibrated_run: Path) -> None:
    split = Split.load(calibrated_run / "split.json")
    with Detector.open(detector_file, threads=1) as detector:
        good = [detector.inspect(read_image(path)) for path in split.threshold]
        stained = read_image(split.threshold[0])
        stained[20:44, 20:44] = (0, 255, 0)
        bad = detector.inspect(stained)
    assert all(verdict.decision is Decision.OK for verdict in good)  # no threshold of a Gumbel tail lies below them
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


def test_stored_in_fp16_the_weights_take_half_the_room(
    calibrated_run: Path, detector_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small.onnx"
    export(calibrated_run, out, weights="fp16")
    assert out.stat().st_size < 0.52 * detector_file.stat().st_size
    model = onnx.load(out)
    large = [t for t in model.graph.initializer if np.prod(t.dims) > 20_000]
    assert large
    assert {t.data_type for t in large} == {TensorProto.FLOAT16}
    first = [t for t in model.graph.initializer if len(t.dims) == 4 and t.dims[1] == 3]
    assert {t.data_type for t in first} == {TensorProto.FLOAT}
    assert read_detector(out)[1].precision == "fp32"  # the arithmetic's


@pytest.mark.parametrize("factor", [1e4, 1e6])  # too large, and overflowing
def test_activations_that_fp16_could_overflow_are_refused(run: Path, detector_file: Path, factor: float) -> None:
    scaled_first_convolution(run, factor)
    out = run.parent / "out" / "detector.onnx"
    out.parent.mkdir()
    shutil.copy(detector_file, out)
    message = r"an activation reached \S+ on good images, 16000 is allowed in FP16, which overflows at 65504; .*fp32"
    with pytest.raises(ParityError, match=message):
        export(run, out, precision="fp16")
    assert [*out.parent.iterdir()] == [out]  # the detector that was there
    assert out.read_bytes() == detector_file.read_bytes()


def test_in_fp32_large_activations_are_recorded(run: Path, detector_file: Path) -> None:
    scaled_first_convolution(run, 1e4)
    out = run.parent / "detector.onnx"
    parity = export(run, out)
    assert parity.largest_activation > LARGEST_ACTIVATION
    assert read_detector(out)[1].largest_activation == parity.largest_activation
    assert not parity.half


@pytest.mark.parametrize("tampering", ["weight", "constant"])
def test_a_graph_that_does_not_compute_the_formulas_is_not_written(
    calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tampering: str
) -> None:
    real = graph_module.export_graph
    chosen, added, message = {
        "weight": (4, 0.1, "the exported file deviates from the formulas by .* nothing was written"),
        "constant": (0, np.nan, "the exported file scores 3 of 3 good images NaN or infinite; nothing was written"),
    }[tampering]

    def tampered(*arguments: Any) -> bytes:
        model = onnx.load_model_from_string(real(*arguments))
        tensor = next(t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) == chosen)
        values = numpy_helper.to_array(tensor).copy()
        values.flat[0] += added
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return bytes(model.SerializeToString())

    monkeypatch.setattr(graph_module, "export_graph", tampered)
    with pytest.raises(ParityError, match=message):
        export(calibrated_run, tmp_path / "detector.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_uncalibrated_run_is_sent_to_calibration(run: Path) -> None:
    (run / "statistics.json").unlink()
    with pytest.raises(InputError, match=r"is not calibrated; run python -m calibration\.fit "):
        export(run, run.parent / "detector.onnx")


def test_a_changed_image_is_noticed(run: Path) -> None:
    document = json.loads((run / "split.json").read_text())
    copy = run.parent / "changed.png"
    victim = document["threshold"][0]
    copy.write_bytes(Path(victim).read_bytes() + b"more")
    (run / "split.json").write_text(json.dumps(document).replace(victim, str(copy)))
    with pytest.raises(InputError, match="was changed since training; restore it, or train again"):
        export(run, run.parent / "detector.onnx")


def test_a_file_that_is_no_detector_is_not_replaced(calibrated_run: Path, detector_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "yolo.onnx"
    out.write_bytes(with_metadata(detector_file.read_bytes(), {}))
    before = out.read_bytes()
    with pytest.raises(InputError, match="is no detector of Proctor's and would be replaced; move it, or name another"):
        export(calibrated_run, out)
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


def test_a_threshold_set_by_hand_is_replaced_with_a_word(
    calibrated_run: Path, detector_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copy(detector_file, tmp_path))
    export(calibrated_run, out)
    assert "by hand" not in capsys.readouterr().out
    set_threshold(out, 5.0)
    export(calibrated_run, out)
    assert f"{out} had a threshold set by hand, 5; the one fitted now replaces it\n" in capsys.readouterr().out


def test_another_ending_than_onnx_is_refused(calibrated_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--out is .*detector\.plan; expected a name ending in \.onnx"):
        export(calibrated_run, tmp_path / "detector.plan")
