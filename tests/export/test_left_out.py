"""Scores of the exported file with each image left out: the plain run without it, and nothing else changed."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from runs import opened

from calibration.calibrate import calibrate
from calibration.calibrated import CalibratedRun
from calibration.image_evidence import fit_image_evidence
from calibration.methods import open_run
from calibration.threshold import fit_threshold
from export.detector import ExportOptions, export
from export.fused import FusedDetector
from export.graph import export_graph
from export.graphs import FAR, members, memory_name
from export.left_out import INPUT, left_out_scores, whitened, with_out_of_reach
from runtime.detector_file import read_detector
from runtime.onnx_file import with_constants
from runtime.recipe import CONSTANTS, Recipe
from runtime.threshold import explain
from train.data import PreparedImages, Split
from train.run_folder import SCORES


@pytest.fixture(scope="module")
def bank_run(shallow_bank_run: Path) -> Path:
    """What is left out is the bank's, however deep its backbone."""
    return shallow_bank_run


@pytest.fixture(scope="module")
def bank_file(shallow_bank_file: Path) -> Path:
    return shallow_bank_file


def images_of(run: CalibratedRun) -> PreparedImages:
    return PreparedImages(run.threshold_images, run.trained.size_hw, None)


def session_of(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def evidence_scores(graph: bytes, frames: NDArray[np.uint8], reach: NDArray[np.float32]) -> NDArray[np.float32]:
    session = session_of(graph)
    found: Any = session.run(["evidence_scores"], {"frames": frames, INPUT: reach})[0]
    return np.asarray(found, np.float32)


def file_scores(run: CalibratedRun, file: Path) -> NDArray[np.float64]:
    model, recipe = read_detector(file)
    trained, images = run.trained, images_of(run)
    return left_out_scores(
        model, recipe, memory_name(trained), members(trained), trained.split, images, whitened(run, images)
    )


def refitted(run: CalibratedRun, without: int, seen_by: CalibratedRun | None = None) -> float:
    """The evidence of the whole frame of training image `without`, by all others; normalized as the run is.

    Its own features are those of `seen_by`.
    """
    trained, split = run.trained, run.trained.split
    known = PreparedImages((*split.statistics, *split.training), trained.size_hw, None)
    features = torch.cat([trained.pooled_features(known[index][None]) for index in range(len(known))])
    index = len(split.statistics) + without
    rest = torch.cat([features[:index], features[index + 1 :]])
    found = fit_image_evidence(rest, slice(len(split.statistics)))
    assert run.image is not None
    raw = float(found.raw((seen_by or run).trained.pooled_features(known[index][None]))[0])
    return (raw - run.image.evidence_mean) / run.image.evidence_deviation


def test_each_score_is_that_of_a_run_that_never_knew_the_image(bank_run: Path, bank_file: Path) -> None:
    run = opened(bank_run)
    found, images = file_scores(run, bank_file), images_of(run)
    by_map, by_frame = [], []
    for index, path in enumerate(images.paths):
        alone = replace(run, trained=run.trained.without(path))
        by_map.append(float(alone.maps_and_scores(images[index][None])[1][0, 0]))
        by_frame.append(refitted(run, index))
    expected = np.maximum(by_map, by_frame)
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    with_all = [float(run.maps_and_scores(images[index][None])[1].max()) for index in range(len(images))]
    assert (found > np.array(with_all) + 1e-3).all()  # the bank knows each of them


def test_the_map_is_left_out_where_the_whole_frame_is_higher(bank_run: Path, bank_file: Path) -> None:
    run, model = opened(bank_run), read_detector(bank_file)[0]
    images, kept = images_of(run), members(run.trained)
    changed = with_out_of_reach(model, memory_name(run.trained))
    for index, path in enumerate(images.paths):
        reach = np.where(kept[run.trained.split.picture(path)], np.float32(FAR), np.float32(0))
        of_map = evidence_scores(changed, images[index][None], reach)[0, 0]
        alone = replace(run, trained=run.trained.without(path))
        assert of_map == pytest.approx(float(alone.maps_and_scores(images[index][None])[1][0, 0]), rel=1e-3)


def test_where_nothing_is_out_of_reach_the_file_says_the_same(bank_run: Path, bank_file: Path) -> None:
    run, (model, recipe) = opened(bank_run), read_detector(bank_file)
    images = images_of(run)
    frames = np.concatenate([images[index][None] for index in range(3)])
    changed = with_out_of_reach(model, memory_name(run.trained))
    nothing = np.zeros(len(next(iter(members(run.trained).values()))), np.float32)
    session, before = session_of(changed), session_of(model)
    assert [each.name for each in session.get_inputs()] == ["frames", INPUT]
    names = list(recipe.outputs)
    for one, other in zip(
        session.run(names, {"frames": frames, INPUT: nothing}), before.run(names, {"frames": frames}), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_every_member_of_the_memory_is_of_one_picture(bank_run: Path) -> None:
    trained = opened(bank_run).trained
    owned = np.array(list(members(trained).values()))
    assert len(owned) == 16
    assert owned.sum(axis=0).max() == 1
    assert owned.sum() == trained.settings["bank"]
    assert owned.any(axis=1).sum() > 8  # the pictures for reference, or some of them, and all others


def test_copies_of_one_picture_leave_out_together(bank_run: Path, bank_file: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(bank_run, tmp_path / "run"))
    split = Split.load(run / "split.json")
    copy = Path(shutil.copy(split.training[3], tmp_path / "copy.png"))
    others = tuple(path for path in split.training if path != split.training[3])
    sha256 = {**split.sha256, str(copy): split.sha256[str(split.training[3])]}
    replace(split, training=(copy, *others), sha256=sha256).save(run / "split.json")
    found = file_scores(opened(run), bank_file)
    expected = file_scores(opened(bank_run), bank_file)
    np.testing.assert_array_equal(found[0], expected[3])  # what the copy's picture added was out of reach
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))


