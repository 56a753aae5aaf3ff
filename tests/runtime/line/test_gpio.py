"""Digital inputs and outputs through the command, the real libgpiod and its bindings, over a chip that records.

What a chip that keeps its levels shows when the runtime is stopped, killed or ended amid a pulse, and when the chip is
pulled.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from line_samples import PATIENCE_S, ROOT
from waiting import until

from benchmarks.line.recorded_chip import RecordedChip, recorded_chip
from runtime.records.reading import Question, Records

DEMO = ROOT / "runtime" / "data" / "demo.onnx"
TRIGGER, OFFLINE, PASS, REJECT, READY, STROBE, HEARTBEAT = 17, 27, 22, 23, 24, 25, 26
OUTPUTS = (PASS, REJECT, READY, STROBE, HEARTBEAT)
OPEN = """
import sys
from pathlib import Path
from runtime.cli import run
from runtime.line.gpio_chip import open_inputs, open_outputs
from runtime.line.gpio_config import read_config
config = read_config(Path(sys.argv[1]))
run(lambda: (open_inputs(config).close(), open_outputs(config).close()))
"""
TAKE_BACK = """
import sys, time
from runtime.line.gpio_binding import open_binding
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.results import Cause, Code, Mode, Outcome
handshake = Handshake(1.0)
io = open_binding(Levels(handshake), sys.argv[1])
handshake.ready()
for how in sys.argv[2:]:
    handshake.set_mode(Mode.BYPASS if "bypass" in how else Mode.RUN)
    accepted = handshake.view(sees=False).accepted
    print("trigger", flush=True)
    if "bypass" not in how:
        part = handshake.take(30.0)
        handshake.finish(part.acquisition_id, Outcome(Code.OK, Cause.NONE, ""))
    while handshake.view(sees=False).accepted == accepted or handshake.view(sees=False).waiting:
        time.sleep(0.01)
    time.sleep(0.2)  # the pulse is asked for
    if "hold" in how:
        handshake.hold(Cause.HELD, "the self-check was wrong")
    if "pause" in how:
        handshake.pause("Ann")
    time.sleep(1.8)
    handshake.release()
    handshake.resume()
