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


@pytest.mark.parametrize("side", ["6", "65"])
def test_a_side_that_h264_cannot_have_is_refused(side: str) -> None:
    with pytest.raises(InputError, match=f"--side is {side}; expected an even number of pixels, 64 or more"):
        picture_checks.main(["--side", side])
