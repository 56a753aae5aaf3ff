"""V4L2's MJPEG: the bytes that a camera sent, decoded as strictly as any. Without a device: recorded buffers."""

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
import pytest
from http_camera import jpeg
from numpy.typing import NDArray
from video_samples import Damage, cut, number_of, numbered_picture, zeroed

from runtime.cameras.capture import Damaged
from runtime.cameras.live import LiveSource
from runtime.cameras.v4l2 import V4L2Capture


class RecordedDevice:
    """What of `cv2.VideoCapture` a V4L2 capture uses. Hands out buffers of a driver: JPEG until it is to convert it."""

    def __init__(self, buffers: Sequence[bytes], code: str = "MJPG") -> None:
        self._buffers, self._code = list(buffers), code
        self._converts = True

    def get(self, what: int) -> float:
        return float(cv2.VideoWriter.fourcc(*self._code)) if what == cv2.CAP_PROP_FOURCC else 0.0

    def set(self, what: int, value: float) -> bool:
        self._converts = self._converts and not (what == cv2.CAP_PROP_CONVERT_RGB and value == 0)
        return True

    def grab(self) -> bool:
        return bool(self._buffers)

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        data = np.frombuffer(self._buffers.pop(0), np.uint8)
        if self._converts:
            return True, np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return True, data.reshape(1, -1)  # as OpenCV does

    def release(self) -> None:
        self._buffers.clear()


def capture_of(buffers: Sequence[bytes], code: str = "MJPG") -> V4L2Capture:
    return V4L2Capture(cast(cv2.VideoCapture, RecordedDevice(buffers, code)))


WHOLE = [jpeg(numbered_picture(number)) for number in range(4)]


@pytest.mark.parametrize("code", ["MJPG", "JPEG"])
@pytest.mark.parametrize("damage", [cut, zeroed, lambda data: data[:0], lambda data: data[:1000] + bytes(2000)])
def test_a_buffer_that_is_not_whole_is_a_damaged_picture(code: str, damage: Damage) -> None:
    padded = WHOLE[2] + bytes(500)  # drivers hand out more than the camera sent
    capture = capture_of([WHOLE[0], damage(WHOLE[1]), padded], code)
    first, damaged, last = (capture.read() for _ in range(3))
    assert isinstance(damaged, Damaged)
    assert [number_of(cast("NDArray[np.uint8]", image)) for image in (first, last)] == [0, 2]
    assert capture.read() is None


def test_raw_pictures_are_taken_as_opencv_converts_them() -> None:
    image = capture_of(WHOLE[:1], "YUYV").read()
    np.testing.assert_array_equal(image, cv2.imdecode(np.frombuffer(WHOLE[0], np.uint8), cv2.IMREAD_COLOR))


def test_a_device_that_changes_its_resolution_and_sends_damage_is_told_of_both() -> None:
    small = jpeg(numbered_picture(1)[:48, :64])
    with LiveSource("camera 0", lambda: capture_of([WHOLE[0], cut(WHOLE[1]), small]), reconnect_limit=1) as source:
        problems = []
        while not problems or not str(problems[-1]).startswith("camera lost"):
            frame = source.read()
            assert frame is not None
            problems.append(frame.problem)
    assert str(problems[-3]).startswith("damaged picture: camera 0 sent one that cannot be decoded (")
    told = "wrong size: the camera changed its resolution from 128×96 to 64×48"
    assert problems[-2] == f"{told}; --accept-size-change goes on with it"
