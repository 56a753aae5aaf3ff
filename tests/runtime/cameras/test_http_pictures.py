"""MJPEG over HTTP: a picture that did not arrive whole is never scored, and the next whole one is."""

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from http_camera import MULTIPART, jpeg, part, playing, serving
from video_samples import cut, number_of, numbered_picture

from runtime.cameras import backlog, http, open_source
from runtime.cameras.capture import Damaged, Picture
from runtime.cameras.network import capture_of
from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.pipeline import Pipeline
from runtime.verdict import Verdict

# trained on pictures without JPEG's marks, which evidence of the whole frame would see
STUDENTS = Path(__file__).parents[1] / "samples" / "schema1.onnx"

Make = Callable[[bytes, random.Random], bytes]  # a damaged part from a whole picture


def a_short_part(data: bytes, rng: random.Random) -> bytes:
    return part(data[: int(len(data) * rng.uniform(0.05, 0.97))])


def one_of_the_stated_length_that_is_not_there(data: bytes, rng: random.Random) -> bytes:
    return part(data[: int(len(data) * rng.uniform(0.05, 0.97))], length=len(data))


def one_without_a_length(data: bytes, rng: random.Random) -> bytes:
    return part(data[: int(len(data) * rng.uniform(0.05, 0.97))], length=0)


