"""The contract of `train.method`, for every row of the table: a new method passes here before anything else."""

import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from runs import opened

from calibration.calibrated import CalibratedRun, of_pixels
from calibration.file_scores import parity_frames
from export.fused import evidence_of
from export.graphs import different_forms, evidence_graph
from runtime.cameras import open_source
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.errors import InputError
from runtime.explain import normalized_evidence
from runtime.info import describe
from runtime.onnx_file import read_constants
from runtime.parity import TOLERANCE, Scored, agreement
from runtime.pipeline import Pipeline
from runtime.recipe import CONSTANTS, constants_of
from runtime.scoring import Scoring
from runtime.verdict import Decision
from train.config import options_of
from train.dense import FORMS
from train.method import METHODS, file_of

RUNS = {  # fixtures: a tiny run folder, trained and calibrated
    "students": "calibrated_run",
    "memory-bank": "bank_run",
    "backbone-students": "backbone_students_run",
}
FILES = {  # fixtures too: their detectors
    "students": "detector_file",
    "memory-bank": "bank_file",
    "backbone-students": "backbone_students_file",
}


@pytest.fixture(params=list(METHODS))
def run(request: pytest.FixtureRequest) -> CalibratedRun:
    return opened(request.getfixturevalue(RUNS[request.param]))


@pytest.fixture
def file(run: CalibratedRun, request: pytest.FixtureRequest) -> Path:
    """Its detector, with its evidence as an output."""
    found: Path = request.getfixturevalue(FILES[run.trained.method])
    return found


def frames_of(run: CalibratedRun, count: int = 3) -> NDArray[np.uint8]:
    return parity_frames(run.trained.split, run.trained.size_hw, None)[:count]


