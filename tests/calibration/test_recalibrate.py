"""Recalibration of a finished file: the very figures of training's calibration, without PyTorch, or a refusal."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from runs import opened

from calibration import recalibrate as command
from calibration import recalibration
from calibration.calibrate import calibrate, fit_moments
from calibration.calibrated import CalibratedRun
from calibration.image_evidence import fit_image_evidence
from calibration.methods import open_run
from calibration.positions import fit_positions, in_score_units
from calibration.recalibration import Options, recalibrate, refitted, statistics_of, to_prove
from calibration.recalibration_report import warnings
from calibration.threshold import fit_threshold
from export.detector import ExportOptions, export
from export.int8_detector import quantize
from runtime.adjust import adjust
from runtime.default_detector import DEMO_DETECTOR
from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.detector_file import read_detector, read_parity_frames
from runtime.errors import ImageError, InputError
from runtime.info import facts_of
from runtime.lock import only_one_writes
from runtime.onnx_file import graph_sha256, operand_beside, read_constants, with_constants, with_metadata, with_outputs
from runtime.recipe import CONSTANTS, recipe_from_json
from runtime.tensorrt.builder import BuildOptions
from runtime.tensorrt.plans import stale
from runtime.tensorrt.sidecar import Checked, Machine, Sidecar
from runtime.threshold import LEAST_BUDGET, images_needed
from train.data import PreparedImages, Split

WHO = Options(by="a tester", budget=0.3, threads=1)


def exported(run: CalibratedRun, folder: Path, **options: Any) -> Path:
    export(run, folder / "detector.onnx", ExportOptions(**options))
    return folder / "detector.onnx"


@pytest.fixture(scope="module")
def students(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of students whose scores are not by position, and its file."""
    folder = tmp_path_factory.mktemp("plain")
    run = Path(shutil.copytree(calibrated_run, folder / "run"))
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("by_position: true", "by_position: false"))
    calibrate(open_run(run), 0.2)
    return run, exported(opened(run), folder)


@pytest.fixture
def by_position(detector_file: Path) -> Path:
    return detector_file


@pytest.fixture
def bank(bank_file: Path) -> Path:
    return bank_file


@pytest.fixture
def demo() -> Path:
    """The packaged detector, a memory bank."""
    return DEMO_DETECTOR


@pytest.fixture(scope="module")
def darker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 good parts of another line, under less light."""
    folder = tmp_path_factory.mktemp("darker")
    line = DemoLine(5, (256, 256), 0.0)
    for number in range(18):
        cv2.imwrite(str(folder / f"{number:02}.png"), (0.7 * line.good(number).image).astype(np.uint8))
    return folder


def copied(images: tuple[Path, ...], folder: Path) -> Path:
    folder.mkdir()
    for number, path in enumerate(images):
        shutil.copy(path, folder / f"{number}{path.suffix}")
    return folder


def test_on_the_images_of_its_training_it_finds_training_s_statistics_and_threshold(
    students: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the split: of what was held out the same are for the statistics."""
    monkeypatch.setattr(recalibration, "FEWEST", 6)
    run, file = students
    split = Split.load(run / "split.json")
    good = copied((*split.threshold, *split.statistics), tmp_path / "good")
    done = recalibrate(file, good, tmp_path / "new.onnx", replace(WHO, budget=None))
    before, after = done.before, read_detector(tmp_path / "new.onnx")[1]
    assert after == done.after
    for old, new in zip(before.method.evidence, after.method.evidence, strict=True):
        assert (new.mean, new.deviation) == pytest.approx((old.mean, old.deviation), rel=1e-5)
    assert after.threshold.value == pytest.approx(before.threshold.value, rel=1e-4)
    assert replace(after.threshold, value=0) == replace(before.threshold, value=0)
    assert sorted(done.counted_scores) == pytest.approx(sorted(np.load(run / "calibration_scores.npy")), rel=1e-4)


