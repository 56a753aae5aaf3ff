"""Who keeps up with a camera waits for it; before who does not, pictures pile up, and are dropped."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from runtime.cameras import backlog
from runtime.cameras.backlog import Watch
from runtime.errors import SourceError


class Camera:
    """Takes a picture each 40 ms, which takes `decode_ms` to decode; the first waits since `backlog_ms`."""

    def __init__(self, decode_ms: float, backlog_ms: float) -> None:
        self._decode_ms, self._now_ms, self._born_ms = decode_ms, 1e6, 1e6 - backlog_ms
        self.pictures, self._slept_ms = 0, 0.0

    def receive(self) -> int:
        self.pictures += 1
        slept_ms = max(0.0, self._born_ms + 40.0 * self.pictures - self._now_ms)
        self._slept_ms += slept_ms
        self._now_ms += slept_ms
        return self.pictures

    def next_picture(self, watch: Watch) -> Callable[[], int]:
        def picture() -> int:
            number = watch.receive(self.receive)
            self._now_ms += self._decode_ms
            return number

        return picture

    def use_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backlog, "time", SimpleNamespace(monotonic=lambda: self._now_ms / 1000))
        monkeypatch.setattr(backlog, "_sleeps", lambda: self._slept_ms)
        monkeypatch.setattr(backlog, "_idle_s", lambda: self._slept_ms / 1000)


@pytest.mark.parametrize(("decode_ms", "backlog_ms"), [(2.0, 0.0), (2.0, 1240.0), (25.0, 2000.0)])
def test_a_backlog_is_dropped_and_nothing_that_is_live(
    decode_ms: float, backlog_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, watch = Camera(decode_ms, backlog_ms), Watch()
    camera.use_clock(monkeypatch)
    picture, dropped = watch.skip(camera.next_picture(watch))
    arrived_late_ms = camera._now_ms - camera._born_ms - 40.0 * camera.pictures
    assert arrived_late_ms <= decode_ms
    assert picture == dropped + 1 == camera.pictures


def test_a_machine_that_is_slower_than_the_camera_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera(39.0, 10**6)
    camera.use_clock(monkeypatch)
    watch = Watch()
    assert watch.skip(camera.next_picture(watch))[0] == camera.pictures
    assert camera.pictures < 200
    with pytest.raises(SourceError, match="this machine is too slow for it"):
        watch.skip(camera.next_picture(watch), may_fail=True)


def test_a_reader_that_waits_is_not_behind_and_one_that_never_does_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for decode_ms, behind in ((2.0, False), (60.0, True)):
        camera = Camera(decode_ms, 0.0)
        camera.use_clock(monkeypatch)
        watch = Watch()
        picture, told = camera.next_picture(watch), []
        for _ in range(60):
            told.append(watch.is_behind())
            picture()
            watch.waited()
        assert any(told) == behind


def test_time_that_another_thread_takes_is_no_waiting() -> None:
    watch = Watch()
    watch.receive(lambda: sum(range(10**6)))
    assert not watch.waited()
    watch.receive(lambda: time.sleep(0.02))
    assert watch.waited()
