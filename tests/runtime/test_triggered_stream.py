"""Triggered mode as a person runs it: on the demo line, and what is refused."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cameras import open_source
from runtime.errors import InputError, SourceError

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
COMMAND = [sys.executable, "-m", "runtime.stream", "--threads", "1", "--camera"]
SOFTWARE = ("--trigger", "software", "--every-ms", "20")


def test_the_demo_line_can_be_triggered_at_a_pace_and_sums_up_its_triggers(detector_file: Path, tmp_path: Path) -> None:
    options = ("--detector", str(detector_file), *SOFTWARE, "--frames", "15", "--json", "--summary", "summary.json")
    done = subprocess.run(
        [*COMMAND, "demo", *options], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert sorted(int(verdict["part_id"]) for verdict in verdicts) == list(range(15))
    assert all(verdict["triggered_s"] <= verdict["output_s"] for verdict in verdicts)
    judged = [verdict for verdict in verdicts if verdict["decision"] != "NO_DECISION"]
    assert [verdict["counter"] for verdict in judged] == list(range(len(judged)))  # the camera takes no other trigger
    triggered = json.loads((tmp_path / "summary.json").read_text())["triggered"]
    assert triggered["triggers"] == 15
    assert set(triggered["trigger_to_output_ms"]) == {"p50", "p99", "max"}
    assert "15 triggers: 0 missed, " in done.stderr
    assert " after the deadline; trigger to picture in ms: " in done.stderr


def test_a_signal_ends_a_triggered_stream_with_one_result_for_each_trigger(detector_file: Path, tmp_path: Path) -> None:
    options = ("--detector", str(detector_file), *SOFTWARE, "--json")
    with subprocess.Popen(
        [*COMMAND, "demo", *options],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=30)
    assert process.returncode == 0
    parts = sorted(int(json.loads(line)["part_id"]) for line in [*lines, *rest.splitlines()])
    assert parts == list(range(len(parts)))
    assert f"{len(parts)} triggers: " in err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            ("demo", "--trigger", "external"),
            "--trigger external is for a line controller, which python -m runtime.line serves",
        ),
        (("demo", "--trigger", "software"), "--trigger software needs a pace; give --every-ms N, too"),
        (("demo", "--every-ms", "5"), "--every-ms is the pace of --trigger software; give both or none"),
        (("demo", "--deadline-ms", "5"), "--deadline-ms is from a trigger to its verdict; give --trigger, too"),
        (("demo", "--trigger", "hardware"), "the demo line has no trigger input; give the trigger software"),
        (("0", *SOFTWARE), "'0' cannot be triggered: V4L2 has no trigger, and nothing in a picture tells which part"),
        (("rtsp://u:p@host/x", *SOFTWARE), "'rtsp://u@host/x' cannot be triggered: a video stream has no trigger, and"),
        (("http://host/x", *SOFTWARE), "leave out --trigger to let it run free, or take a camera that can be ("),
        ((".", *SOFTWARE), "'.' cannot be triggered: its pictures were taken before; leave out --trigger"),
    ],
)
def test_what_cannot_be_triggered_is_refused_in_one_sentence(
    options: tuple[str, ...], reason: str, detector_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runtime import stream

    detector = () if options[0] == "demo" else ("--detector", str(detector_file))
    monkeypatch.setattr(sys, "argv", ["stream", "--camera", *options, *detector])
    with pytest.raises(InputError) as refused:
        stream.main()
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_python_callers_are_told_the_same_in_their_words() -> None:
    with pytest.raises(InputError, match="trigger is 'sometimes'; expected one of software, hardware, external"):
        open_source("demo", trigger="sometimes")
    with pytest.raises(InputError, match="deadline_s is 0, and no verdict is out at once"):
        open_source("demo", trigger="software", deadline_s=0)
    with open_source("demo") as source:
        assert source.pairs_by is None
        with pytest.raises(SourceError, match="runs free and cannot be triggered"):
            source.trigger("1")


def test_a_controller_in_python_triggers_the_demo_line_by_part() -> None:
    with open_source("demo?seed=4", trigger="external", deadline_s=60) as source:
        source.trigger("left door")
        frame = source.read(30)
        assert frame is not None
        assert (frame.part_id, frame.counter, frame.problem) == ("left door", 0, None)
    with open_source("demo?seed=4") as free:
        same = free.read()
        assert same is not None
        assert (same.image == frame.image).all()
        assert same.defective is frame.defective