def test_the_threshold_is_of_left_out_scores_and_says_so(bank_run: Path, bank_file: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(bank_run, tmp_path / "run"))
    beyond = export(calibrate(open_run(run), 0.01), tmp_path / "detector.onnx").recipe
    assert beyond == read_detector(tmp_path / "detector.onnx")[1]
    for file, budget, method in (
        (bank_file, 0.2, "jackknife-minmax"),
        (tmp_path / "detector.onnx", 0.01, "left-out-exponential-tail"),
    ):
        recipe = read_detector(file)[1]
        threshold, kept = recipe.threshold, np.load(file.with_name("run") / SCORES, allow_pickle=False)
        assert (threshold.method, threshold.sample_size, threshold.supported) == (method, 8, budget == 0.2)
        assert threshold.supported_budget == pytest.approx(1 / 9)
        assert threshold == fit_threshold(kept, budget, left_out=True)
        assert "8 good images, each scored by a detector without it" in explain(threshold)
        if budget == 0.2:  # one of nine new parts may be above the highest of eight
            assert threshold.value == kept.max()
        assert recipe.provenance.images == {"training": 8, "statistics": 8, "threshold": 0}


def test_a_file_that_sees_other_features_is_asked_about_these(bank_run: Path, bank_file: Path) -> None:
    """As in FP16: they are compared with what is known of the other images, whose own features are as they were."""
    run, other, recipe = opened(bank_run), opened(bank_run), read_detector(bank_file)[1]
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in other.trained.features.network.parameters():  # type: ignore[attr-defined]
            parameter.mul_(1 + 2e-3 * torch.randn(parameter.shape, generator=draw))
    graph = export_graph(FusedDetector(other), (32, 36))
    graph = with_constants(
        graph, {f"{CONSTANTS}position_factor": np.zeros((32, 36), np.float32)}
    )  # the map says nothing
    images, split = images_of(run), run.trained.split
    of_memory = memory_name(run.trained), members(run.trained)
    found = left_out_scores(graph, recipe, *of_memory, split, images, whitened(run, images))
    expected = np.array([refitted(run, index, other) for index in range(len(images))])
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    alone = left_out_scores(graph, recipe, *of_memory, split, images)
    assert np.abs(alone - expected).max() > 0.1


@pytest.fixture(scope="module")
def exact(bank_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[CalibratedRun, NDArray[np.float64]]:
    """A run of weights that FP16 rounds, and the scores that export in FP32 kept of it."""
    folder = tmp_path_factory.mktemp("exact")
    run: Any = opened(Path(shutil.copytree(bank_run, folder / "run")))
    with torch.no_grad():
        for parameter in run.trained.features.network.parameters():
            parameter.mul_(1.00005)  # shipped weights are stored in FP16, which nothing is lost of
    export(run, folder / "exact.onnx")
    return run, np.load(folder / "run" / SCORES, allow_pickle=False)


@pytest.mark.parametrize("options", [ExportOptions("fp16"), ExportOptions(weights="fp16")])
def test_they_are_scores_in_the_files_own_precision(
    options: ExportOptions, exact: tuple[CalibratedRun, NDArray[np.float64]], tmp_path: Path
) -> None:
    run, expected = exact
    export(run, tmp_path / "detector.onnx", options)
    kept = np.load(run.trained.folder.path / SCORES, allow_pickle=False)
    np.testing.assert_array_equal(kept, file_scores(run, tmp_path / "detector.onnx"))
    np.testing.assert_allclose(kept, expected, rtol=1e-2)
    assert not np.array_equal(kept, expected)


def test_a_bank_judged_by_its_map_alone_is_left_out_likewise(bank_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bank_run, tmp_path / "run"))
    config = folder / "config.yaml"
    text = config.read_text()
    for option in ("image_evidence", "by_position"):
        assert f"{option}: true" in text
        text = text.replace(f"{option}: true", f"{option}: false")
    config.write_text(text)
    run = calibrate(open_run(folder), 0.2)
    export(run, tmp_path / "detector.onnx")
    images = images_of(run)
    expected = [
        float(replace(run, trained=run.trained.without(path)).maps_and_scores(images[index][None])[1][0, 0])
        for index, path in enumerate(images.paths)
    ]
    np.testing.assert_allclose(np.load(folder / SCORES, allow_pickle=False), expected, rtol=1e-3)
    recipe: Recipe = read_detector(tmp_path / "detector.onnx")[1]
    assert recipe.outputs == {"anomaly_map": (32, 36), "anomaly_score": ()}
    assert "image_evidence" not in recipe.to_json()
    assert (recipe.threshold.method, recipe.threshold.sample_size) == ("jackknife-minmax", 8)