def raw_pixels(frames: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(frames).float().permute(0, 3, 1, 2)


def test_every_row_has_a_run_to_be_tried() -> None:
    assert list(RUNS) == list(FILES) == list(METHODS)


@pytest.mark.parametrize("name", list(METHODS))
def test_a_rows_options_are_a_configuration_and_its_training_a_function(name: str) -> None:
    row = METHODS[name]
    (module, config), (other, training) = row.options.split(":"), row.training.split(":")
    options = getattr(import_module(module), config)
    assert name == options.METHOD
    assert {"data", "side", "size_hw", "device", "image_evidence", "seed", *options_of(Scoring)} <= options_of(
        options
    ).keys()
    assert options.__dataclass_params__.frozen
    assert all(option.help for option in options_of(options).values())
    assert callable(getattr(import_module(other), training))


def test_a_method_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(
        InputError, match="method is 'nonsense'; expected one of students, memory-bank, backbone-students"
    ):
        file_of("nonsense")


def test_evidence_stands_at_every_stride_and_does_not_depend_on_the_batch(run: CalibratedRun) -> None:
    trained, frames = run.trained, frames_of(run)
    height, width = (-(-length // trained.stride) for length in trained.size_hw)
    found = trained.evidence(frames)
    assert (found.dtype, tuple(found.shape)) == (torch.float32, (3, len(trained.kinds), height, width))
    assert bool(found.isfinite().all())
    assert float(found.std()) > 0
    for index in range(3):
        torch.testing.assert_close(trained.evidence(frames[index : index + 1])[0], found[index], rtol=1e-3, atol=1e-4)


def test_evidence_is_high_where_something_is_unlike_the_good_images(run: CalibratedRun) -> None:
    frames = frames_of(run, 1)
    stained = frames.copy()
    stained[:, 12:24, 12:24] = (0, 255, 0)
    plain, seen = (run.maps(each) for each in (frames, stained))
    assert float(seen[0, 18, 18]) > float(plain.max())


def test_kinds_have_names_of_their_own_and_weights_that_sum_to_their_number_or_less(run: CalibratedRun) -> None:
    kinds = run.trained.kinds
    assert len({kind.name for kind in kinds}) == len(kinds) == len(run.moments) > 0
    assert all(kind.weight > 0 for kind in kinds)
    assert 1 <= sum(kind.weight for kind in kinds) <= len(kinds)
    assert all(np.isfinite((each.mean, each.deviation)).all() and each.deviation > 0 for each in run.moments)


def test_what_it_says_of_itself_fits_a_recipe(run: CalibratedRun) -> None:
    trained = run.trained
    settings = trained.settings
    assert json.loads(json.dumps(settings)) == settings
    assert "form" not in settings  # which export adds
    assert trained.looks_at
    assert "\n" not in trained.looks_at
    assert METHODS[trained.method]
    assert trained.folder.method == trained.method
    assert trained.scoring == opened(trained.folder.path).trained.scoring
    assert trained.leaves_out == (not trained.split.threshold)
    assert (trained.pooled is None) == (run.image is None)
    assert sum(trained.split.counts.values()) == 16


def test_it_moves_to_the_device_it_is_on(run: CalibratedRun) -> None:
    frames, before = frames_of(run, 1), run.trained.evidence(frames_of(run, 1))
    moved = run.trained.on("cpu")
    assert torch.equal(moved.evidence(frames), before)
    assert (moved.kinds, moved.settings) == (run.trained.kinds, run.trained.settings)


def test_an_open_run_reads_nothing_of_its_folder_again(run: CalibratedRun, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.trained.folder.path, tmp_path / "run"))
    other, frames = opened(folder), frames_of(run, 1)
    shutil.rmtree(folder)
    maps, scores = other.maps_and_scores(frames)
    expected = run.maps_and_scores(frames)
    assert torch.equal(maps, expected[0])
    assert torch.equal(scores, expected[1])
    assert other.trained.settings == run.trained.settings
    assert evidence_graph(other.trained.on("cpu"), "bailer", False)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("half", [False, True])
def test_the_graphs_evidence_is_the_plain_evidence_in_both_forms(run: CalibratedRun, form: Any, half: bool) -> None:
    frames, tolerance = frames_of(run), 1e-4
    if half:  # backbones round more than patch networks do; of frames that a bank knows, that is all that is left
        tolerance = 2e-2 if run.trained.method == "students" else TOLERANCE["fp16"]
    graph = evidence_graph(run.trained, form, half)
    with torch.no_grad():
        (found, maps), expected = graph(raw_pixels(frames)), run.trained.evidence(frames)
        pooled = None if graph.pooling is None else graph.pooling(maps)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    for kind, moments in enumerate(run.moments):
        off = float((found[:, kind] - expected[:, kind]).abs().max())
        assert off < tolerance * max(moments.deviation, float(expected[:, kind].std()))
    assert (pooled is None) == (run.trained.pooled is None)
    if pooled is not None:
        expected = run.trained.pooled_features(frames)
        assert (pooled.shape, pooled.dtype) == (expected.shape, torch.float32)
        assert float((pooled - expected).abs().max()) < tolerance * float(expected.std())
    assert any(each.dtype == torch.float16 for each in graph.parameters()) == half  # which the gate asks


def test_forms_differ_only_where_a_pool_is_taken_at_all_its_shifts(run: CalibratedRun) -> None:
    dense = run.trained.method == "students"
    assert different_forms(run.trained) == (FORMS[:1] if dense else ())  # p = 33 at strides of 4 and more

    class Finer(type(run.trained)):  # type: ignore[misc]
        stride = 1

    finer = Finer(**{field: getattr(run.trained, field) for field in run.trained.__dataclass_fields__})  # type: ignore[attr-defined]
    assert different_forms(finer) == (FORMS if dense else ())


def test_the_exported_file_says_what_the_run_says(run: CalibratedRun, file: Path) -> None:
    trained, (model, recipe) = run.trained, read_detector(file)
    assert (recipe.schema, recipe.method.name) == (2, trained.method)
    assert recipe.method.evidence == evidence_of(run)
    assert recipe.method.settings == trained.settings | ({"form": "bailer"} if different_forms(trained) else {})
    assert recipe.method.looks_at == trained.looks_at
    assert (recipe.scoring, recipe.size_hw) == (trained.scoring, trained.size_hw)
    assert recipe.threshold.sample_size == len(run.threshold_images)
    assert recipe.threshold.budget == run.budget
    assert recipe.threshold.left_out == trained.leaves_out
    assert len(recipe.method.image_evidence) == (trained.pooled is not None)
    told = describe(recipe)
    assert any(line.startswith("Method") and line.endswith(trained.method) for line in told)
    assert any(line.startswith("Looks at") and line.endswith(trained.looks_at) for line in told)
    found, expected = read_constants(model, CONSTANTS), constants_of(recipe.method.evidence)
    positions = ["position_factor", "position_mean"] if trained.scoring.by_position else []
    image = [] if run.image is None else ["image_bias", "image_centre", "image_factor", "image_mean", "image_weight"]
    assert sorted(found) == sorted(CONSTANTS + name for name in [*expected, *positions, *image])
    for name, values in expected.items():
        np.testing.assert_array_equal(found[CONSTANTS + name], values)


def test_the_exported_file_gives_the_formulas_and_explains_itself(run: CalibratedRun, file: Path) -> None:
    frames, scoring = frames_of(run), run.trained.scoring
    maps, scores = run.maps_and_scores(frames)
    with Detector.open(file, threads=1) as detector:
        output = detector.engine.result(detector.engine.submit(frames))
        terms = normalized_evidence(detector.recipe, output)
        outputs = detector.recipe.outputs
    assert {name for name in outputs if getattr(output, name) is not None} == set(outputs)
    assert all(getattr(output, name).shape == (3, *shape) for name, shape in outputs.items())
    np.testing.assert_allclose(output.anomaly_map, maps.numpy(), atol=1e-3 * float(maps.std()))
    np.testing.assert_allclose(output.anomaly_score, scores.amax(dim=1).numpy(), rtol=1e-3)
    assert (output.evidence_scores is None) == (run.image is None)
    if output.evidence_scores is not None:
        np.testing.assert_allclose(output.evidence_scores, scores.numpy(), rtol=1e-3, atol=1e-3)
    plain = of_pixels(run.trained, run.trained.evidence(frames)).numpy()
    assert output.evidence is not None
    assert terms is not None
    for kind, moments in enumerate(run.moments):
        np.testing.assert_allclose(output.evidence[:, kind], plain[:, kind], atol=1e-3 * plain[:, kind].std())
        expected = (plain[:, kind] - moments.mean) / moments.deviation
        np.testing.assert_allclose(terms[:, kind], expected, atol=1e-3 * expected.std())
    assert scoring.by_position == (output.deviation_map is not None)


def test_openvino_gives_the_same(run: CalibratedRun, file: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed; pip install openvino")
    frames = frames_of(run)
    with (
        Detector.open(file, threads=1) as plain,
        Detector.open(file, engine="openvino", threads=1) as detector,
    ):
        expected, found = (Scored.by(each.engine, frames) for each in (plain, detector))
        recipe = plain.recipe
    assert (found.evidence_scores is None) == (run.image is None)
    compared = agreement(expected, found, recipe.threshold.value, TOLERANCE["fp32"])
    assert compared.problem("OpenVINO", "ONNX Runtime") is None


def test_the_exported_file_judges_a_folder(run: CalibratedRun, file: Path, part_images: Path) -> None:
    decisions: list[Decision] = []
    with Detector.open(file, threads=1) as detector, open_source(str(part_images)) as source:
        Pipeline(source, detector, lambda frame, verdict: decisions.append(verdict.decision)).run()
    assert len(decisions) == 16
    assert Decision.NO_DECISION not in decisions
    assert decisions.count(Decision.OK) >= 12