def one_with_a_wrong_length(data: bytes, rng: random.Random) -> bytes:
    return part(data[: len(data) * 45 // 100], length=rng.randrange(1, 3 * len(data)))


def one_that_was_closed_early(data: bytes, rng: random.Random) -> bytes:
    return part(data[: int(len(data) * rng.uniform(0.3, 0.9))] + b"\xff\xd9")


def a_zeroed_block(data: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(700, len(data) - 200), rng.randrange(60, 200)
    return part(data[:at] + bytes(size) + data[at + size :])


def a_lost_block(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) // 3, len(data) * 2 // 3)
    return part(data[:at] + data[at + len(data) // 4 :])


def a_cut_header(data: bytes, rng: random.Random) -> bytes:
    return part(data[: rng.randrange(3, 600)])


KINDS: list[Make] = [
    a_short_part,
    one_of_the_stated_length_that_is_not_there,
    one_without_a_length,
    one_with_a_wrong_length,
    one_that_was_closed_early,
    a_zeroed_block,
    a_lost_block,
    a_cut_header,
]
VARIANTS = 8  # of each kind


def read_all(parts: Iterable[bytes], content_type: str = MULTIPART, line: bytes = b"--frame") -> list[Picture]:
    """The pictures of a camera that begins with `parts` once it is open; what it sent before is not among them."""
    opened, before = threading.Event(), jpeg(numbered_picture(99))

    def sent() -> Iterator[bytes]:
        while not opened.wait(0.05):
            yield part(before, line=line)
        yield from parts

    with serving(playing(sent(), content_type, 0.004)) as url:
        capture = capture_of(url)
        opened.set()
        pictures = []
        while (picture := capture.read()) is not None:
            pictures.append(picture)
        capture.release()
    return [one for one in pictures if isinstance(one, Damaged) or number_of(one) != 99]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture is dropped on a machine that is slow for a moment."""
    monkeypatch.setattr(backlog, "WATCHED_S", 60.0)
    monkeypatch.setattr(http, "PICTURE_TIMEOUT_S", 60.0)


def numbers_of(pictures: list[Picture]) -> list[int | None]:
    return [None if isinstance(picture, Damaged) else number_of(picture) for picture in pictures]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_pictures_are_told_and_whole_ones_between_them_delivered(kind: Make) -> None:
    wholes = [jpeg(numbered_picture(number)) for number in range(VARIANTS + 2)]
    parts = []
    for number in range(1, VARIANTS + 1):
        parts += [kind(wholes[number], random.Random(f"{kind.__name__} {number}")), part(wholes[number + 1])]
    pictures = read_all(parts)
    seen = numbers_of(pictures)
    whole = list(itertools.chain.from_iterable((None, number + 1) for number in range(1, VARIANTS + 1)))
    assert seen == whole
    for picture, number in zip(pictures, seen, strict=True):
        if number is not None:
            np.testing.assert_array_equal(picture, cv2.imdecode(np.frombuffer(wholes[number], np.uint8), 1))


@pytest.mark.parametrize(
    ("content_type", "line"),
    [
        (MULTIPART, b"--frame"),
        ('multipart/x-mixed-replace;boundary="frame"', b"--frame"),
        ("multipart/x-mixed-replace; boundary=--frame", b"--frame"),
        ("multipart/x-mixed-replace; boundary=--frame", b"----frame"),
        ("multipart/x-mixed-replace; boundary=frame", b"frame"),
        ("multipart/mixed", b"--whatever"),
    ],
)
@pytest.mark.parametrize("length", [None, 0, 7])
def test_boundaries_and_lengths_are_read_as_cameras_write_them(
    content_type: str, line: bytes, length: int | None
) -> None:
    wholes = [jpeg(numbered_picture(number)) for number in range(5)]
    parts = [part(cut(data) if number == 3 else data, length, line) for number, data in enumerate(wholes)]
    assert numbers_of(read_all(parts, content_type, line)) == [0, 1, 2, None, 4]


def test_a_thumbnail_is_no_picture_and_a_picture_is_delivered_before_the_next_begins() -> None:
    small, whole = jpeg(numbered_picture(1)), jpeg(numbered_picture(2))
    exif = b"Exif\0\0" + small
    data = whole[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + whole[2:]

    last = jpeg(numbered_picture(3))

    def parts() -> Iterator[bytes]:
        while not opened.wait(0.05):
            yield part(data)
        yield part(data)
        yield part(last)[:-2]  # nothing follows, not even the end of its line
        received.wait(60)

    opened, received = threading.Event(), threading.Event()
    with serving(playing(parts(), period_s=0.01)) as url:
        capture = capture_of(url)
        opened.set()
        numbers = numbers_of([cast("Picture", capture.read())])
        while numbers[-1] == 2:
            numbers += numbers_of([cast("Picture", capture.read())])
        received.set()
        capture.release()
    assert numbers[-1] == 3


def test_a_connection_that_is_cut_within_a_picture_is_a_loss_and_no_picture() -> None:
    whole = jpeg(numbered_picture(3))
    parts = [part(whole)] * 3 + [part(whole)[: len(whole) // 2]]
    with serving(playing(parts, period_s=0.01)) as url, open_source(url) as source:
        problems = []
        while not problems or problems[-1] is None:
            frame = source.read()
            assert frame is not None
            problems.append(frame.problem)
    assert str(problems[-1]).startswith(f"camera lost: {url} stopped delivering")


def test_a_defective_part_is_ng_whole_and_no_decision_each_time_it_is_not() -> None:
    """The defective part that was OK whenever 45 % of it arrived: the rest came from the good part before."""
    line, verdicts = DemoLine(0, (256, 256), 1.0), list[Verdict]()

    def parts() -> Iterator[bytes]:
        """Each once the one before has its verdict."""
        yield from [b"\r\n"] * 10
        for number in range(4):
            defective = jpeg(line.part(number).image)
            for data in (jpeg(line.good(number).image), cut(defective), *([defective] if number < 2 else ())):
                before = len(verdicts)
                yield part(data)
                yield from until(lambda before=before: len(verdicts) > before)
        pipeline.stop()

    with (
        serving(playing(parts())) as url,
        Detector.open(STUDENTS, threads=1) as detector,
        open_source(url) as source,
    ):
        pipeline = Pipeline(source, detector, lambda frame, verdict: verdicts.append(verdict))
        pipeline.run()
    decisions = "".join(verdict.decision.value[0] + verdict.decision.value[1] for verdict in verdicts[:10])
    assert decisions == "OKNONG" * 2 + "OKNO" * 2, [verdict.reason for verdict in verdicts]
    assert sum(verdict.reason.startswith("damaged picture: ") for verdict in verdicts[:10]) == 4


def until(condition: Callable[[], bool]) -> Iterator[bytes]:
    """Empty lines, which keep a connection alive that nothing is sent over, for up to a minute."""
    deadline_s = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline_s:
        yield b"\r\n"
