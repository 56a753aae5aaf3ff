"""More triggers than a line can take, for a moment: the sums are right, and a wrong answer is noticed."""

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.line.load import loaded, main
from runtime.errors import InputError
from runtime.line.results import Cause, Code


def test_every_trigger_has_one_answer_over_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seconds", "1", "--parts", "20", "--deadline-ms", "20000", "--json", str(tmp_path / "load.json")])
    document = json.loads((tmp_path / "load.json").read_text())
    for way in ("socket", "modbus"):
        found = document[way]
        assert 0 < found["accepted"] == sum(found["results"].values())
        assert found["triggers"] == found["accepted"] + sum(found["refused"].values())
        assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["largest_ms"]
    assert document["modbus_round_trip"]["parts"] == 20
    assert "parts a second; " in capsys.readouterr().out


class Scripted:
    """A controller whose runtime gives each accepted part so many results, and counts as it is told."""

    def __init__(self, results: int = 1, forgets: int = 0) -> None:
        self.causes = Counter[str]()
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
        return [(part_id, int(Code.OK), int(Cause.NONE), 1.0) for part_id in came]

    def counters(self) -> tuple[int, int]:
        return self._accepted - self._forgets * (self._accepted > 20), self._refused


def test_a_part_with_two_results_or_one_that_was_not_counted_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.line.load.measured_rate", lambda controller, seconds: 400.0)
    monkeypatch.setattr("benchmarks.line.load.PATIENCE_S", 0.1)
    found = loaded(Scripted(), os.getpid(), 0.3, 100.0)
    assert found.accepted + found.refused["OVERRUN"] == found.triggers
    with pytest.raises(InputError, match="have not just one result"):
        loaded(Scripted(results=2), os.getpid(), 0.3, 100.0)
    with pytest.raises(InputError, match="have not just one result"):
        loaded(Scripted(results=0), os.getpid(), 0.3, 100.0)
    with pytest.raises(InputError, match="the runtime counted"):
        loaded(Scripted(forgets=1), os.getpid(), 0.3, 100.0)
