"""The benchmark of what the checks of videos cost."""

import json
from pathlib import Path

import pytest

from benchmarks.pictures import checks as picture_checks
from runtime.errors import InputError


def test_both_videos_are_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture_checks.main(["--frames", "8", "--side", "96", "--out", str(tmp_path / "costs.json")])
    document = json.loads((tmp_path / "costs.json").read_text())
    assert [cost["video"] for cost in document["videos"]] == ["mjpeg.avi", "h264.mp4"]
    assert all(cost["frames"] == 8 and cost["ratio"] > 0 for cost in document["videos"])
    assert "h264.mp4: " in capsys.readouterr().out


def test_too_small_a_side_is_refused() -> None:
    with pytest.raises(InputError, match="a side of 5 pixels; expected 64 or more"):
        picture_checks.main(["--side", "5"])
