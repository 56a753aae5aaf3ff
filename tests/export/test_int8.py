"""From a detector in FP32 to one in INT8: what its graph holds, what its recipe says, and what is refused."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from calibration.threshold import fit_threshold
from export import int8_detector
from export.int8_detector import Options, find_split, quantize
from export.int8_gate import Comparison
from export.layers import attributes
from runtime.detector import Detector
from runtime.detector_file import read_detector, write_recipe
from runtime.errors import DetectorError, InputError, ParityError
from runtime.images import read_image
from runtime.info import describe
from runtime.onnx_file import graph_sha256, read_constants, with_metadata
from runtime.parity import tolerance_of
from runtime.preparation import scaled
from runtime.recipe import CONSTANTS, constants_of
from train.data import Split

NarrowDetector = Callable[..., Path]
ANYWHERE = Options(margin=0.05, threads=1, allow_slower=True)  # networks this small gain nothing


def scores_of(path: Path, split: Split) -> np.ndarray:
    with Detector.open(path, threads=1) as detector:
        frames = [
            scaled(read_image(image), detector.recipe.size_hw)[None] for image in split.threshold_images(1, False)
        ]
        outputs = [detector.engine.result(detector.engine.submit(frame)) for frame in frames]
    return np.array([float(output.anomaly_score[0]) for output in outputs])


def nodes_by_output(model: Any) -> dict[str, Any]:
    return {output: node for node in model.graph.node for output in node.output}


def test_both_inputs_of_every_convolution_but_the_last_are_dequantized(int8_file: Path) -> None:
    model = onnx.load(int8_file)
    made = nodes_by_output(model)
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    quantized = [conv for conv in convs if conv.input[0] in made and made[conv.input[0]].op_type == "DequantizeLinear"]
    assert (len(convs), len(quantized)) == (8, 6)  # teacher and student, four each
    for conv in quantized:
        weight = made[conv.input[1]]
        assert weight.op_type == "DequantizeLinear"
        (reader,) = [node for node in model.graph.node if conv.output[0] in node.input]
        assert reader.op_type == "QuantizeLinear"  # ONNX Runtime's integer convolution wants it at once


def test_scores_by_position_stay_so_and_their_threshold_is_of_its_own_images(
    narrow_detector: NarrowDetector, part_split: Split, tmp_path: Path
) -> None:
    source, out = narrow_detector(by_position=True), tmp_path / "int8.onnx"
    quantize(source, part_split, out, ANYWHERE)
    recipe = read_detector(out)[1]
    assert recipe.scoring.by_position
    assert recipe.threshold.sample_size == len(part_split.threshold) < len(part_split.threshold_images(1, False))
    with Detector.open(source, threads=1) as plain, Detector.open(out, threads=1) as int8:
        frame = scaled(read_image(part_split.threshold[0]), recipe.size_hw)[None]
        expected, found = (each.engine.result(each.engine.submit(frame)) for each in (plain, int8))
    assert expected.deviation_map is not None
    assert found.deviation_map is not None
    assert np.corrcoef(expected.deviation_map.ravel(), found.deviation_map.ravel())[0, 1] > 0.99
    assert found.anomaly_score[0] == found.deviation_map.max()
    assert_same_constants(source, out, 4)


def test_it_is_symmetric_and_weights_have_a_scale_for_each_output_channel(int8_file: Path) -> None:
    model = onnx.load(int8_file)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    weights = [node for node in pairs if node.input[0] in constants]
    assert len(weights) == 6
    for node in pairs:
        scale, zero = constants[node.input[1]], constants[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
        assert (scale > 0).all()
        assert scale.shape == (() if node not in weights else (len(constants[node.input[0]]),))
    for node in weights:
        assert attributes(node)["axis"] == 0
        assert constants[node.input[0]].min() >= -127


def test_biases_and_all_behind_the_last_convolutions_stay_float(int8_file: Path) -> None:
    model = onnx.load(int8_file)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert TensorProto.INT32 not in types.values()
    made = nodes_by_output(model)
    for conv in (node for node in model.graph.node if node.op_type == "Conv"):
        assert types[conv.input[2]] == TensorProto.FLOAT
    last = [conv for conv in model.graph.node if conv.op_type == "Conv" and conv.input[1] + ".half" in types]
    plain = [
        c for c in model.graph.node if c.op_type == "Conv" and made.get(c.input[1], c).op_type != "DequantizeLinear"
    ]
    assert len(plain) == 2
    assert not last or last == plain
    behind, reached = {output for conv in plain for output in conv.output}, []
    for node in model.graph.node:
        if behind & set(node.input):
            behind |= set(node.output)
            reached.append(node.op_type)
    assert "ReduceMax" in reached
    assert not {"QuantizeLinear", "DequantizeLinear"} & set(reached)


@pytest.mark.parametrize("case", [{}, {"stride": 1, "students": 2}, {"patch_size": 65, "stride": 2, "form": "atrous"}])
def test_onnxruntime_runs_the_convolutions_on_integers(
    case: dict[str, Any], narrow_detector: NarrowDetector, part_split: Split, tmp_path: Path
) -> None:
    fp32, out = narrow_detector(**case), tmp_path / "int8.onnx"
    found = quantize(fp32, part_split, out, ANYWHERE)
    assert found.map_correlation > 0.98
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(out, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    networks = case.get("students", 1) + 1
    layers = 5 if case.get("patch_size") == 65 else 4
    assert kinds.count("QLinearConv") == (layers - 1) * networks
    assert kinds.count("Conv") + kinds.count("FusedConv") == networks


def test_separable_convolutions_stay_as_they_are(
    narrow_detector: NarrowDetector, part_split: Split, tmp_path: Path
) -> None:
    fp32, out = narrow_detector(separable=True, smoothing=1.5), tmp_path / "int8.onnx"
    assert quantize(fp32, part_split, out, ANYWHERE).map_correlation > 0.99
    model = onnx.load(out)
    made = nodes_by_output(model)
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    quantized = [conv for conv in convs if conv.input[0] in made and made[conv.input[0]].op_type == "DequantizeLinear"]
    # three of the teacher, and the student's first; behind it three depthwise ones, each with one of 1×1
    assert (len(convs), len(quantized)) == (4 + 7 + 2, 3 + 1)
    with Detector.open(fp32, threads=1) as exact, Detector.open(out, threads=1) as int8:
        frame = scaled(read_image(part_split.training[0]), exact.recipe.size_hw)[None]
        expected, found = (each.engine.result(each.engine.submit(frame)).anomaly_map for each in (exact, int8))
    # not only in proportion: the first convolution's scale is undone before the float ones
    np.testing.assert_allclose(found, expected, atol=0.25 * float(expected.std()))


def test_the_recipe_says_how_it_was_made_and_what_it_lost(int8_file: Path, fp32_file: Path, part_split: Split) -> None:
    model, recipe = read_detector(int8_file)
    source = read_detector(fp32_file)[1]
    made = recipe.quantization
    assert made is not None
    assert (recipe.precision, recipe.method, recipe.scoring) == ("int8", source.method, source.scoring)
    assert recipe.health == source.health
    assert (made.ranges, made.range_images, made.margin) == ("max", 10, 0.05)
    assert (made.frames, made.decisions, made.defective_images) == (6, 6, 0)  # one scale, one student
    assert 0.95 < made.map_correlation < 1
    assert made.source_sha256 == source.graph_sha256
    assert recipe.graph_sha256 == graph_sha256(model) != source.graph_sha256
    assert tolerance_of(recipe) > 0
    hashes = sorted(
        part_split.sha256[str(path)] for path in (*part_split.training, *part_split.threshold_images(1, False))
    )
    assert made.images_sha256 == hashlib.sha256("".join(hashes).encode()).hexdigest()
    (line,) = [line for line in describe(recipe) if line.startswith("Precision")]
    for text in ("int8", "of 10 good images", f"correlate {made.map_correlation:.4f}", "1 CPU threads"):
        assert text in line


def test_the_gaussian_over_the_map_stays_as_it_is(
    narrow_detector: NarrowDetector, part_split: Split, tmp_path: Path
) -> None:
    fp32, out = narrow_detector(smoothing=1.5), tmp_path / "int8.onnx"
    found = quantize(fp32, part_split, out, Options(allow_slower=True, margin=0.3, threads=1))
    assert found.map_correlation > 0.9
    assert read_detector(out)[1].scoring.smoothing == 1.5
    model = onnx.load(out)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = [
        constants[name]
        for node in model.graph.node
        if node.op_type == "Conv"
        for name in node.input[1:2]
        if name in constants
    ]
    gaussian = [weight for weight in weights if weight.shape[1] == 1]
    assert [weight.shape for weight in gaussian] == [(1, 1, 1, 11), (1, 1, 11, 1)]
    assert all(weight.dtype == np.float32 for weight in gaussian)


def test_what_good_images_decide_is_kept_under_its_name_and_exact(int8_file: Path, fp32_file: Path) -> None:
    assert_same_constants(fp32_file, int8_file, 2)


def assert_same_constants(fp32: Path, int8: Path, count: int) -> None:
    """What the FP32 file holds of good images, the INT8 file holds to the last bit, as its recipe says."""
    (before, _), (after, recipe) = read_detector(fp32), read_detector(int8)
    expected, found = (read_constants(model, CONSTANTS) for model in (before, after))
    assert sorted(found) == sorted(expected)
    assert len(found) == count
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    for name, values in constants_of(recipe.method.evidence).items():
        np.testing.assert_array_equal(found[CONSTANTS + name], values)


def test_the_threshold_is_of_the_int8_scores(int8_file: Path, fp32_file: Path, part_split: Split) -> None:
    recipe = read_detector(int8_file)[1]
    scores = scores_of(int8_file, part_split)
    assert recipe.threshold.value == pytest.approx(fit_threshold(scores, 0.2).value, rel=1e-6)
    assert recipe.score_quantiles["1.0"] == pytest.approx(scores.max(), rel=1e-6)
    assert abs(scores - scores_of(fp32_file, part_split)).max() > 1e-4  # or the test would show nothing


def test_the_parity_frames_lie_beside_it(int8_file: Path, part_split: Split) -> None:
    data = int8_file.with_suffix(".parity.npz").read_bytes()
    assert hashlib.sha256(data).hexdigest() == read_detector(int8_file)[1].parity_sha256
    frames = np.load(io.BytesIO(data), allow_pickle=False)["frames"]
    np.testing.assert_array_equal(frames[0], scaled(read_image(part_split.threshold[0]), frames.shape[1:3]))


def test_weights_stored_in_fp16_are_quantized_too(fp32_file: Path, part_split: Split, tmp_path: Path) -> None:
    from export.graph import with_halved_weights

    model, recipe = read_detector(fp32_file)
    graph = with_halved_weights(with_metadata(model, {}))
    assert "Cast" in [node.op_type for node in onnx.load_model_from_string(graph).graph.node if "weight" in node.name]
    halved = tmp_path / "halved.onnx"
    write_recipe(halved, graph, replace(recipe, graph_sha256=graph_sha256(graph)))
    found = quantize(halved, part_split, tmp_path / "int8.onnx", ANYWHERE)
    assert found.map_correlation > 0.98


def test_maps_are_compared_where_the_detector_inspects(
    fp32_file: Path, part_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, recipe = read_detector(fp32_file)
    rectangle = tmp_path / "rectangle.onnx"
    write_recipe(rectangle, model, replace(recipe, scoring=replace(recipe.scoring, region_of_interest=(8, 9, 20, 30))))

    def compared(*arguments: Any) -> Comparison:
        raise ParityError(f"{arguments[-1].pixels} pixels")

    monkeypatch.setattr(int8_detector, "compare", compared)
    with pytest.raises(ParityError, match="600 pixels"):
        quantize(rectangle, part_split, tmp_path / "int8.onnx", ANYWHERE)


def test_what_is_lost_beyond_the_margin_is_refused_and_nothing_written(
    fp32_file: Path, part_split: Split, tmp_path: Path
) -> None:
    strict = Options(margin=1e-7, threads=1, allow_slower=True)
    with pytest.raises(ParityError, match=r"in INT8 the maps' correlation is 0\.\d+ over 6 good frames .* nothing was"):
        quantize(fp32_file, part_split, tmp_path / "int8.onnx", strict)
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_the_run_beside_the_detector(
    fp32_file: Path, part_split: Split, environment: dict[str, str], tmp_path: Path
) -> None:
    detector = Path(shutil.copy(fp32_file, tmp_path / "detector.onnx"))
    (tmp_path / "detector-run").mkdir()
    part_split.save(tmp_path / "detector-run" / "split.json")
    command = [sys.executable, "-m", "export.int8", str(detector), "--margin", "0.05", "--threads", "1"]
    done = subprocess.run([*command, "--allow-slower"], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "against FP32: correlation of the maps 0.9" in done.stdout
    assert f"{tmp_path / 'detector.int8.onnx'} written" in done.stdout
    assert read_detector(tmp_path / "detector.int8.onnx")[1].precision == "int8"


def test_images_are_split_as_in_training(fp32_file: Path, part_images: Path, part_split: Split) -> None:
    assert find_split(fp32_file, part_images, None) == part_split


def test_other_images_than_those_of_training_are_refused_unless_said_to_be_unseen(
    fp32_file: Path, part_images: Path, tmp_path: Path
) -> None:
    for path in sorted(part_images.iterdir())[:-1]:
        os.link(path, tmp_path / path.name)
    with pytest.raises(InputError, match=r"has other good images than detector\.onnx was made from .*--unseen"):
        find_split(fp32_file, tmp_path, None)
    assert sum(find_split(fp32_file, tmp_path, None, unseen=True).counts.values()) == 15


def test_without_images_it_says_how_to_name_them(fp32_file: Path) -> None:
    with pytest.raises(InputError, match=r"detector-run is no folder; name the good images .* --data, or the run"):
        find_split(fp32_file, None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(margin=0), "the margin is 0; expected a share between 0 and 1"),
        (Options(ranges="most"), "the method of the ranges is 'most'"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_the_work(
    options: Options, message: str, fp32_file: Path, part_split: Split, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        quantize(fp32_file, part_split, tmp_path / "int8.onnx", options)


def test_only_fp32_files_with_a_threshold_of_their_own_are_quantized(
    int8_file: Path, fp32_file: Path, part_split: Split, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has its convolutions in int8; quantize the FP32 file"):
        quantize(int8_file, part_split, tmp_path / "twice.onnx")
    with pytest.raises(InputError, match="expected another name than the detector's"):
        quantize(fp32_file, part_split, fp32_file)
    by_hand = tmp_path / "by-hand.onnx"
    model, recipe = read_detector(fp32_file)
    write_recipe(by_hand, model, recipe.with_threshold(3.0))
    with pytest.raises(InputError, match=r"was set by hand.*then use runtime\.set_threshold"):
        quantize(by_hand, part_split, tmp_path / "int8.onnx")
    with pytest.raises(InputError, match="are masks of no images"):
        quantize(fp32_file, part_split, tmp_path / "int8.onnx", masks=tmp_path)


def test_a_method_that_is_not_quantized_is_refused_in_one_sentence(
    backbone_students_file: Path, part_split: Split, tmp_path: Path
) -> None:
    message = "is of the method backbone-students; INT8 is for students and memory-bank: use it as it is"
    with pytest.raises(InputError, match=message):
        quantize(backbone_students_file, part_split, tmp_path / "int8.onnx")


def test_a_graph_of_another_kind_is_refused(fp32_file: Path, part_split: Split, tmp_path: Path) -> None:
    model = onnx.load(fp32_file)
    for node in model.graph.node:
        if node.op_type == "LeakyRelu":
            node.op_type = "Elu"
    del model.metadata_props[:]
    graph = model.SerializeToString()
    other = tmp_path / "other.onnx"
    write_recipe(other, graph, replace(read_detector(fp32_file)[1], graph_sha256=graph_sha256(graph)))
    with pytest.raises(DetectorError, match="Elu lies between two convolutions"):
        quantize(other, part_split, tmp_path / "int8.onnx", ANYWHERE)
