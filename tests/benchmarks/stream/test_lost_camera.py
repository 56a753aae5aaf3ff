"""The benchmark of a lost camera: a short run of it, and its figures from verdicts that are known."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.stream import lost_camera
from benchmarks.stream.lost_camera import Lost, Phase


def lost(before_ms: float, gone_ms: float, **fields: int) -> Lost:
    phases = {
        name: Phase(240, 60.0, p99_ms / 2, p99_ms, p99_ms)
        for name, p99_ms in (("both", before_ms), ("one gone", gone_ms), ("both again", before_ms))
    }
    values: dict[str, Any] = {"sent": 400, "judged": 399, "losses": 1, "reconnects": 1} | fields
    return Lost(phases, 4.0, **values)


def test_the_ratio_is_of_the_time_without_the_camera_over_the_time_before() -> None:
    assert lost(100, 110).ratio == pytest.approx(1.1)
    assert "1.10 times that before: within the target of 1.2" in "\n".join(lost(100, 110).lines())
    assert "1.30 times that before: over the target of 1.2" in "\n".join(lost(100, 130).lines())


def test_what_was_not_judged_is_said() -> None:
    assert lost(100, 100).complete
    assert not lost(100, 100, judged=390).complete
    assert "390 of 400 pictures were judged: NOT all" in "\n".join(lost(100, 100, judged=390).lines())


def test_a_short_run_loses_a_camera_and_gets_it_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_camera, "SETTLE_S", 0.2)
    lost_camera.main(["--seconds", "5", "--threads", "1", "--json", str(tmp_path / "lost.json")])
    document = json.loads((tmp_path / "lost.json").read_text())
    assert (document["losses"], document["reconnects"]) == (1, 1)
    assert document["phases"]["one gone"]["verdicts"] > 0
    assert 0 < document["judged"] <= document["sent"] + 2
    assert "of the other: 1 losses, 1 reconnects" in capsys.readouterr().out
