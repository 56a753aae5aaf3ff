"""What viewers of the live page cost: the figures, and the pictures that the viewers really fetched."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.web import viewers
from benchmarks.web.viewers import Block, _cost

LOAD = (3.1, 0.5)


def test_the_share_of_the_pictures_that_viewers_fetched_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "RESAMPLES", 50)
    found = {kind: [np.full(20, 50.0), np.full(20, 60.0 if kind else 50.0)] for kind in (False, True)}
    cost = _cost(found, 140, LOAD)
    assert (cost.frames_without, cost.frames_with, cost.share) == (40, 40, 0.7)
    assert "the viewers, at the lowest priority, fetched 140 pictures, 0.70 of all" in "\n".join(cost.lines())
    assert cost.p50_ratio == pytest.approx(1.1)


def test_pictures_count_as_long_as_frames_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fetched:
        value = 0  # of a viewer that fetches one in each moment

    def sleep(seconds: float) -> None:
        Fetched.value += 1
        now_s.append(now_s[-1] + seconds)

    now_s = [0.0]
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now_s[-1])
    block = viewers._block("http://nowhere", False, 8.0, Fetched)  # type: ignore[arg-type]
    assert block == Block(1.0, 9.0, 1)


def test_a_short_run_is_watched_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("starlette", reason="the page IS NOT TESTED here: pip install 'proctor[web]'")
    viewers.main(["--pairs", "1", "--seconds", "2", "--rate", "4", "--json", str(tmp_path / "viewers.json")])
    document = json.loads((tmp_path / "viewers.json").read_text())
    assert 0 < document["cost"]["share_of_pictures"] <= 1.5
    assert document["settings"]["viewers"] == 5
    assert "fetched" in capsys.readouterr().out
