"""What a camera sent while it was opened is dropped; by the stamps of its pictures, on a clock that the test turns."""

from types import SimpleNamespace
from typing import cast

import cv2
import pytest

from runtime.sources import backlog


class StampedCamera:
    """Takes a picture each 40 ms, which takes `decode_ms` to decode; the first waits since `backlog_ms`."""

    def __init__(self, decode_ms: list[float], backlog_ms: float) -> None:
        self._decode_ms, self._now_ms, self._born_ms, self.grabs = decode_ms, 1e6, 1e6 - backlog_ms, 0
        self.live_grabs = 0

    def grab(self) -> bool:
        self.grabs += 1
        taken_ms = self._born_ms + 40.0 * self.grabs
        self.live_grabs += taken_ms >= self._now_ms
        self._now_ms = max(self._now_ms, taken_ms) + self._decode_ms[self.grabs % len(self._decode_ms)]
        return True

    def get(self, what: int) -> float:
        return 40.0 * self.grabs if what == cv2.CAP_PROP_POS_MSEC else 0.0

    def monotonic(self) -> float:
        return self._now_ms / 1000

    @property
    def age_ms(self) -> float:
        """Since the picture that was grabbed last was taken."""
        return self._now_ms - self._born_ms - 40.0 * self.grabs


@pytest.mark.parametrize(
    ("decode_ms", "backlog_ms"),
    [
        ([2.0], 0.0),
        ([2.0], 1240.0),
        ([25.0], 2000.0),  # more than half of the time between two pictures
        ([60.0, 10.0, 10.0, 10.0, 10.0], 1000.0),  # and some longer than it
    ],
)
def test_a_backlog_is_dropped_and_little_that_is_live(
    decode_ms: list[float], backlog_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = StampedCamera(decode_ms, backlog_ms)
    monkeypatch.setattr(backlog, "time", SimpleNamespace(monotonic=camera.monotonic))
    backlog.skip_backlog(cast(cv2.VideoCapture, camera))
    assert camera.age_ms <= max(decode_ms) + 10
    assert camera.live_grabs <= 5


def test_a_machine_that_is_slower_than_the_camera_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = StampedCamera([39.0], 10**6)
    monkeypatch.setattr(backlog, "time", SimpleNamespace(monotonic=camera.monotonic))
    backlog.skip_backlog(cast(cv2.VideoCapture, camera))
    assert camera.grabs < 200
