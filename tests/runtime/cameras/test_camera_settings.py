"""Settings of cameras: how they are written, and where they arrive."""

import re

import pytest

from runtime.cameras import open_source
from runtime.cameras.settings import as_settings, parse_settings
from runtime.errors import InputError


def test_settings_keep_their_order_and_may_select() -> None:
    texts = ["Gain=3.5", "ExposureTime = 2000".replace(" ", ""), "LineMode[LineSelector=Line2]=Output", "Name=a=b"]
    assert list(parse_settings(texts).items()) == [
        ("Gain", "3.5"),
        ("ExposureTime", "2000"),
        ("LineMode[LineSelector=Line2]", "Output"),
        ("Name", "a=b"),
    ]


@pytest.mark.parametrize("text", ["ExposureTime", "=3", "Line Mode=3", "LineMode[Line2]=3", "LineMode[A=]=3", ""])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"--camera-set is {text!r}; expected NAME=VALUE")):
        parse_settings([text])


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="gives Gain twice, 1 and 2"):
        parse_settings(["Gain=1", "Gain=2"])


def test_python_gives_numbers_and_truth_values() -> None:
    assert as_settings("settings", {"Gain": 1.5, "Width": 640, "ReverseX": True, "PixelFormat": "Mono8"}) == {
        "Gain": "1.5",
        "Width": "640",
        "ReverseX": "true",
        "PixelFormat": "Mono8",
    }


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("Gain=1", "settings is 'Gain=1'; expected a mapping"),
        ({"Gain": None}, r"settings\['Gain'\] is None; expected text, a number or a truth value"),
        ({3: "1"}, "settings has the name 3; expected one such as 'ExposureTime'"),
    ],
)
def test_what_is_no_mapping_of_settings_is_refused(given: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        as_settings("settings", given)


def test_a_camera_without_settings_refuses_them() -> None:
    with pytest.raises(InputError, match=r"settings is for .*, and this camera is 'demo'; leave it out"):
        open_source("demo", settings={"Gain": 1})
