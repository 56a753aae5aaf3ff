"""What is changed in a finished file: the threshold, which regions count, and nothing else."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from locked import holding
from runtime_samples import grey_frame, tiny_model
from schema1_samples import RICH

from runtime import Decision, Detector, adjust, set_threshold
from runtime.adjust import adjusted
from runtime.detector_file import read_detector, write_recipe
from runtime.errors import DetectorError, InputError
from runtime.lock import LOCK
from runtime.onnx_file import graph_sha256, with_metadata
from runtime.recipe import recipe_from_json
from runtime.scoring import Scoring
from runtime.threshold import Threshold

PROVEN = Threshold(0.5, 0.01, 0.95, 300, "order-statistic", True, 0.009936)


def call(command: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    command.main()  # type: ignore[attr-defined]


@pytest.fixture
def proven_file(detector_file: Path) -> Path:
    model, recipe = read_detector(detector_file)
    write_recipe(detector_file, model, replace(recipe, threshold=PROVEN))
    return detector_file


@pytest.mark.parametrize("command", [adjust, set_threshold])
def test_a_smallest_area_leaves_the_threshold_and_its_proof(
    command: object, proven_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, recipe = read_detector(proven_file)
    call(command, monkeypatch, proven_file, "--smallest-area", "2.5", "--mm-per-pixel", "0.08")
    told = capsys.readouterr().out
    assert "regions above the threshold that are smaller than 2.5 mm² (390.6 pixels) do not count" in told
    assert "the threshold stays 0.5, with what is proven of it as if every region counted" in told
    changed_model, changed = read_detector(proven_file)
    assert changed == replace(recipe, scoring=Scoring(mm_per_pixel=0.08, smallest_area=2.5))
    assert changed.threshold == PROVEN
    assert with_metadata(changed_model, {}) == with_metadata(model, {})


def test_back_at_the_defaults_the_recipe_has_the_hash_it_had(
    proven_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = read_detector(proven_file)[1]
    call(adjust, monkeypatch, proven_file, "--smallest-area", "3", "--mm-per-pixel", "0.1")
    assert read_detector(proven_file)[1].sha256 != recipe.sha256
    call(adjust, monkeypatch, proven_file, "--smallest-area", "0", "--mm-per-pixel", "none")
    assert read_detector(proven_file)[1].sha256 == recipe.sha256


def test_all_can_be_set_at_once_and_one_leaves_the_others(
    proven_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(adjust, monkeypatch, proven_file, "--threshold", "-0.25", "--smallest-area", "30")
    assert "0.5 -> -0.25, set by hand" in capsys.readouterr().out
    call(set_threshold, monkeypatch, proven_file, "0.75")
    recipe = read_detector(proven_file)[1]
    assert (recipe.threshold.value, recipe.threshold.method) == (0.75, "manual")
    assert recipe.scoring == Scoring(smallest_area=30)


def test_the_detector_decides_by_what_was_set(proven_file: Path) -> None:
    pytest.importorskip("onnxruntime")
    for area, decision in ((4, Decision.NG), (5, Decision.OK)):  # the spot has 4 pixels
        adjust.adjust(proven_file, {"smallest_area": area})
        with Detector.open(proven_file) as detector:
            assert detector.inspect(grey_frame(spot=255)).decision is decision


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing is to be changed; give a threshold, --smallest-area or --mm-per-pixel"),
        (["--smallest-area", "-1"], "smallest_area is -1; expected 0 or more"),
        (["--smallest-area", "nan"], "--smallest-area is nan; give a finite number"),
        (["--smallest-area", "none"], "--smallest-area is 'none'; give a number, as in 2.5"),
        (["--mm-per-pixel", "0"], "mm_per_pixel is 0; expected the side of a pixel in mm, 1e-06 to 1000"),
        (["--mm-per-pixel", "-2"], "mm_per_pixel is -2; expected the side of a pixel in mm, 1e-06 to 1000"),
        (["--mm-per-pixel", "1e9"], "mm_per_pixel is 1e+09; expected the side of a pixel in mm, 1e-06 to 1000"),
        (["--mm-per-pixel", "wide"], "--mm-per-pixel is 'wide'; give a number, as in 2.5, or none"),
        (["--mm-per-pixel", "inf"], "--mm-per-pixel is inf; give a finite number"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(
    arguments: list[str], message: str, detector_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = detector_file.read_bytes()
    with pytest.raises(InputError) as caught:
        call(adjust, monkeypatch, detector_file, *arguments)
    assert str(caught.value) == message
    assert detector_file.read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after", "units"), [(None, 0.08, "pixels, .* 25 mm²"), (0.08, None, "mm², .* 25 pix")]
)
def test_a_smallest_area_does_not_change_its_unit_unseen(
    before: float | None, after: float | None, units: str, detector_file: Path
) -> None:
    adjust.adjust(detector_file, {"smallest_area": 25, "mm_per_pixel": before})
    with pytest.raises(InputError, match=f"the smallest area is 25 {units}"):
        adjust.adjust(detector_file, {"mm_per_pixel": after})
    change = adjust.adjust(detector_file, {"mm_per_pixel": after, "smallest_area": 2})
    assert change.before.scoring == Scoring(mm_per_pixel=before, smallest_area=25)
    assert (
        change.after.scoring == read_detector(detector_file)[1].scoring == Scoring(mm_per_pixel=after, smallest_area=2)
    )


@pytest.mark.parametrize("values", [{"smoothing": 2.0}, {"smallest_area": None}, {"smallest_area": "2"}])
def test_what_no_caller_may_change_is_refused(values: dict[str, float | None], detector_file: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be changed in a file|give a finite number"):
        adjust.adjust(detector_file, values)


def test_a_threshold_that_nothing_vouches_for_is_not_vouched_for_by_the_way(tmp_path: Path) -> None:
    """Whoever writes the recipe anew writes its hash, and nobody could tell afterwards that it was missing."""
    model, recipe = tiny_model(), recipe_from_json(RICH)
    path = tmp_path / "detector.onnx"
    text = replace(recipe, graph_sha256=graph_sha256(model)).to_json()
    path.write_bytes(with_metadata(model, {"recipe": text}))
    with pytest.raises(InputError, match="nothing vouches for the threshold in this file"):
        adjust.adjust(path, {"smallest_area": 3})
    after = adjust.adjust(path, {"smallest_area": 3, "threshold": 5.0}).after
    assert (after.threshold.method, after.scoring.smallest_area) == ("manual", 3)


def test_a_recipe_of_schema_1_has_the_settings_among_its_own_fields() -> None:
    recipe = recipe_from_json(RICH)
    changed = adjusted(recipe, {"smallest_area": 2.5, "mm_per_pixel": 0.08})
    document = changed.document
    assert (document["schema"], document["smallest_area"], document["mm_per_pixel"]) == (1, 2.5, 0.08)
    assert recipe_from_json(changed.to_json()) == changed
    assert adjusted(changed, {"smallest_area": 0.0, "mm_per_pixel": None}).to_json() == RICH


def test_a_file_that_another_process_is_writing_is_left_alone(
    proven_file: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """It would be written over with what was read before, and the change would be lost."""
    pytest.importorskip("fcntl", reason="this system has no file locks")
    before = proven_file.read_bytes()
    (tmp_path / "link.onnx").symlink_to(proven_file)
    with holding(proven_file.with_name(f".{proven_file.name}{LOCK}"), environment) as process:
        for path in (proven_file, tmp_path / "link.onnx"):
            with pytest.raises(InputError, match=r"\.onnx is in use by process"):
                adjust.adjust(path, {"threshold": 0.75})
        with pytest.raises(InputError, match=r"\.onnx is in use by process"):
            set_threshold.set_threshold(proven_file, 0.75)
        assert proven_file.read_bytes() == before
        process.communicate()
    assert adjust.adjust(proven_file, {"threshold": 0.75}).after.threshold.value == 0.75
    assert not list(proven_file.parent.glob(".*lock"))


def test_of_a_file_that_is_not_there_no_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="cannot be read"):
        adjust.adjust(tmp_path / "no" / "detector.onnx", {"threshold": 0.75})
    assert list(tmp_path.iterdir()) == []
