"""What a person is told of a detector, and what changing its threshold leaves alone."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from runtime_samples import make_recipe, recipe_with_image_evidence

from runtime import info, set_threshold
from runtime.choice.memory import Choice, Circumstances, remember
from runtime.cli import run
from runtime.detector_file import read_detector
from runtime.errors import DetectorError, InputError
from runtime.info import describe
from runtime.machine import Machine
from runtime.onnx_file import read_metadata
from runtime.recipe import recipe_from_json
from runtime.schema1 import looks_at
from runtime.scoring import Scoring
from runtime.threshold import Threshold, explain


def call(command: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    command.main()  # type: ignore[attr-defined]


def test_a_recipe_is_told_in_words() -> None:
    text = dict(line.split(":", 1) for line in describe(make_recipe()))
    assert text["Frame"].strip().startswith("scaled to 24×16 pixels")
    assert (
        text["Looks at"].strip() == "patches of 17×17, 33×33 pixels, one every 4 pixels, with 3 students for each size"
    )
    assert "of the good images 50 % at most 0.2, 99 % at most 0.4" in text["Score"]
    assert text["Trained on"].strip() == "270 good images (240 for training, 30 for threshold)"
    assert make_recipe().sha256 in text["Recipe"]


def test_relation_smoothing_and_positions_are_told_where_they_are_in_force() -> None:
    recipe = make_recipe()
    method = replace(recipe.method, looks_at=looks_at([17], 1, 1, relative=True))
    scoring = Scoring(smoothing=4.0, by_position=True)
    plain, changed = describe(recipe), describe(replace(recipe, method=method, scoring=scoring))
    told = [line for line in changed if line not in plain]
    assert any(
        line.endswith("one every pixel, with 1 student for each size, errors in relation to the descriptor's size")
        for line in told
    )
    position = "in deviations from what good images show at each position"
    assert any(f"of the anomaly map, smoothed with σ = 4 pixels, {position}; of the good" in line for line in told)


def test_the_limits_of_health_are_told_and_so_is_what_is_not_noticed() -> None:
    recipe = make_recipe()
    limits = replace(recipe.health, sharpness_low=(0.125, 0.5), likeness_low=0.625, typical=(1.0,) * 192)
    without, with_all = (
        dict(line.split(":", 1) for line in describe(each))["Healthy frames"]
        for each in (recipe, replace(recipe, health=limits))
    )
    assert "any sharpness (blur is not noticed), with or without a part in view (an empty frame is not" in without
    assert "sharpness 0.125 or more from left to right and 0.5 or more from top to bottom, likeness to" in with_all
    assert "likeness to the good images 0.62 or more (less: no part in view); others get NO_DECISION" in with_all


def test_every_setting_of_scoring_is_told() -> None:
    others = {"region_of_interest": (2, 3, 10, 20), "smoothing": 2.0, "by_position": True, "score_pixels": 7}
    others |= {"mm_per_pixel": 0.25, "smallest_area": 30.0}
    assert list(others) == [field.name for field in fields(Scoring)]
    for name, value in others.items():
        changed = replace(make_recipe(), scoring=replace(Scoring(), **{name: value}))
        lines = [
            [line for line in describe(each) if not line.startswith("Recipe")] for each in (make_recipe(), changed)
        ]
        assert lines[0] != lines[1], f"info does not tell of {name}"


def test_the_smallest_region_is_told_in_its_unit_with_what_limits_it() -> None:
    def told(**settings: float) -> str:
        text = dict(line.split(":", 1) for line in describe(replace(make_recipe(), scoring=Scoring(**settings))))  # type: ignore[arg-type]
        return text["Smallest region"].strip()

    limit = "No area is finer than one pixel of the scaled frame, and evidence stands at every 4th"
    picture = "pixels of the camera's picture"
    assert told() == f"every region above the threshold counts; areas are in {picture}. {limit}"
    assert told(smallest_area=30).startswith(
        "regions above the threshold that are smaller than 30 pixels do not count; "
    )
    assert told(smallest_area=2.5, mm_per_pixel=0.25).startswith(
        "regions above the threshold that are smaller than 2.5 mm² (40 pixels) do not count; areas are in mm² (0.25 mm"
    )


def test_a_region_of_interest_is_told_in_pixels() -> None:
    frame = describe(replace(make_recipe(), scoring=Scoring(region_of_interest=(2, 3, 10, 20))))[0]
    assert frame.endswith("inspected from x 3 to 23 and y 2 to 12")


def test_the_threshold_is_told_with_what_it_promises() -> None:
    recipe = make_recipe()
    text = dict(line.split(":", 1) for line in describe(recipe))["Threshold"]
    assert f"above {recipe.threshold.value:.6g} are rejected. {explain(recipe.threshold)}" in text


def test_evidence_of_the_whole_frame_is_told_where_there_is_any() -> None:
    recipe = recipe_with_image_evidence()
    text = {name: told.strip() for name, told in (line.split(":", 1) for line in describe(recipe))}
    looks_at = "mean and deviation of the features of EfficientNet over the frame"
    assert text["Judged as a whole"].startswith(f"whole frame: {looks_at}. It rejects whatever regions there are")
    assert text["Score"].startswith("whichever is higher, in deviations of good images' scores: the highest value of ")
    assert "; or the evidence of the whole frame; of the good images 50 %" in text["Score"]
    assert not any(line.startswith("Judged") or "whichever" in line for line in describe(make_recipe()))


def test_a_threshold_of_left_out_images_is_told_with_what_that_means() -> None:
    proven = Threshold(4.5, 0.01, 0.95, 120, "jackknife-minmax", True, 1 / 121)
    provenance = replace(make_recipe().provenance, images={"training": 120, "statistics": 110, "threshold": 0})
    recipe = replace(make_recipe(), threshold=proven, provenance=provenance)
    text = {name: told.strip() for name, told in (line.split(":", 1) for line in describe(recipe))}
    meaning = "None was held out: each is learned from, and counts by its score without itself."
    assert text["Threshold"].endswith(meaning)
    assert "on average over such sets of images at most 1 % (1 in 100) of good parts" in text["Threshold"]
    assert text["Trained on"] == "230 good images (120 for training, 110 for statistics)"
    for other in (recipe.with_threshold(1.0), recipe.not_vouched_for(), make_recipe()):
        assert meaning not in "".join(describe(other))


def test_info_prints_the_recipe_as_json(
    detector_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(info, monkeypatch, detector_file, "--json")
    assert recipe_from_json(capsys.readouterr().out) == read_detector(detector_file)[1]
    call(info, monkeypatch, detector_file)
    assert "Threshold:" in capsys.readouterr().out


def test_a_new_threshold_changes_nothing_else(
    detector_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx", reason="the file is checked with the onnx package")
    before, recipe = read_detector(detector_file)
    call(set_threshold, monkeypatch, detector_file, "0.75")
    assert "threshold 0.5 -> 0.75, set by hand; no false-reject rate is proven for it" in capsys.readouterr().out
    after, changed = read_detector(detector_file)
    assert changed == recipe.with_threshold(0.75)
    assert (changed.threshold.method, changed.threshold.supported) == ("manual", False)
    assert read_metadata(after)["author"] == "somebody"
    assert onnx.load_from_string(after).graph == onnx.load_from_string(before).graph
    assert list(detector_file.parent.glob(".*")) == []


@pytest.mark.parametrize("value", ["-1.5", "-1e-3"])
def test_a_negative_threshold_is_a_number(value: str, detector_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(set_threshold, monkeypatch, detector_file, value)
    assert read_detector(detector_file)[1].threshold.value == float(value)


def test_a_file_may_have_a_number_for_a_name(detector_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(detector_file.parent)
    call(set_threshold, monkeypatch, detector_file.rename(detector_file.parent / "7").name, "0.25")
    assert read_detector(Path("7"))[1].threshold.value == 0.25


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("high", "the threshold is 'high'; give a number, as in 2.5"),
        ("1_3", "the threshold is '1_3'; give a number, as in 2.5"),
        ("nan", "the threshold is nan; give a finite number"),
        ("1e999", "the threshold is inf; give a finite number"),
    ],
)
def test_a_threshold_that_is_no_number_is_refused(
    value: str, message: str, detector_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = detector_file.read_bytes()
    with pytest.raises(InputError) as caught:
        call(set_threshold, monkeypatch, detector_file, value)
    assert str(caught.value) == message
    assert detector_file.read_bytes() == before


@pytest.mark.parametrize("command", [info, set_threshold])
def test_a_plan_that_nothing_vouches_for_is_refused(
    command: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder in (tmp_path, tmp_path / ("n" * 300)):
        arguments = [folder / "a.plan"] + (["1"] if command is set_threshold else [])
        with pytest.raises(DetectorError, match=r"a\.plan has no a\.plan\.json beside it to vouch for it"):
            call(command, monkeypatch, *arguments)


def test_a_command_ends_with_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        run(lambda: call(info, monkeypatch, "gone.onnx"))
    assert exit_info.value.code == 2
    assert capsys.readouterr().err == "error: gone.onnx cannot be read (No such file or directory); check the path\n"


def test_the_modules_are_commands(detector_file: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "runtime.info", str(detector_file), "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["schema"] == 2
    command = [sys.executable, "-m", "runtime.set_threshold", str(detector_file), "nan"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "error: the threshold is nan; give a finite number\n")


def test_what_auto_remembers_is_told_and_a_damaged_memory_hides_nothing_else(
    detector_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = detector_file.with_suffix(".choice.json")
    machine = Machine("Xeon", 2, (), {})
    remember(memory, Choice(Circumstances("a" * 64, {"a": "", "b": ""}, machine), "b", {"a": 1.0, "b": 0.5}, {}))
    call(info, monkeypatch, detector_file)
    assert "b takes 0.50 of the time of a, measured on this machine 20" in capsys.readouterr().out
    memory.write_text("{")
    call(info, monkeypatch, detector_file)
    told = capsys.readouterr().out
    assert "detector.choice.json is damaged (" in told
    assert "parts that score above 0.5 are rejected" in told
