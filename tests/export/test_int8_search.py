"""A memory bank in INT8: what of its graph is quantized, what it is compared on, and what it is refitted to."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from calibration.calibrate import calibrate
from calibration.calibrated import with_statistics
from calibration.methods import open_run
from calibration.threshold import fit_threshold
from export.detector import ExportOptions, export
from export.graphs import members, memory_name
from export.int8_detector import Options, find_split, quantize
from export.int8_search import quantized_search
from export.left_out import left_out_maps, left_out_scores, whitened
from runtime.detector_file import read_detector
from runtime.errors import DetectorError, InputError, ParityError
from runtime.tensorrt.builder import BuildOptions, build_plan
from train.data import PreparedImages
from train.memory_bank import BACKBONE, MemoryBankConfig, train_memory_bank

ANYWHERE = Options(margin=0.05, threads=1, allow_slower=True)  # a bank this small gains nothing


@pytest.fixture(scope="module", params=["shallow", "resnet18"])
def bank(
    request: pytest.FixtureRequest, part_images: Path, shallow_backbone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A detector over a backbone, its run folder beside it; 16 images, 200 descriptors of frames of 64×80."""
    backbone = str(shallow_backbone) if request.param == "shallow" else request.param
    out = tmp_path_factory.mktemp("bank") / "detector.onnx"
    run = out.with_name("detector-run")
    train_memory_bank(config_of(backbone, part_images), run)
    export(calibrate(open_run(run), 0.2), out)
    return out


def config_of(backbone: str, images: Path) -> MemoryBankConfig:
    return MemoryBankConfig(
        data=str(images),
        backbone=backbone,
        size_hw=(64, 80),
        coreset=200,
        projected=16,
        # ResNet's channels that are dead on these few rendered parts have no deviation to divide by
        image_evidence=backbone != "resnet18",
        device="cpu",
    )


@pytest.fixture(scope="module")
def int8(bank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8") / "int8.onnx"
    quantize(bank, find_split(bank, None, None), out, ANYWHERE)
    return out


def test_the_search_is_in_int8_and_all_else_as_it_was(bank: Path, int8: Path) -> None:
    before, after = (onnx.load_model_from_string(read_detector(path)[0]).graph for path in (bank, int8))
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.initializer}
    for tensor in before.initializer:
        assert np.array_equal(weights[tensor.name], numpy_helper.to_array(tensor))
    made: dict[str, Any] = {output: node for node in after.node for output in node.output}
    (product,) = [node for node in after.node if node.op_type == "MatMul"]
    assert {made[name].op_type for name in product.input} == {"DequantizeLinear"}
    zeros = [made[name].input[2] for name in product.input]
    assert all(not weights[name].any() and weights[name].dtype == np.int8 for name in zeros)  # as TensorRT demands
    whole, steps = weights["int8.search.bank"], weights["int8.search.bank_steps"]
    assert whole.dtype == np.int8
    members = weights["evidence.bank"]
    assert np.abs(whole.T * steps[:, None] - members).max() <= steps.max() / 2 * 1.001
    convs = [[node.op_type for node in graph.node if node.op_type == "Conv"] for graph in (before, after)]
    assert len(convs[0]) == len(convs[1])
    biases = [t for t in after.initializer if t.data_type == TensorProto.INT32]
    assert not biases


def test_the_distance_is_that_of_the_member_found_so_that_rounding_never_lowers_it(bank: Path, int8: Path) -> None:
    run = open_run(bank.with_name("detector-run"), "cpu")
    models = [read_detector(path) for path in (bank, int8)]
    images = PreparedImages(run.split.training[:3], models[0][1].size_hw, None)
    exact, rounded = (
        left_out_maps(model, "deviation_map", memory_name(run), members(run), run.split, images) for model, _ in models
    )
    difference = rounded - exact
    assert difference.min() > -1e-3 * np.std(exact)
    assert np.corrcoef(np.ravel(rounded), np.ravel(exact))[0, 1] > 0.99


def test_its_threshold_is_of_its_own_scores_of_images_left_out(bank: Path, int8: Path) -> None:
    model, recipe = read_detector(int8)
    trained = open_run(bank.with_name("detector-run"), "cpu")
    images = PreparedImages(trained.split.threshold_images(1, True), recipe.size_hw, None)
    own = left_out_scores(model, recipe, memory_name(trained), members(trained), trained.split, images)
    assert recipe.threshold == fit_threshold(own, 0.2, recipe.threshold.confidence, left_out=True)
    assert recipe.threshold.left_out
    assert recipe.score_quantiles["1.0"] == own.max()
    assert recipe.quantization is not None
    assert (recipe.precision, recipe.quantization.decisions) == ("int8", len(own))
    assert recipe.quantization.map_correlation < 1  # of maps that say something: with an image in the bank none does


