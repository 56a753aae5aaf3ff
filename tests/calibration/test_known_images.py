"""Images that a detector was made from: refused by their hashes, and suspected by their scores where these are lost."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import pytest

from calibration import recalibration
from calibration.recalibration import Options, Recalibrated, recalibrate
from calibration.recalibration_report import warnings
from export.provenance import provenance
from runtime.demo import DemoLine
from runtime.detector_file import read_detector, write_recipe
from runtime.errors import InputError
from runtime.image_hashes import packed
from runtime.recipe import recipe_from_json
from train.data import Split, file_sha256


class Stub(NamedTuple):
    """Of a run, what its provenance asks for."""

    split: Split
    leaves_out: bool
    shaped_by_statistics: bool


KEPT = Options(by="a tester", budget=0.3, keep_statistics=True, threads=1)
FITTED = replace(KEPT, keep_statistics=False)


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalibration, "FEWEST", 3)


@pytest.fixture
def new_parts(tmp_path: Path) -> list[Path]:
    """12 good parts of the line that the detectors were made from."""
    folder, line = tmp_path / "parts", DemoLine(77, (64, 64), defect_rate=0)
    folder.mkdir()
    for number in range(12):
        assert cv2.imwrite(str(folder / f"new-{number:02}.png"), line.good(number).image)
    return sorted(folder.iterdir())


def folder_of(images: Iterable[Path], folder: Path) -> Path:
    folder.mkdir()
    for path in images:
        shutil.copy(path, folder)
    return folder


def of_before(file: Path, out: Path) -> Path:
    """The detector as a file that does not name its images."""
    model, recipe = read_detector(file)
    unnamed = replace(recipe.provenance, learned_from="", statistics_from="")
    shutil.copy(file, out)
    write_recipe(out, model, replace(recipe, provenance=unnamed))
    return out


def known_as(done: Recalibrated) -> str:
    return "\n".join(line for line in warnings(done) if "far below all good images" in line)


@pytest.mark.parametrize("options", [KEPT, FITTED])
@pytest.mark.parametrize("mixed", [False, True])
def test_what_a_memory_holds_is_refused_by_name_alone_and_among_others(
    options: Options, mixed: bool, bank_file: Path, part_images: Path, new_parts: list[Path], tmp_path: Path
) -> None:
    images = [*new_parts, part_images / "03.png", part_images / "11.png"] if mixed else part_images.glob("*.png")
    good, out = folder_of(images, tmp_path / "good"), tmp_path / "new.onnx"
    how_many = r"2 of the 14 .* \(03\.png, 11\.png\)" if mixed else r"16 of the 16 .* \(00\.png, .* and 11 more\)"
    with pytest.raises(InputError, match=rf"^{how_many}: they score lower .*; leave them out, or train anew with all"):
        recalibrate(bank_file, good, out, options)
    assert not out.exists()
    recalibrate(bank_file, new_parts[0].parent, out, options)


def test_a_copy_of_a_known_picture_is_one_file_of_it(
    bank_file: Path, part_images: Path, new_parts: list[Path], tmp_path: Path
) -> None:
    good = folder_of(new_parts, tmp_path / "good")
    shutil.copy(part_images / "03.png", good / "other name.png")
    with pytest.raises(InputError, match=r"^1 of the 13 different pictures in .* \(other name\.png\)"):
        recalibrate(bank_file, good, tmp_path / "new.onnx", KEPT)


def test_of_students_what_was_held_out_may_be_given_again_and_what_was_trained_on_not(
    calibrated_run: Path, detector_file: Path, tmp_path: Path
) -> None:
    """Images that gave the statistics by position only where these are fitted anew."""
    split = Split.load(calibrated_run / "split.json")
    out = tmp_path / "new.onnx"
    assert split.threshold
    recalibrate(detector_file, folder_of(split.threshold, tmp_path / "threshold"), out, KEPT)
    held_out = folder_of((*split.threshold, *split.statistics), tmp_path / "held out")
    recalibrate(detector_file, held_out, out, FITTED)
    count = rf"{len(split.statistics)} of the {len(split.statistics) + len(split.threshold)} "
    with pytest.raises(InputError, match=rf"^{count}.*; leave them out, or recalibrate without --keep-statistics$"):
        recalibrate(detector_file, held_out, out, KEPT)
    trained = folder_of((*split.threshold, split.training[0]), tmp_path / "trained")
    with pytest.raises(InputError, match=rf"^1 of the .*\({split.training[0].name}\).* train anew with all of them$"):
        recalibrate(detector_file, trained, out, FITTED)


def test_images_that_gave_a_recalibrated_file_its_statistics_prove_nothing_as_long_as_these_are_kept(
    bank_file: Path, new_parts: list[Path], tmp_path: Path
) -> None:
    first, second, third = (tmp_path / f"{number}.onnx" for number in range(3))
    done = recalibrate(bank_file, new_parts[0].parent, first, FITTED)
    made = done.after.recalibration
    assert made is not None
    assert made.images == {"statistics": 6, "threshold": 6}
    assert done.after == recipe_from_json(done.after.to_json())
    with pytest.raises(InputError, match=r"^6 of the 12 .* recalibrate without --keep-statistics$"):
        recalibrate(first, new_parts[0].parent, second, KEPT)
    again = recalibrate(first, folder_of(done.counted_images, tmp_path / "counted"), second, KEPT)
    assert again.after.recalibration is not None
    assert again.after.recalibration.statistics_from == made.statistics_from != ""
    with pytest.raises(InputError, match=r"^6 of the 12 "):
        recalibrate(second, new_parts[0].parent, third, KEPT)
    recalibrate(second, new_parts[0].parent, third, FITTED)


def test_a_file_that_does_not_name_its_images_knows_them_all_together(
    bank_file: Path, part_images: Path, tmp_path: Path
) -> None:
    file = of_before(bank_file, tmp_path / "before.onnx")
    with pytest.raises(InputError, match=r"^16 of the 16 different pictures .* are among those that the detector was"):
        recalibrate(file, part_images, tmp_path / "new.onnx", KEPT)


def test_known_pictures_under_other_hashes_are_suspected_by_their_scores(
    bank_file: Path, part_images: Path, new_parts: list[Path], tmp_path: Path
) -> None:
    again = tmp_path / "again"
    again.mkdir()
    for path in sorted(part_images.glob("*.png"))[:8]:
        assert cv2.imwrite(str(again / f"again-{path.name}"), cv2.imread(str(path)), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    for number, path in enumerate(again.iterdir()):
        assert file_sha256(path) != file_sha256(part_images / path.name.removeprefix("again-")), number
    done = recalibrate(bank_file, again, tmp_path / "new.onnx", KEPT)
    assert "score 8 of 8: " in known_as(done)
    for path in new_parts:
        shutil.copy(path, again)
    assert "score 8 of 20: " in known_as(recalibrate(bank_file, again, tmp_path / "new.onnx", KEPT))
    assert known_as(recalibrate(bank_file, new_parts[0].parent, tmp_path / "new.onnx", KEPT)) == ""


def test_an_exported_file_names_what_it_was_learned_from(
    bank_file: Path, bank_run: Path, detector_file: Path, calibrated_run: Path
) -> None:
    for file, run, all_learned in ((bank_file, bank_run, True), (detector_file, calibrated_run, False)):
        split, made = Split.load(run / "split.json"), read_detector(file)[1].provenance
        training, statistics = ([file_sha256(path) for path in use] for use in (split.training, split.statistics))
        assert made.learned_from == packed([*training, *(statistics if all_learned else [])])
        assert made.statistics_from == packed([] if all_learned else statistics)


@pytest.mark.parametrize("text", ["e" * 15, "e" * 17, "G" + "e" * 15, "f" * 16 + "e" * 16, 2 * ("e" * 16)])
def test_what_is_no_list_of_images_is_no_recipe(text: str, bank_file: Path) -> None:
    recipe = read_detector(bank_file)[1]
    with pytest.raises(InputError, match="learned_from is no list of images; expected 16 hexadecimal digits of each"):
        replace(recipe.provenance, learned_from=text)


def test_a_recipe_of_before_keeps_its_hash(bank_file: Path, tmp_path: Path) -> None:
    recipe = read_detector(of_before(bank_file, tmp_path / "before.onnx"))[1]
    assert "learned_from" not in recipe.to_json()
    assert "statistics_from" not in recipe.to_json()
    assert "learned_from" in read_detector(bank_file)[1].to_json()
    assert recipe_from_json(recipe.to_json()).sha256 == recipe.sha256


def test_statistics_that_shape_the_evidence_are_learned_from() -> None:
    split = Split(
        (Path("a"),), (Path("b"),), (Path("c"),), {name: f"{number}" * 64 for number, name in enumerate("abc")}
    )
    for leaves_out, shaped in ((False, False), (True, False), (False, True)):
        made = provenance(Stub(split, leaves_out, shaped))  # type: ignore[arg-type]
        expected = ("0" * 16 + "1" * 16, "") if leaves_out or shaped else ("0" * 16, "1" * 16)
        assert (made.learned_from, made.statistics_from) == expected
