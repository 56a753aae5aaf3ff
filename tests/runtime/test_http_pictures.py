"""MJPEG over HTTP: a picture that did not arrive whole is never scored, and the next whole one is."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from typing import cast

import cv2
import numpy as np
import pytest
from http_camera import MULTIPART, jpeg, part, playing, serving
from video_samples import cut, number_of, numbered_picture, shortened, zeroed

from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.frames import Frame
from runtime.pipeline import Pipeline
from runtime.sources import open_source
from runtime.sources.capture import Capture, Damaged, Picture
from runtime.sources.network import open_network
from runtime.stream import DEMO_DETECTOR
from runtime.verdict import Decision, Verdict

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
DISTINCT = (0, 1, 2, 3, 4, 5)  # defective parts of the demo line


def read_all(capture: Capture) -> list[Picture]:
    pictures = []
    while (picture := capture.read()) is not None:
        pictures.append(picture)
    capture.release()
    return pictures


def numbers_of(pictures: list[Picture]) -> list[int | None]:
    return [None if isinstance(picture, Damaged) else number_of(picture) for picture in pictures]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_pictures_are_told_and_whole_ones_between_them_delivered(kind: Make) -> None:
    wholes = [jpeg(numbered_picture(number)) for number in range(VARIANTS + 2)]
    parts = [part(wholes[0])] * 2  # what waits when the camera is opened is dropped
    for number in range(1, VARIANTS + 1):
        parts += [kind(wholes[number], random.Random(f"{kind.__name__} {number}")), part(wholes[number + 1])]
    with serving(playing(parts, period_s=0.004)) as url:
        capture = open_network(url)
        pictures = read_all(capture)
    seen = numbers_of(pictures)
    whole = list(itertools.chain.from_iterable((None, number + 1) for number in range(1, VARIANTS + 1)))
    assert seen[-len(whole) :] == whole
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
    with serving(playing(parts, content_type, 0.005)) as url:
        capture = open_network(url)
        pictures = read_all(capture)
    seen = numbers_of(pictures)
    assert seen[-3:] == [2, None, 4]


def test_a_thumbnail_is_no_picture_and_a_picture_is_delivered_before_the_next_begins() -> None:
    small, whole = jpeg(numbered_picture(1)), jpeg(numbered_picture(2))
    exif = b"Exif\0\0" + small
    data = whole[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + whole[2:]

    def parts() -> Iterator[bytes]:
        yield from [part(data)] * 3
        yield part(data)[:-2]  # nothing follows, not even the end of its line
        received.wait(5)

    received = threading.Event()
    with serving(playing(parts(), period_s=0.01)) as url:
        capture = open_network(url)
        numbers = numbers_of([cast("Picture", capture.read()) for _ in range(3)])
        received.set()
        capture.release()
    assert numbers == [2, 2, 2]


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


@pytest.mark.parametrize("damage", [cut, zeroed, shortened])
def test_a_defective_part_is_ng_whole_and_no_decision_each_time_it_is_not(damage: Callable[[bytes], bytes]) -> None:
    """The defective part that was OK whenever 45 % of it arrived: the rest came from the good part before."""
    line = DemoLine(0, (256, 256), 1.0)
    good = jpeg(line.good(0).image)
    parts, verdicts = [part(good)], []
    for number in DISTINCT:
        defective = jpeg(line.part(number).image)
        parts += [part(jpeg(line.good(number + 1).image)), part(damage(defective)), part(defective)]

    def sink(frame: Frame, verdict: Verdict) -> None:
        verdicts.append(verdict)
        if verdict.reason.startswith("camera lost"):
            pipeline.stop()

    with (
        serving(playing(parts, period_s=0.15)) as url,
        Detector.open(DEMO_DETECTOR, threads=1) as detector,
        open_source(url) as source,
    ):
        pipeline = Pipeline(source, detector, sink)
        pipeline.run()
    decisions = [verdict.decision for verdict in verdicts[-19:-1]]
    assert decisions[1::3] == [Decision.NO_DECISION] * 6
    assert decisions[2::3] == [Decision.NG] * 6
    assert all(verdict.reason.startswith("damaged picture: ") for verdict in verdicts[-19:-1][1::3])