def test_with_its_statistics_kept_the_same_images_give_the_same_threshold_to_the_last_bit(
    students: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalibration, "FEWEST", 3)
    run, file = students
    good = copied(Split.load(run / "split.json").threshold, tmp_path / "good")
    done = recalibrate(file, good, tmp_path / "new.onnx", replace(WHO, budget=None, keep_statistics=True))
    assert done.after.threshold == done.before.threshold
    assert done.after.score_quantiles == done.before.score_quantiles
    assert done.after.graph_sha256 == done.before.graph_sha256
    assert with_metadata((tmp_path / "new.onnx").read_bytes(), {}) == with_metadata(file.read_bytes(), {})


def prepared(folder: Path, run: CalibratedRun) -> PreparedImages:
    return PreparedImages(sorted(folder.glob("*.png"))[:8], run.trained.size_hw, None)


def frames_of(images: PreparedImages) -> NDArray[np.uint8]:
    return np.stack([images[index] for index in range(len(images))])


def test_statistics_by_position_are_those_of_the_plain_formulas(
    by_position: Path, calibrated_run: Path, darker: Path
) -> None:
    run, (model, recipe) = opened(calibrated_run), read_detector(by_position)
    images = prepared(darker, run)
    graph, method = refitted(model, recipe, images)
    evidence = [run.trained.evidence(frame[None]) for frame in frames_of(images)]
    run = replace(run, moments=fit_moments(run.trained, evidence))
    maps = [run.maps_of(each) for each in evidence]
    positions = fit_positions([maps], run.trained.size_hw, run.trained.scoring.region_of_interest)
    for found, moments in zip(method.evidence, run.moments, strict=True):
        assert (found.mean, found.deviation) == pytest.approx((moments.mean, moments.deviation), rel=1e-4)
    found = read_constants(graph, f"{CONSTANTS}position")
    scale = float(torch.cat(maps).std())
    np.testing.assert_allclose(found[f"{CONSTANTS}position_mean"], positions.mean, atol=1e-3 * scale)
    np.testing.assert_allclose(1 / found[f"{CONSTANTS}position_factor"], positions.deviation, rtol=1e-3)


def test_of_a_memory_bank_map_and_whole_frame_have_the_unit_of_the_new_images(
    bank: Path, bank_run: Path, darker: Path
) -> None:
    run, (model, recipe) = opened(bank_run), read_detector(bank)
    images = prepared(darker, run)
    graph, method = refitted(model, recipe, images)
    frames = frames_of(images)
    pooled = torch.cat([run.trained.pooled_features(frame[None]) for frame in frames])
    image = fit_image_evidence(pooled, slice(None))
    evidence = [run.trained.evidence(frame[None]) for frame in frames]
    run = replace(run, moments=fit_moments(run.trained, evidence), image=image)
    maps = [run.maps_of(each) for each in evidence]
    plain = replace(run, positions=fit_positions([maps], run.trained.size_hw, None))
    scores = torch.cat([plain.score_of_map(plain.scored(each)) for each in maps]).double().numpy()
    assert plain.positions is not None
    expected = replace(plain, positions=in_score_units(plain.positions, scores)).maps_and_scores(frames)[1]
    (kind,) = method.image_evidence
    assert (kind.mean, kind.deviation) == pytest.approx((image.evidence_mean, image.evidence_deviation), rel=1e-3)
    outputs = scored(graph, replace(recipe, method=method, graph_sha256=graph_sha256(graph)), frames)
    np.testing.assert_allclose(outputs, expected, atol=5e-3)
    assert (outputs[:, 0].mean(), outputs[:, 0].std(ddof=1)) == pytest.approx((0, 1), abs=1e-3)


