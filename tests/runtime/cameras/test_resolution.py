"""A camera or video that changes its resolution under way: none of its pictures is scored as long as it differs."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from http_camera import jpeg, part, playing, serving
from video_samples import numbered_picture, write_numbered

from runtime.cameras import open_source

BEFORE, AFTER = (96, 128), (48, 64)
CHANGED = "wrong size: the {} changed its resolution from 128×96 to 64×48"


def test_a_camera_that_changes_its_resolution_is_told_until_it_changes_back_and_after_a_reconnect_too() -> None:
    def of_size(size: tuple[int, int], count: int) -> list[bytes]:
        return [part(jpeg(numbered_picture(number)[: size[0], : size[1]])) for number in range(count)]

    closed = [b""]
    parts = of_size(BEFORE, 5) + of_size(AFTER, 5) + of_size(BEFORE, 5) + closed + of_size(AFTER, 40)
    seen: list[str | None] = []
    with serving(playing(parts, period_s=0.1)) as url, open_source(url) as source:
        while [problem for problem, _ in groupby(seen)][4:] == []:
            frame = source.read()
            assert frame is not None
            seen.append(frame.problem)
    lost = f"camera lost: {url} stopped delivering; opening it again"
    told = CHANGED.format("camera") + "; --accept-size-change goes on with it"
    assert [problem for problem, _ in groupby(seen)] == [None, told, None, lost, told]


@pytest.mark.parametrize(("codec", "ending"), [("mjpeg", "mjpeg"), ("libx264", "h264")])
def test_a_video_that_changes_its_resolution_is_told(tmp_path: Path, codec: str, ending: str) -> None:
    parts = [tmp_path / f"{name}.{ending}" for name in ("before", "after", "again")]
    for path, size in zip(parts, (BEFORE, AFTER, BEFORE), strict=True):
        write_numbered(path, codec, 6, {} if codec == "mjpeg" else {"bf": "0"}, size_hw=size)
    whole = tmp_path / f"line.{ending}"
    whole.write_bytes(b"".join(path.read_bytes() for path in parts))
    seen = []
    with open_source(str(whole)) as source:
        while (frame := source.read()) is not None:
            seen.append((frame.problem, frame.image.shape[:2]))
    told = CHANGED.format("video")
    assert [problem for problem, _ in seen if problem == told] == [told] * 6
    assert {size for problem, size in seen if problem is None} == {BEFORE}
    assert np.all([size == (0, 0) for problem, size in seen if problem])
