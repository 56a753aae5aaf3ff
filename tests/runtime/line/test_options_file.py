"""The line's options in a YAML file: the same as on the command line, and nothing in it unseen."""

import argparse
from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.line.__main__ import _parser
from runtime.line.options_file import parse_with_file

WORDS = (
    "detector.onnx --camera pylon:1 --camera-set ExposureTime=2000 --camera-set ReverseX=true --modbus 0.0.0.0:502 "
    "--deadline-ms 200 --wait-for-camera --threads 2"
)
FILE = """
detector: detector.onnx
camera: pylon:1
camera-set: {ExposureTime: 2000, ReverseX: true}
modbus: 0.0.0.0:502
deadline-ms: 200
wait-for-camera: true
no-rebuild: false
threads: 2
"""


def parsed(text: str, folder: Path, *words: str) -> argparse.Namespace:
    path = folder / "line.yaml"
    path.write_text(text)
    return parse_with_file(_parser(), [str(path), *words])


def test_a_file_says_what_the_command_line_would(tmp_path: Path) -> None:
    assert parsed(FILE, tmp_path) == _parser().parse_args(WORDS.split())


def test_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    found = parsed(FILE, tmp_path, "--deadline-ms", "300", "--camera-set", "Gain=3")
    assert found.deadline_ms == 300
    assert found.camera_set == ["ExposureTime=2000", "ReverseX=true", "Gain=3"]
    assert found.modbus == "0.0.0.0:502"


def test_without_a_file_nothing_changes() -> None:
    assert parse_with_file(_parser(), WORDS.split()) == _parser().parse_args(WORDS.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modbuss: 1", r"line 1, modbuss: unknown key modbuss; known are detector, accept-size-change"),
        ("a: 1\na: 2", "stands twice|twice"),
        ("wait-for-camera: 3", "wait-for-camera is 3; expected true or false"),
        ("camera: true", "camera is True; expected a value"),
        ("camera:", "camera is None; expected a value"),
        ("help: true", "unknown key help"),
        ("- camera", "expected options, as in camera: demo"),
        ("", "expected options"),
        ("camera: [", "is no YAML"),
    ],
)
def test_what_is_no_option_is_one_sentence_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        parsed(text, tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        parse_with_file(_parser(), ["nowhere.yaml"])
