"""JPEG pictures taken out of a stream, however its bytes happen to arrive."""

import random

import pytest
from http_camera import jpeg, part
from video_samples import cut, numbered_picture

from runtime.cameras import multipart
from runtime.cameras.multipart import JpegParts

PICTURES = [jpeg(numbered_picture(number)) for number in range(4)]


@pytest.mark.parametrize("chunk", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("boundary", ["frame", ""])
def test_pictures_are_the_same_however_the_bytes_arrive(chunk: int, boundary: str) -> None:
    data = b"".join(part(picture, length=0) for picture in PICTURES)
    parts, found = JpegParts(boundary), list[bytes]()
    for at in range(0, len(data), chunk):
        found += parts.feed(data[at : at + chunk])
    assert found == PICTURES


@pytest.mark.parametrize("boundary", ["frame", ""])
def test_a_picture_without_an_end_takes_no_other_along(boundary: str) -> None:
    rng = random.Random(0)
    for _ in range(50):
        broken = PICTURES[1][: rng.randrange(4, len(PICTURES[1]) - 2)]
        data = part(PICTURES[0], 0) + part(broken, 0) + part(PICTURES[2], 0)
        found = JpegParts(boundary).feed(data)
        assert [found[0], found[-1]] == [PICTURES[0], PICTURES[2]]
        assert len(found) == 3


def test_a_picture_whose_stated_length_arrived_is_handed_out_before_the_next() -> None:
    assert JpegParts("frame").feed(part(cut(PICTURES[0]))) == [cut(PICTURES[0])]


def test_a_wrong_length_that_a_camera_states_does_not_matter() -> None:
    for length in (1, 500, 10**6):
        assert JpegParts("frame").feed(part(PICTURES[0], length)) == [PICTURES[0]]


def test_bytes_without_any_picture_end_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "LARGEST_PICTURE", 1000)
    parts = JpegParts("frame")
    parts.feed(bytes(900))
    with pytest.raises(ValueError, match="bytes without a whole picture"):
        parts.feed(bytes(900))
