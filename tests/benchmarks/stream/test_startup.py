"""The start-up benchmark: its phases are those of the real stream and add up to the way to the first verdict."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.stream import startup
from benchmarks.stream.startup import STREAM, StartUp, probed, seconds_to_first_verdict
from benchmarks.stream.startup_probe import PHASES, Marks
from runtime.errors import InputError, ProctorError

OPTIONS = (*STREAM, "--threads", "1")


def test_a_probed_stream_names_every_phase_once_and_in_order() -> None:
    found = probed(OPTIONS)
    assert tuple(found["wall_s"]) == tuple(found["cpu_s"]) == PHASES
    assert min(found["wall_s"].values()) >= 0
    assert found["wall_s"]["inference"] > found["wall_s"]["verdict"]


def test_a_stream_without_a_verdict_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    missing = str(tmp_path / "gone.onnx")
    with pytest.raises(ProctorError, match=r"ended without a verdict: error: .*gone\.onnx cannot be read"):
        seconds_to_first_verdict([*OPTIONS, "--detector", missing])
    with pytest.raises(InputError, match=r"gone\.onnx cannot be read"):
        probed([*OPTIONS, "--detector", missing])


def test_a_phase_ends_once_and_lasts_from_the_end_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([11.0, 14.0, 99.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    marks = Marks(10.0)
    marks.end("python")
    assert marks.around(lambda: "result", before="python", after="imports")() == "result"
    marks.end("imports")
    assert marks.wall_s == {"python": 1.0, "imports": 3.0}


def test_the_command_prints_and_writes_medians(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds, asked = iter([50.0, 1.0, 3.0, 2.5]), []

    def probe(arguments: Any) -> dict[str, dict[str, float]]:
        asked.append(tuple(arguments))
        return {"wall_s": dict.fromkeys(PHASES, 0.1), "cpu_s": dict.fromkeys(PHASES, 0.05)}

    monkeypatch.setattr(startup, "seconds_to_first_verdict", lambda arguments: next(seconds))
    monkeypatch.setattr(startup, "probed", probe)
    startup.main(["--repeats", "3", "--threads", "2", "--json", str(tmp_path / "startup.json")])
    printed, document = capsys.readouterr().out, json.loads((tmp_path / "startup.json").read_text())
    assert asked == [(*STREAM, "--threads", "2")] * 4  # the first warms up
    assert (document["first_verdict_s"], document["slowest_s"]) == (2.5, 3.0)
    assert "first verdict 2.50 s after the process starts (median of 3, slowest 3.00 s): over the target" in printed
    assert "together           800         400" in printed
    assert document["environment"]["cpu"] in printed


def test_the_target_is_two_seconds() -> None:
    found = StartUp(1, 2.0, 2.0, dict.fromkeys(PHASES, 0.25), dict.fromkeys(PHASES, 0.25))
    assert "within the target of 2 s" in found.lines()[0]
