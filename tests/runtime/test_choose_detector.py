"""Which detector file a stream takes."""

from pathlib import Path

import pytest

from runtime import default_detector
from runtime.default_detector import choose_detector
from runtime.errors import DetectorError


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(default_detector, "DEMO_DETECTOR", tmp_path / "package" / "demo.onnx")


def packaged() -> Path:
    default_detector.DEMO_DETECTOR.parent.mkdir()
    default_detector.DEMO_DETECTOR.touch()
    return default_detector.DEMO_DETECTOR


def test_the_one_given_is_taken() -> None:
    assert choose_detector(Path("mine.onnx"), "0") == Path("mine.onnx")
    assert choose_detector(Path("mine.onnx"), "demo") == Path("mine.onnx")


def test_a_plan_in_the_working_folder_goes_before_an_onnx_file() -> None:
    Path("detector.onnx").touch()
    assert choose_detector(None, "0") == Path("detector.onnx")
    Path("detector.plan").touch()
    assert choose_detector(None, "0") == Path("detector.plan")


def test_the_demo_line_has_its_own() -> None:
    Path("detector.onnx").touch()
    shipped = packaged()
    assert choose_detector(None, "demo") == shipped


def test_the_demo_detector_serves_the_demo_line_only() -> None:
    with pytest.raises(DetectorError, match=r"demo\.onnx knows the demo line's parts alone; train a detector for this"):
        choose_detector(packaged(), "0")


def test_an_installation_without_the_demo_detector_says_so() -> None:
    with pytest.raises(DetectorError, match=r"lacks the demo detector .*demo\.onnx; install Proctor again"):
        choose_detector(None, "demo")
