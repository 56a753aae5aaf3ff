"""The look over a folder as a whole, and what the training says of it."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from runtime.demo import DemoLine
from runtime.images import list_images, read_image
from train.inspection import Inspector, Report

if TYPE_CHECKING:
    from train.options import StudentsConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty good parts; one is there twice, one was saved again, another object is among them, and one is blurred."""
    line = DemoLine(8, (64, 64), defect_rate=0)
    images = {f"{index:02}.png": line.good(index).image for index in range(40)}
    images["zother.png"] = np.random.default_rng(1).integers(0, 150, (64, 64, 3), np.uint8)
    images["zblur.png"] = cv2.GaussianBlur(line.good(50).image, (0, 0), 2)
    images["zsaved.jpg"] = images["07.png"]
    for name, image in images.items():
        assert cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "zsame.png").write_bytes((tmp_path / "11.png").read_bytes())
    return tmp_path


def look(folder: Path) -> Report:
    inspector = Inspector()
    for path in list_images(folder):
        inspector.add(path, read_image(path))
    return inspector.report()


def test_every_suspect_has_its_kind_and_its_reason(folder: Path) -> None:
    report = look(folder)
    assert report.images == 44
    found = {(suspect.path.name, suspect.kind) for suspect in report.suspects}
    assert found >= {
        ("zother.png", "outlier"),
        ("zblur.png", "blurred"),
        ("zsaved.jpg", "near-copy"),
        ("zsame.png", "copy"),
    }
    assert len(found) <= 5
    by_name = {suspect.path.name: suspect for suspect in report.suspects}
    assert by_name["zsame.png"].other == folder / "11.png"
    assert by_name["zsame.png"].reason == "a copy of 11.png, byte for byte"
    assert by_name["zsaved.jpg"].other == folder / "07.png"
    assert by_name["zother.png"].point_xy is not None
    assert report.least_typical[0].path.name == "zother.png"
    assert len(report.least_typical) == 5
    kinds = [suspect.kind for suspect in report.suspects]
    assert kinds == sorted(kinds, key=["copy", "near-copy", "outlier", "blurred"].index)


def test_warnings_are_a_line_for_each_kind_and_name_a_few(folder: Path) -> None:
    for number in range(4):
        (folder / f"zzsame{number}.png").write_bytes((folder / "11.png").read_bytes())
    warnings = look(folder).warnings()
    assert warnings[0] == (
        "copies of others, byte for byte: zsame.png, zzsame0.png, zzsame1.png and 2 more, of 48 images"
    )
    assert len(warnings) == 4


def test_what_cannot_be_read_comes_first() -> None:
    inspector = Inspector()
    inspector.add_unreadable(Path("torn.png"), "is truncated")
    report = inspector.report()
    assert [(each.path.name, each.kind, each.reason) for each in report.suspects] == [
        ("torn.png", "unreadable", "is truncated")
    ]
    assert report.images == 1


def test_few_images_are_said_to_be_too_few() -> None:
    inspector = Inspector()
    rng = np.random.default_rng(1)
    for index in range(11):
        inspector.add(Path(f"{index}.png"), rng.integers(0, 256, (40, 40, 3), np.uint8))
    report = inspector.report()
    assert report.least_typical == ()
    assert report.notes == ("11 images are too few to tell which of them are unlike; bring 12 or more",)


def test_training_warns_of_suspects_once_and_goes_on(
    part_images: Path, tiny_config: "StudentsConfig", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from train.student_training import train_students

    folder = Path(shutil.copytree(part_images, tmp_path / "parts"))
    shutil.copy(folder / "03.png", folder / "same.png")
    config = replace(tiny_config, data=str(folder))
    assert not train_students(config, tmp_path / "run", stop_after=1)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "warning: copies of others, byte for byte: same.png, of 17 images"
    assert f"To see them: python -m train.inspection {folder} --sheet suspects.png" in printed
    assert sum(line.startswith("warning: ") for line in printed) <= 4
    assert train_students(config, tmp_path / "run")
    assert "copies" not in capsys.readouterr().out