print("ended", flush=True)
io.close()
"""
GATE_DOWNSTREAM = """
chip: {chip}
trigger: {{line: LINE17, debounce_ms: 0, late_ms: 10000}}
pass: {{line: 22, after: trigger, delay_ms: 1000, pulse_ms: 800}}
"""
WIRED = """
chip: {chip}
trigger: {{line: LINE17, debounce_ms: 3, bias: pull-down, late_ms: 10000}}
offline: {{line: 27, active: low, bias: pull-up}}
pass: {{line: 22, pulse_ms: {pulse_ms}}}
reject: {{line: 23, active: low, pulse_ms: 300}}
ready: {{line: 24}}
strobe: {{line: 25, pulse_ms: 2}}
heartbeat: {{line: 26}}
"""


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[RecordedChip]:
    with recorded_chip(tmp_path) as found:
        found.levels[OFFLINE] = True  # pulled up: not offline
        yield found


def written(chip: RecordedChip, pulse_ms: int) -> Path:
    path = chip.path.with_name("gpio.yaml")
    path.write_text(WIRED.format(chip=chip.path, pulse_ms=pulse_ms))
    return path


@contextmanager
def running(
    chip: RecordedChip, environment: dict[str, str], pulse_ms: int, *more: object
) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-m", "runtime.line", DEMO, "--camera", "demo", "--deadline-ms", 20_000, "--threads", 1]
    words = [*line, "--gpio", written(chip, pulse_ms), *more]
    child = subprocess.Popen(
        list(map(str, words)), env=environment | chip.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: chip.levels[READY] or child.poll() is not None)
        assert child.poll() is None, child.communicate()[1]
        yield child
    finally:
        child.kill()
        child.communicate()
        until(lambda: not chip.held)


def part(chip: RecordedChip) -> bool:
    """A part at the trigger; whether it passes. Its pulse is over then."""
    passes, rejects = chip.of(PASS).count(True), chip.of(REJECT).count(False)
    until(lambda: chip.levels[READY])
    chip.edge(TRIGGER, True)
    chip.edge(TRIGGER, False)
    until(lambda: (chip.of(PASS).count(True), chip.of(REJECT).count(False)) != (passes, rejects))
    until(lambda: not chip.levels[PASS] and chip.levels[REJECT])
    return chip.of(PASS).count(True) > passes


def begin_pass(chip: RecordedChip) -> float:
    """Parts until one passes, whose pulse has begun; when."""
    while True:
        until(lambda: chip.levels[READY])
        rejects = chip.of(REJECT).count(False)
        chip.edge(TRIGGER, True)
        until(lambda count=rejects: chip.levels[PASS] or chip.of(REJECT).count(False) > count)  # type: ignore[misc]
        if chip.levels[PASS]:
            return next(change.at_s for change in reversed(chip.changes) if change.line == PASS and change.level)


def pulse_s(chip: RecordedChip, begun_s: float) -> float:
    """How long a pulse took that is over now."""
    until(lambda: not chip.levels[PASS])
    return next(each.at_s for each in chip.changes if each.line == PASS and not each.level and each.at_s > begun_s) - (
        begun_s
    )


def keeper_of(child: subprocess.Popen[str]) -> int:
    """The process that holds the outputs; 0 where there is none."""
    for thread in Path(f"/proc/{child.pid}/task").iterdir():
        for each in (thread / "children").read_text().split():
            if b"gpio_keeper" in Path(f"/proc/{each}/cmdline").read_bytes():
                return int(each)
    return 0


def test_parts_through_the_command_have_a_pulse_each_that_passes(
    chip: RecordedChip, environment: dict[str, str], tmp_path: Path
) -> None:
    parts = 9
    with running(chip, environment, 250, "--records", tmp_path / "records") as child:
        trigger, outputs = chip.holder(TRIGGER), chip.holder(PASS)
        assert trigger is not None
        assert outputs is not None
        assert (trigger.debounce_us, trigger.event_buffer) == ({TRIGGER: 3_000, OFFLINE: 2_000}, 256)
        assert sorted(outputs.lines) == sorted(OUTPUTS)
        assert outputs.consumer == "proctor"
        found = [part(chip) for _ in range(parts)]
        assert {True, False} == set(found)
        chip.edge(OFFLINE, False)
        until(lambda: not chip.levels[READY])
        chip.edge(OFFLINE, True)
        until(lambda: chip.levels[READY])
        chip.lose(TRIGGER, 2)
        found.append(part(chip))
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=3 * PATIENCE_S)
    assert child.returncode == 0, said
    assert f"{parts + 1} triggers accepted, 2 refused" in said
    assert [chip.levels[line] for line in OUTPUTS] == [False, True, False, False, False]  # reject is active low
    assert chip.of(STROBE).count(True) == parts + 1
    assert chip.of(HEARTBEAT).count(True) > 2
    with Records(tmp_path / "records") as records:
        rows = list(records.find(Question()))[::-1]
    judged = [row for row in rows if not str(row["reason"]).startswith("trigger refused")]
    assert [row["decision"] == "OK" for row in judged] == found
    numbers = [int(row["part_id"]) for row in judged]
    assert numbers == [*range(1, parts + 1), parts + 3]


def test_a_pulse_is_over_in_time_when_the_runtime_is_stopped_and_the_line_goes_on(
    chip: RecordedChip, environment: dict[str, str]
) -> None:
    with running(chip, environment, 300) as child:
        begun_s = begin_pass(chip)
        os.kill(child.pid, signal.SIGSTOP)
        pulse_s(chip, begun_s)
        beats = len(chip.of(HEARTBEAT))
        time.sleep(0.3)
        assert len(chip.of(HEARTBEAT)) == beats
        os.kill(child.pid, signal.SIGCONT)
        part(chip)

        # the process that holds the outputs is killed: another one has them, inactive
        begin_pass(chip)
        keeper = keeper_of(child)
        assert keeper
        os.kill(keeper, signal.SIGKILL)
        until(lambda: keeper_of(child) not in (0, keeper) and not chip.levels[PASS] and chip.levels[READY])
        part(chip)

        # the chip is pulled and put back
        chip.unplug()
        until(lambda: not chip.held)
        chip.plug_in()
        until(lambda: chip.holder(PASS) is not None and chip.holder(TRIGGER) is not None)
        part(chip)
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=3 * PATIENCE_S)
    assert child.returncode == 0, said
    assert "no part passes; opening it again until it is there" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_amid_a_pulse_that_lasts_the_end_of_the_runtime_is_that_of_the_pulse(
    how: signal.Signals, chip: RecordedChip, environment: dict[str, str]
) -> None:
    with running(chip, environment, 10_000) as child:
        begun_s = begin_pass(chip)
        os.kill(child.pid, how)
        assert pulse_s(chip, begun_s) < 9.0
        child.communicate(timeout=PATIENCE_S)
        assert child.returncode == (0 if how is signal.SIGTERM else -signal.SIGKILL)
    assert [chip.levels[line] for line in OUTPUTS] == [False, True, False, False, False]


def test_a_pass_on_its_way_to_the_gate_is_not_given_once_the_line_is_held_or_paused(
    chip: RecordedChip, environment: dict[str, str]
) -> None:
    config = chip.path.with_name("gpio.yaml")
    config.write_text(GATE_DOWNSTREAM.format(chip=chip.path))
    passes = {"hold": False, "bypass, hold": True, "bypass, pause": False}
    line = [sys.executable, "-c", TAKE_BACK, str(config), *passes]
    with subprocess.Popen(line, env=environment | chip.environment, stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "trigger\n"
            found = []
            for _ in passes:
                before = chip.of(PASS).count(True)
                chip.edge(TRIGGER, True)
                chip.edge(TRIGGER, False)
                assert child.stdout.readline() in ("trigger\n", "ended\n")
                found.append(chip.of(PASS).count(True) > before)
            _, said = child.communicate(timeout=PATIENCE_S)
        finally:
            child.kill()
    assert dict(zip(passes, found, strict=True)) == passes
    assert said.count("was of a part before the gate when the line was held or paused, and was not given") == 2
    until(lambda: not chip.held)


def safe(chip: RecordedChip, environment: dict[str, str], config: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "runtime.line.gpio_safe", str(config)]
    return subprocess.run(line, env=environment | chip.environment, capture_output=True, text=True, timeout=120)


def test_lines_that_were_left_active_are_driven_to_their_safe_level(
    chip: RecordedChip, environment: dict[str, str]
) -> None:
    chip.levels[PASS], chip.levels[REJECT], chip.levels[READY] = True, False, True
    done = safe(chip, environment, written(chip, 50))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"pass, reject, ready, strobe, heartbeat of {chip.path} are inactive\n"
    assert [chip.levels[line] for line in OUTPUTS] == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("busy", {PASS: "someone"}), "line 22, which someone has, of .* cannot be had"),
        (("name", "LINE17"), "has no line LINE99"),
        (("chip", "chip: /dev/null"), "/dev/null is no GPIO chip that can be used"),
        (("chip", "chip: /nowhere"), "/nowhere is no GPIO chip that can be used"),
        (("twice", "line: LINE22"), "two names are of one line"),
    ],
)
def test_lines_that_cannot_be_had_are_one_sentence(
    change: tuple[str, object], said: str, chip: RecordedChip, environment: dict[str, str]
) -> None:
    what, value = change
    path = written(chip, 50)
    if what == "busy":
        chip.busy = {PASS: "someone"}
    elif what == "name":
        path.write_text(path.read_text().replace("LINE17", "LINE99"))
    elif what == "chip":
        path.write_text(path.read_text().replace(f"chip: {chip.path}", str(value)))
    else:
        path.write_text(path.read_text().replace("line: 25", str(value)))
    line = [sys.executable, "-c", OPEN, str(path)]
    done = subprocess.run(line, env=environment | chip.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert re.search(said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_outputs_that_cannot_be_had_end_the_command_with_one_sentence(
    chip: RecordedChip, environment: dict[str, str]
) -> None:
    chip.busy = {REJECT: "gpioset"}
    words = [
        sys.executable,
        "-m",
        "runtime.line",
        DEMO,
        "--camera",
        "demo",
        "--threads",
        1,
        "--gpio",
        written(chip, 50),
    ]
    done = subprocess.run(
        list(map(str, words)), env=environment | chip.environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert "error: line 23, which gpioset has, of" in done.stderr
    assert "Traceback" not in done.stderr