@pytest.fixture(scope="module")
def halved(
    bank: Path,
    tmp_path_factory: pytest.TempPathFactory,
    graph_of_file: Callable[[Path], AbstractContextManager[None]],
) -> Path:
    """The same detector with its weights stored in FP16."""
    path = tmp_path_factory.mktemp("halved") / "halved.onnx"
    with graph_of_file(bank):
        export(with_statistics(open_run(bank.with_name("detector-run"), "cpu")), path, ExportOptions(weights="fp16"))
    return path


def test_a_bank_that_is_stored_in_fp16_is_quantized_too(halved: Path, bank: Path, tmp_path: Path) -> None:
    run, out = bank.with_name("detector-run"), tmp_path / "int8.onnx"
    quantize(halved, find_split(halved, None, run), out, ANYWHERE, run=run)
    model, recipe = read_detector(out)
    weights = {each.name: numpy_helper.to_array(each) for each in onnx.load_model_from_string(model).graph.initializer}
    members_as_stored = weights["evidence.bank.half"]
    steps = weights["int8.search.bank_steps"]
    assert members_as_stored.dtype == np.float16
    assert np.abs(weights["int8.search.bank"].T * steps[:, None] - members_as_stored).max() <= steps.max() / 2 * 1.001
    # its threshold is of images left out of what the whole frame was fitted to, which rounded weights do not see alike
    calibrated = with_statistics(open_run(run, "cpu"))
    trained = calibrated.trained
    images = PreparedImages(trained.split.threshold_images(1, True), recipe.size_hw, None)
    known = whitened(calibrated, images)
    scores = left_out_scores(model, recipe, memory_name(trained), members(trained), trained.split, images, known)
    assert recipe.threshold == fit_threshold(scores, 0.2, recipe.threshold.confidence, left_out=True)


def test_a_run_that_was_calibrated_again_does_not_say_what_rounded_weights_know(
    halved: Path, bank: Path, tmp_path: Path
) -> None:
    if not read_detector(halved)[1].method.image_evidence:
        pytest.skip("the frame is not judged as a whole: nothing is fitted to it")
    run = Path(shutil.copytree(bank.with_name("detector-run"), tmp_path / "run"))
    calibrated = with_statistics(open_run(run, "cpu"))
    assert calibrated.image is not None
    replace(calibrated, image=replace(calibrated.image, evidence_mean=0.5)).save()
    with pytest.raises(InputError, match=r"run was calibrated again since the detector was exported; export it anew"):
        quantize(halved, find_split(halved, None, run), tmp_path / "int8.onnx", ANYWHERE, run=run)


def test_a_range_too_narrow_is_found_on_images_left_out(bank: Path, tmp_path: Path) -> None:
    split = find_split(bank, None, None)
    with pytest.raises(ParityError, match="the maps' correlation is"):
        quantize(bank, split, tmp_path / "int8.onnx", replace(ANYWHERE, margin=1e-6, ranges="51"))
    assert not (tmp_path / "int8.onnx").exists()


@pytest.mark.parametrize("changed", [{"coreset": 150}, {"seed": 1}])  # the settings differ, the memory alone
def test_the_run_folder_is_asked_for_and_must_be_the_detectors(
    bank: Path, part_images: Path, tmp_path: Path, changed: dict[str, int]
) -> None:
    with pytest.raises(InputError, match=r"left out of its memory in turn, and only the run folder .* with --run"):
        find_split(bank, part_images, None)
    backbone = str(bank.with_name("detector-run") / BACKBONE)
    other = tmp_path / "detector-run"
    train_memory_bank(replace(config_of(backbone, part_images), **changed), other)
    with pytest.raises(InputError, match=r"detector-run holds another memory than detector\.onnx"):
        quantize(bank, find_split(bank, None, None), tmp_path / "x.onnx", ANYWHERE, run=other)


def test_a_graph_without_a_search_is_refused(int8_file: Path) -> None:
    with pytest.raises(DetectorError, match="no search over a memory bank; export the run anew"):
        quantized_search(int8_file.read_bytes(), "evidence.squares", [], "max")


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")
def test_a_real_builder_takes_it(int8: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: NO real builder was run")
    model, recipe = read_detector(int8)
    assert build_plan(trt, model, recipe.size_hw, BuildOptions(max_batch=2)).plan
