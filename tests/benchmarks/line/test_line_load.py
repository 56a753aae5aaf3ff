"""More triggers than a line can take, for a moment: the sums are right, and a wrong answer is noticed."""

import json
import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.line import load
from benchmarks.line.load import RoundTrip, loaded, main
from benchmarks.stream.soak import Memory
from runtime.errors import InputError
from runtime.line.results import Cause, Code


def test_every_trigger_has_one_answer_over_both_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.line.load.LEAST_TIMES", 0)  # a second on a busy machine is no measurement
    main(["--seconds", "1", "--parts", "20", "--deadline-ms", "20000", "--json", str(tmp_path / "load.json")])
    document = json.loads((tmp_path / "load.json").read_text())
    for way in ("socket", "modbus"):
        found = document[way]
        assert 0 < found["accepted"] == sum(found["results"].values())
        assert found["triggers"] == found["accepted"] + sum(found["refused"].values())
        assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["largest_ms"]
        assert found["times"] == pytest.approx(found["offered"] / max(found["rate"], found["judged"]))
    assert document["modbus"]["rate"] == document["socket"]["rate"]
    assert document["modbus_round_trip"]["parts"] == 20
    assert "parts a second and did " in capsys.readouterr().out


class Scripted:
    """A controller whose runtime gives each accepted part so many results, and counts as it is told."""

    def __init__(self, results: int = 1, forgets: int = 0, cause: Cause = Cause.NONE) -> None:
        self.causes = Counter[str]()
        self._code, self._cause = (Code.NO_DECISION if cause else Code.OK), cause
        self._each, self._forgets, self._waiting, self._accepted, self._refused = results, forgets, list[int](), 0, 0

    def trigger(self, part_id: int) -> bool:
        if part_id % 2:
            self._refused += 1
            self.causes["OVERRUN"] += 1
            return False
        self._accepted += 1
        self._waiting += [part_id] * self._each
        return True

    def results(self, wait_s: float) -> list[tuple[int, int, int, float]]:
        time.sleep(min(wait_s, 0.001))
        came, self._waiting = self._waiting, []
        return [(part_id, int(self._code), int(self._cause), 1.0) for part_id in came]

    def counters(self) -> tuple[int, int]:
        return self._accepted - self._forgets * (self._accepted > 20), self._refused


def test_a_part_with_two_results_or_one_that_was_not_counted_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.line.load.PATIENCE_S", 0.1)
    found = loaded(Scripted(), os.getpid(), 0.3, 100.0, 400.0)
    assert found.accepted + found.refused["OVERRUN"] == found.triggers
    with pytest.raises(InputError, match="have not just one result"):
        loaded(Scripted(results=2), os.getpid(), 0.3, 100.0, 400.0)
    with pytest.raises(InputError, match="have not just one result"):
        loaded(Scripted(results=0), os.getpid(), 0.3, 100.0, 400.0)
    with pytest.raises(InputError, match="the runtime counted"):
        loaded(Scripted(forgets=1), os.getpid(), 0.3, 100.0, 400.0)


def test_a_load_that_the_detector_nearly_bears_is_told_and_refused() -> None:
    found = loaded(Scripted(), os.getpid(), 0.3, 100.0, 400.0)  # every second one is judged, at once
    assert found.judged == pytest.approx(found.accepted / found.seconds)
    as_meant = replace(found, rate=20.0, offered=40.0, judged=19.0)
    assert (as_meant.times, as_meant.problem()) == (2.0, None)
    slow = replace(found, rate=11.6, offered=23.2, judged=16.5)
    assert slow.times == pytest.approx(1.41, abs=0.005)
    assert "came at 23.2, 1.41 times as many" in slow.lines()[0]
    assert str(slow.problem()).startswith(
        "triggers came 1.41 times as fast as the detector judges (23.2 and 16.5 a second)"
    )


def test_parts_that_nobody_judged_do_not_count_as_judged() -> None:
    found = loaded(Scripted(cause=Cause.NO_FRAME), os.getpid(), 0.3, 100.0, 400.0)
    assert (found.judged, found.accepted > 0) == (0.0, True)
    assert found.results == {"NO_DECISION NO_FRAME": found.accepted}


def test_a_run_that_was_no_overload_writes_its_figures_and_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = replace(loaded(Scripted(), os.getpid(), 0.1, 100.0, 400.0), rate=11.6, offered=23.2, judged=16.5)
    trip = RoundTrip(1, 1.0, 1.0, 1.0, 0.0, Memory((1,), (1.0,)))
    rates: list[float] = []
    monkeypatch.setattr(load, "over_socket", lambda *given: replace(slow, judged=11.0))

    def over_modbus(*given: Any) -> load.Load:
        rates.append(given[-1])
        return slow

    monkeypatch.setattr(load, "over_modbus", over_modbus)
    monkeypatch.setattr(load, "round_trip", lambda *given: trip)
    with pytest.raises(InputError, match=r"^modbus: triggers came 1\.41 times"):
        main(["--json", str(tmp_path / "load.json")])
    assert rates == [11.6]  # the socket's
    assert json.loads((tmp_path / "load.json").read_text())["modbus"]["times"] == pytest.approx(1.406, abs=0.001)