def scored(graph: bytes, recipe: Any, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine

    engine = OnnxRuntimeEngine(graph, recipe, threads=1)
    try:
        found = engine.result(engine.submit(frames)).evidence_scores
    finally:
        engine.close()
    assert found is not None
    return found


def test_nothing_but_the_constants_of_calibration_changes_in_the_graph(
    bank: Path, darker: Path, tmp_path: Path
) -> None:
    recalibrate(bank, darker, tmp_path / "new.onnx", WHO)
    old, new = bank.read_bytes(), (tmp_path / "new.onnx").read_bytes()
    assert with_metadata(old, {}) != with_metadata(new, {})
    assert with_metadata(with_constants(new, read_constants(old, CONSTANTS)), {}) == with_metadata(old, {})


def test_parts_that_the_old_file_rejects_pass_by_the_new_and_the_recipe_says_where_it_comes_from(
    bank: Path, darker: Path, tmp_path: Path
) -> None:
    shutil.copy(bank, tmp_path / "detector.onnx")
    done = recalibrate(tmp_path / "detector.onnx", darker, tmp_path / "detector.onnx", WHO)  # in its own place
    assert len(done.images_above(done.old_scores, done.before)) == 18 == len(done.images)
    assert not set(done.images_above(done.new_scores, done.after)) & set(done.counted_images)
    recipe = read_detector(tmp_path / "detector.onnx")[1]
    assert recipe == done.after == recipe_from_json(recipe.to_json())
    made = recipe.recalibration
    assert made is not None
    assert (made.source_sha256, made.statistics, made.by) == (done.before.sha256, True, "a tester")
    assert made.images == {"statistics": 9, "threshold": 9}  # half of so few, by position
    assert recipe.provenance == done.before.provenance  # of the networks
    assert recipe.threshold == fit_threshold(done.counted_scores, 0.3, 0.95)
    assert recipe.threshold.method == "order-statistic"  # none of the images is in the memory
    assert (recipe.threshold.sample_size, int(done.counted.sum())) == (9, 9)
    assert recipe.health.brightness_low < done.before.health.brightness_low
    frames = read_parity_frames(tmp_path / "detector.onnx", recipe)
    assert frames.shape == (16, *recipe.size_hw, 3)
    assert "by a tester: statistics and threshold, to 18 other good images (9 for" in facts_of(recipe)["Recalibrated"]
    with Detector.open(tmp_path / "detector.onnx", threads=1) as detector:
        assert {detector.inspect(cv2.imread(str(path))).score for path in done.images} == set(done.new_scores)


def test_a_plan_of_the_file_before_is_stale_unless_the_statistics_are_kept(
    bank: Path, darker: Path, tmp_path: Path
) -> None:
    machine = Machine("10.3.0", "NVIDIA Test", (8, 7))
    checked, options = Checked(4, 1e-6, 1e-6, 1e-3), BuildOptions(1)
    sidecar = Sidecar(read_detector(bank)[1], "0" * 64, "0" * 64, machine, "12.6", options, (), checked, "2026-01-01")
    for keep, expected in ((False, "the detector.onnx beside it is another detector"), (True, None)):
        done = recalibrate(bank, darker, tmp_path / "new.onnx", replace(WHO, keep_statistics=keep))
        assert stale(sidecar, done.after, machine) == expected


def test_copies_count_once_and_suspects_come_first(
    bank: Path, darker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Path(shutil.copytree(darker, tmp_path / "good"))
    for number in range(9):
        shutil.copy(good / "00.png", good / f"copy-{number}.png")
    cv2.imwrite(str(good / "black.png"), np.zeros((256, 256, 3), np.uint8))
    arguments = [bank, good, "--out", tmp_path / "new.onnx", "--report", tmp_path / "scores.png", "--by", "Ada"]
    call(monkeypatch, *arguments, "--budget", "0.3")
    told = capsys.readouterr().out.splitlines()
    text = "\n".join(told)
    first = next(index for index, line in enumerate(told) if not line.startswith("warning: "))
    assert all(line.startswith("warning: ") for line in told[:first])
    warned = "\n".join(told[:first])
    assert "no picture of a part to the file as it was (1 of 19): " in warned
    assert "black.png: black: mean brightness 0 of 255" in warned
    assert "rejected by the file as it was (19 of 19): " in warned
    assert "highest scores of good images: " in warned
    assert "9 files are copies of others, and prove nothing" in text
    recipe = read_detector(tmp_path / "new.onnx")[1]
    assert (recipe.threshold.budget, recipe.threshold.sample_size) == (0.3, 10)
    assert recipe.recalibration is not None
    assert recipe.recalibration.by == "Ada"
    assert f"after: threshold {recipe.threshold.value:.6g}. " in text
    picture = cv2.imread(str(tmp_path / "scores.png"))
    assert picture is not None
    assert picture.shape == (480, 900, 3)


def test_few_images_for_statistics_are_warned_of_and_kept_ones_that_no_longer_fit(
    bank: Path, darker: Path, tmp_path: Path
) -> None:
    """Parts that look as they did may keep the statistics, darker ones may not."""
    usual = tmp_path / "usual"
    usual.mkdir()
    line = DemoLine(3, (64, 64), 0.0)  # the one whose first parts it was trained on
    for number in range(16, 28):
        cv2.imwrite(str(usual / f"{number:02}.png"), line.good(number).image)

    def said(good: Path, keep: bool) -> str:
        done = recalibrate(bank, good, tmp_path / "new.onnx", replace(WHO, keep_statistics=keep))
        return "\n".join(line for line in warnings(done) if "fitted to" in line)

    few = (
        "statistics by position are fitted to {} images alone; below 20 expect defects that pass, or several times the "
    )
    few += "false rejects of the budget: give 40 different good images or more"
    assert said(darker, False) == few.format(9)
    assert (
        said(usual, False) == few.format(6) + ", or --keep-statistics: these still score as the file's own good images"
    )
    assert said(darker, True) == (
        "half of these images score above 95 % of the good images that the file was fitted to: its statistics no "
        "longer fit, and defects pass; recalibrate without --keep-statistics"
    )
    assert said(usual, True) == ""


@pytest.mark.parametrize(("given", "used"), [(10, 5), (21, 10), (39, 19), (40, 20), (83, 20), (84, 21), (398, 99)])
def test_by_position_half_of_few_images_and_a_quarter_of_many_are_for_statistics(
    demo: Path, given: int, used: int
) -> None:
    recipe = read_detector(demo)[1]
    assert statistics_of(recipe, given) == used
    plain = replace(
        recipe,
        method=replace(recipe.method, image_evidence=()),
        scoring=replace(recipe.scoring, by_position=False),
    )
    assert statistics_of(plain, given) == max(given // 4, 5)


def test_so_many_images_prove_a_budget_and_one_fewer_does_not(demo: Path) -> None:
    recipe = read_detector(demo)[1]
    for budget in (0.005, 0.01, 0.05, 0.1, 0.3):
        aim = replace(recipe.threshold, budget=budget)
        given = to_prove(recipe, aim, keep_statistics=False)
        proven = [fit_threshold(np.arange(n - statistics_of(recipe, n)), budget).supported for n in (given - 1, given)]
        assert proven == [False, True]


def test_a_tiny_budget_is_told_at_once_how_many_images_it_takes(demo: Path) -> None:
    recipe = read_detector(demo)[1]
    needed = images_needed(LEAST_BUDGET)
    aim = replace(recipe.with_threshold(1.0).threshold, budget=LEAST_BUDGET)
    given = to_prove(recipe, aim, keep_statistics=False)
    assert given - statistics_of(recipe, given) == needed > 2e9
    assert given - 1 - statistics_of(recipe, given - 1) == needed - 1


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    command.main()


def test_a_threshold_that_so_few_images_do_not_prove_says_how_many_would(
    bank: Path, darker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call(monkeypatch, bank, darker, "--out", tmp_path / "new.onnx", "--budget", "0.01")
    assert "to prove the budget, recalibrate with 398 different good images" in capsys.readouterr().out
    call(monkeypatch, bank, darker, "--out", tmp_path / "new.onnx", "--budget", "0.01", "--keep-statistics")
    assert "to prove the budget, recalibrate with 299 different good images" in capsys.readouterr().out
    assert not read_detector(tmp_path / "new.onnx")[1].threshold.supported


def test_what_cannot_be_used_is_refused_and_nothing_is_written(
    demo: Path, darker: Path, tmp_path: Path, schema1_file: Path
) -> None:
    out = tmp_path / "new.onnx"
    few = copied(tuple(sorted(darker.glob("*.png"))[:4]), tmp_path / "few")
    with pytest.raises(InputError, match=r"found 4 different good images in .*few; give 10 or more, and 17 to prove a"):
        recalibrate(demo, few, out, WHO)
    with pytest.raises(InputError, match=r"is of schema 1, which cannot be recalibrated; export it again"):
        recalibrate(schema1_file, darker, out, WHO)
    with pytest.raises(InputError, match=r"the false-reject budget is 1\.5"):
        recalibrate(demo, darker, out, replace(WHO, budget=1.5))
    (tmp_path / "notes.onnx").write_text("notes")
    with pytest.raises(InputError, match=r"notes.onnx is no detector of Proctor's"):
        recalibrate(demo, darker, tmp_path / "notes.onnx", WHO)
    damaged = Path(shutil.copytree(darker, tmp_path / "damaged"))
    (damaged / "05.png").write_bytes((damaged / "05.png").read_bytes()[:200])
    with pytest.raises(ImageError, match=r"05\.png"):
        recalibrate(demo, damaged, out, WHO)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "few", "notes.onnx"]


def test_what_was_changed_in_the_file_until_its_lock_is_taken_is_not_lost(
    bank: Path, darker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(shutil.copy(bank, tmp_path / "detector.onnx"))

    @contextmanager
    def adjusted_first(path: Path) -> Iterator[None]:
        adjust(path, {"smallest_area": 25.0})
        with only_one_writes(path):
            yield

    monkeypatch.setattr(recalibration, "only_one_writes", adjusted_first)
    done = recalibrate(file, darker, file, WHO)
    assert done.before.scoring.smallest_area == 25
    assert read_detector(file)[1].scoring.smallest_area == 25


def test_a_report_replaces_nothing_but_a_picture(
    demo: Path, darker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new.onnx"
    for name in ("new.onnx", "new.parity.npz", "notes"):
        with pytest.raises(InputError, match=rf"--report is .*{name}; expected a name ending in \.png"):
            call(monkeypatch, demo, darker, "--out", out, "--report", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def schema1_file() -> Path:
    return Path(__file__).parents[1] / "runtime" / "samples" / "schema1.onnx"


def test_int8_is_made_before_and_not_after(bank: Path, darker: Path, tmp_path: Path) -> None:
    recalibrate(bank, darker, tmp_path / "new.onnx", WHO)
    with pytest.raises(InputError, match=r"new.onnx was recalibrated, and INT8 goes by the images of its training"):
        quantize(tmp_path / "new.onnx", Split((), (), (), {}), tmp_path / "int8.onnx")


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["onnx"] = None
import runpy
runpy.run_module("calibration.recalibrate", run_name="__main__")
"""


WITHOUT_SCIPY = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "scipy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
import runpy
runpy.run_module("calibration.recalibrate", run_name="__main__")
"""


def test_the_command_needs_neither_torch_nor_onnx(
    bank: Path, darker: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    words = [str(bank), str(darker), "--out", str(tmp_path / "new.onnx"), "--report", str(tmp_path / "r.png")]
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert read_detector(tmp_path / "new.onnx")[1].recalibration is not None


def test_without_its_extra_it_says_which_to_install(demo: Path, darker: Path, environment: dict[str, str]) -> None:
    words = [str(demo), str(darker), "--out", "new.onnx"]
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_SCIPY, *words], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "is not installed; pip install 'proctor[recalibrate]'" in ran.stderr


def test_a_recipe_from_before_keeps_its_hash_and_says_nothing_of_it(demo: Path) -> None:
    recipe = read_detector(demo)[1]
    assert "recalibration" not in json.loads(recipe.to_json())
    assert "Recalibrated" not in facts_of(recipe)


def test_outputs_are_added_to_a_graph_as_onnx_has_them(demo: Path) -> None:
    import onnx

    model = demo.read_bytes()
    name = operand_beside(model, f"{CONSTANTS}scale")
    proto = onnx.load_model_from_string(with_outputs(model, [name]))
    assert proto.graph.output[-1].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    plain = onnx.load_model_from_string(model)
    assert [each.name for each in proto.graph.output] == [*(each.name for each in plain.graph.output), name]
    proto.graph.output.pop()
    assert proto == plain
