"""Two detectors on the same pictures: each judged by both, in order, and the differences told."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from runtime_samples import write_detector

from runtime import compare as command
from runtime.adjust import adjust
from runtime.cli import run
from runtime.compare import compare
from runtime.detector import Detector
from runtime.errors import InputError, SourceError
from runtime.location import Location


@pytest.fixture
def station(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two detectors, of which the new one has a lower threshold, and a folder with an even and a spotted picture and a
    file that is none."""
    pytest.importorskip("onnx", reason="the detector of these tests is built with the onnx package")
    old, new = write_detector(tmp_path / "old.onnx"), write_detector(tmp_path / "new.onnx")
    folder = tmp_path / "parts"
    folder.mkdir()
    height, width = Detector.open(old).recipe.size_hw
    for name, blue in (("1 even", 140), ("2 spotted", 218)):  # scores of 0.1 and 0.7
        picture = np.full((height, width, 3), 128, np.uint8)
        picture[2:5, 2:5, 0] = blue
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    adjust(old, {"threshold": 0.9})
    (folder / "3 damaged.png").write_bytes((folder / "2 spotted.png").read_bytes()[:60])
    return old, new, folder


def test_each_picture_is_judged_by_both(station: tuple[Path, Path, Path]) -> None:
    old, new, folder = station
    found = compare((old, new), [folder], lambda location: Detector.open(str(location)))
    pairs = found.folders[str(folder)]
    assert [each.name for each in pairs] == ["1 even.png", "2 spotted.png", "3 damaged.png"]
    assert [(each.old.decision, each.new.decision) for each in pairs] == [
        ("OK", "OK"), ("OK", "NG"), ("NO_DECISION", "NO_DECISION"),
    ]  # fmt: skip
    assert [each.differs for each in pairs] == [False, True, False]
    with Detector.open(new) as detector:
        assert pairs[1].new.score == detector.inspect(cv2.imread(str(folder / "2 spotted.png"))).score
    assert found.new.threshold < found.old.threshold
    lines = found.lines()
    assert lines[2] == f"{folder}: of 3 pictures the old one rejects 1, the new one 2"
    assert lines[3].startswith("  2 spotted.png: OK (")
    assert len(lines) == 4


def test_a_part_that_passes_above_the_threshold_is_told_with_the_reason(station: tuple[Path, Path, Path]) -> None:
    old, new, folder = station
    for path, area in ((old, 10.0), (new, 0.0)):
        adjust(path, {"threshold": 0.5, "smallest_area": area})
    found = compare((old, new), [folder], lambda location: Detector.open(str(location)))
    lines = found.lines()
    assert lines[:2] == [
        f"old: {old}, threshold 0.5, regions smaller than 10 pixels do not count", f"new: {new}, threshold 0.5",
    ]  # fmt: skip
    (told,) = [line for line in lines if "2 spotted.png" in line]
    reason, after = told.split(" -> ")
    assert reason.startswith("  2 spotted.png: OK (score 0.703 above 0.500")
    assert "smaller than 10 pixels do not count" in reason
    assert after == "NG (0.7031)"


def test_the_command_writes_every_verdict(
    station: tuple[Path, Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new, folder = station
    out = tmp_path / "comparison.json"
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, (old, new, folder)), "--json", str(out), "--threads", "1"])
    run(command.main)
    document = json.loads(out.read_text())
    pair = document["folders"][str(folder)][1]
    assert (pair["name"], pair["old"]["decision"], pair["new"]["decision"]) == ("2 spotted.png", "OK", "NG")
    assert document["old"]["recipe_sha256"] != document["new"]["recipe_sha256"]
    told = capsys.readouterr()
    assert "of 3 pictures" in told.out
    assert "picture 3 of 3" in told.err


@pytest.mark.parametrize("comes", [True, False])
def test_a_folder_whose_pictures_change_meanwhile_is_not_compared(
    station: tuple[Path, Path, Path], comes: bool
) -> None:
    """As that of a line's last parts does: one picture would be paired with another's verdict."""
    old, new, folder = station

    def opened(location: Location) -> Detector:
        if location == new:
            (folder / "1 even.png").rename(folder / "4 even.png")
            if comes:
                shutil.copy(folder / "4 even.png", folder / "5 even.png")
        return Detector.open(str(location))

    with pytest.raises(InputError, match="had other pictures for the new detector than for the old one"):
        compare((old, new), [folder], opened)


def test_a_folder_without_pictures_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    def opened(location: object) -> Detector:
        raise AssertionError("opened")

    with pytest.raises(SourceError, match="no image"):
        compare((Path("old.onnx"), Path("new.onnx")), [tmp_path], opened)
