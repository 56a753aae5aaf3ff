"""The command that looks over a folder: what it prints, writes and draws."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_trees import make_tree
from numpy.typing import NDArray

from runtime.demo import DemoLine
from runtime.errors import InputError
from runtime.images import read_image
from runtime.overlay import BACKGROUND
from train.inspection import __main__ as command
from train.inspection import report as inspect
from train.inspection.contact_sheet import MARK_COLOUR, TILE_WH, Tile, draw_sheet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty good parts and one upside down, one file twice, and one that is torn."""
    data, line = tmp_path / "parts", DemoLine(8, (64, 64), defect_rate=0)
    data.mkdir()
    for index in range(40):
        assert cv2.imwrite(str(data / f"{index:02}.png"), line.good(index).image)
    assert cv2.imwrite(str(data / "turned.png"), line.good(50).image[::-1])
    (data / "twice.png").write_bytes((data / "04.png").read_bytes())
    (data / "torn.png").write_bytes((data / "05.png").read_bytes()[:300])
    return data


def test_suspects_are_printed_with_their_reasons(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.main([str(folder)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder}: 43 images, 3 suspects"
    assert lines[1] == "  torn.png: is truncated; copy it again or remove it"
    assert lines[2] == "  twice.png: a copy of 04.png, byte for byte"
    assert lines[3].startswith("  turned.png: unlike the others: ")
    assert lines[4].startswith("  least typical, suspect or not: turned.png, ")
    assert len(lines) == 5


def test_the_json_holds_every_suspect(folder: Path, tmp_path: Path) -> None:
    command.main([str(folder), "--json", str(tmp_path / "report.json")])
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["images"] == 43
    assert [(Path(each["path"]).name, each["kind"]) for each in document["suspects"]] == [
        ("torn.png", "unreadable"),
        ("twice.png", "copy"),
        ("turned.png", "outlier"),
    ]
    assert document["suspects"][1]["other"] == str(folder / "04.png")
    assert len(document["suspects"][2]["point_xy"]) == 2
    assert len(document["least_typical"]) == 5


def test_the_sheet_shows_suspects_and_the_least_typical(folder: Path, tmp_path: Path) -> None:
    command.main([str(folder), "--sheet", str(tmp_path / "sheet.png")])
    sheet = read_image(tmp_path / "sheet.png")
    assert 2 * TILE_WH[1] < sheet.shape[0] < 3 * (TILE_WH[1] + 60)
    assert (sheet == MARK_COLOUR).all(axis=2).sum() > 100  # rings around what is most unlike


def test_every_image_is_on_the_sheet_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tile] = []

    def draw(heading: str, tiles: list[Tile]) -> NDArray[np.uint8]:
        drawn.extend(tiles)
        return draw_sheet(heading, tiles)

    monkeypatch.setattr("train.inspection.report.draw_sheet", draw)
    report = inspect.inspect_folder(folder)
    inspect.write_sheet(tmp_path / "sheet.png", report, "parts")
    typical = [each.path.name for each in report.least_typical if each.path.name != "turned.png"]
    assert [tile.title for tile in drawn] == ["torn.png", "twice.png", "turned.png", *typical]
    assert [len(tile.images) for tile in drawn[:3]] == [0, 2, 1]

    drawn.clear()
    monkeypatch.setattr("train.inspection.report.MOST_TILES", 6)
    inspect.write_sheet(tmp_path / "sheet.png", report, "parts")
    assert [tile.title for tile in drawn] == ["torn.png", "twice.png", *typical]


def test_a_tile_shows_a_copy_beside_its_original_and_marks_the_first_alone() -> None:
    red, green = (np.full((50, 50, 3), colour, np.uint8) for colour in ((0, 0, 200), (0, 200, 0)))
    sheet = draw_sheet("two", [Tile([red, green], "a", "b", mark_xy=(0.5, 0.5)), Tile([], "c", "d")])
    middle = sheet[40 + TILE_WH[1] // 2]
    red_at, green_at = (np.flatnonzero((middle == colour).all(axis=1)) for colour in ((0, 0, 200), (0, 200, 0)))
    assert red_at.size > 80
    assert red_at.max() < green_at.min()
    ring = np.flatnonzero((middle == MARK_COLOUR).all(axis=1))
    assert ring.size
    assert ring.max() < green_at.min()
    assert (sheet[:, TILE_WH[0] + 120 :] == BACKGROUND).all(axis=2).mean() > 0.9


def test_a_layout_that_training_does_not_take_is_looked_over_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tree("ksdd2", tmp_path / "data")
    command.main([str(tmp_path / "data"), "--layout", "ksdd2"])
    assert "data: 2 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nowhere"], "nowhere is not a folder"), ([".", "--sheet", "a.gif"], "--sheet is a.gif; expected a name ending")],
)
def test_a_bad_input_ends_in_one_sentence(arguments: list[str], message: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "train.inspection", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        command.main([str(tmp_path)])


def test_a_name_cannot_forge_a_line_of_the_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "twice.png").rename(folder / "04\n  note: all is well.png")
    command.main([str(folder)])
    text = capsys.readouterr().out
    assert "04\\n  note: all is well.png" in text
    assert "\n  note: all is well" not in text
