"""The line's command and a real broker: from a command to a verdict, the last will, and the end."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from line_samples import ROOT, command
from mqtt_broker import check_all

from benchmarks.line.broker import PLACE, broker, peer
from runtime.errors import InputError
from runtime.line.bindings import open_bindings
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.mqtt import open_mqtt
from runtime.line.registers import FROM_RUNTIME, values_of
from runtime.line.results import Cause, Code, Outcome, Part
from runtime.publishing.documents import now_ms
from runtime.publishing.tables import message_tables

DEMO = ROOT / "runtime" / "data" / "demo.onnx"
PARTS = 6


def test_commands_trigger_the_demo_line_and_every_verdict_comes(environment: dict[str, str], tmp_path: Path) -> None:
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        old = {"command": "trigger", "id": "old", "sent_at_ms": now_ms(), "part_id": 99}
        seen.send(old, retain=True)
        asked_for = f"127.0.0.1:{mosquitto.port}?{PLACE}&commands=yes&period_ms=100&command_age_ms=30000"
        words = (DEMO, "--camera", "demo", "--mqtt", asked_for, "--deadline-ms", 20_000, "--threads", 1)
        with command(environment, *words) as child:
            assert "retained" in seen.wait("answer", lambda each: each["id"] == "old")["reason"]
            seen.wait("registers", lambda each: each["registers"]["trigger_ready"])
            for number in range(1, PARTS + 1):
                values = {"part_id": number, "serial": f"A-{number}", "order": "7"}
                answer = seen.ask("trigger", f"t-{number}", **values)
                assert answer["done"], answer
                verdict = seen.wait("verdict", lambda each, number=number: each["part_id"] == str(number))
                assert (verdict["serial"], verdict["order"], verdict["mode"]) == (f"A-{number}", "7", "RUN")
                assert verdict["acquisition_id"] == answer["acquisition_id"] == number
                assert (verdict["code"] == "OK") == (verdict["score"] <= verdict["threshold"])
                held = seen.wait("registers", lambda each, verdict=verdict: each["verdict"] == verdict["id"])
                assert_same(held["registers"], verdict)
                assert seen.ask("acknowledge", f"a-{number}", verdict=verdict["id"])["done"]
            assert seen.ask("set_offline", "off", offline=True)["done"]
            assert seen.ask("trigger", "t-off", part_id=50)["cause"] == "OFFLINE"
            assert seen.wait("event")["part_id"] == "50"
            seen.send(b"garbage")
            assert seen.wait("answer", lambda each: each["id"] is None)["reason"] == "the command is no JSON in UTF-8"
            child.send_signal(signal.SIGTERM)
            _, said = child.communicate(timeout=60)
        assert child.returncode == 0, said
        assert f"{PARTS} triggers accepted, 1 refused" in said
        assert seen.wait("status", lambda each: not each["running"])["why"] == "stopped"
        time.sleep(0.2)
        assert seen.of("status")[-1]["why"] == "stopped"
        check_all(seen)
    assert {each["code"] for each in seen.of("verdict")} == {"OK", "NG"}
    assert len({each["id"] for each in seen.of("verdict")}) == PARTS


def assert_same(registers: dict[str, Any], verdict: dict[str, Any]) -> None:
    """The registers of a result and the verdict say the same."""
    assert registers["results_valid"]
    assert registers["job_pass"] == (verdict["code"] == "OK")
    assert registers["result_code"] == Code[verdict["code"]]
    assert registers["result_cause"] == Cause[verdict["cause"]]
    assert registers["result_mode"] == 0
    assert registers["session_id"] == verdict["session_id"]
    for name in ("inspection_id",):
        assert registers[name] == verdict[name]
    assert registers["result_acquisition_id"] == verdict["acquisition_id"]
    assert str(registers["result_part_id"]) == verdict["part_id"]
    assert registers["result_serial"] == verdict["serial"]
    assert registers["result_order"] == verdict["order"]
    assert registers["score"] == pytest.approx(verdict["score"], rel=1e-6)  # of 32 bits
    assert registers["threshold"] == pytest.approx(verdict["threshold"], rel=1e-6)
    assert registers["took_ms"] == int(verdict["took_ms"])


def test_a_runtime_that_is_killed_leaves_its_last_will(environment: dict[str, str], tmp_path: Path) -> None:
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        asked_for = f"127.0.0.1:{mosquitto.port}?{PLACE}"
        words = (DEMO, "--socket", tmp_path / "line.sock", "--mqtt", asked_for, "--threads", 1)
        with command(environment, *words) as child:
            running = seen.wait("status", lambda each: each["running"])
            seen.wait("registers")
            child.kill()
            lost = seen.wait("status", lambda each: not each["running"])
        assert (lost["why"], lost["session_id"]) == ("lost", running["session_id"])
        assert not running["commands"]
        with peer(mosquitto, name="latecomer") as late:
            assert late.wait("status")["why"] == "lost"
        check_all(seen)


def test_names_and_values_are_those_of_the_register_table_and_whoever_observes_sees_no_result(tmp_path: Path) -> None:
    now_s = [100.0]
    handshake = Handshake(1.0, clock=lambda: now_s[0])
    handshake.ready()
    levels = Levels(handshake)
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        with open_mqtt(levels, f"127.0.0.1:{mosquitto.port}?{PLACE}&period_ms=20") as binding:
            assert not binding.controls
            handshake.trigger(Part(3, "ü", "o"))
            handshake.finish(1, Outcome(Code.OK, Cause.NONE, "", 1.0, 2.0))
            handshake.trigger(Part(2**32))  # refused
            seen.wait("event")
            last = seen.wait("registers", lambda each: each["registers"]["missed"])
            expected = values_of(FROM_RUNTIME, levels.read(sees=False))
        check_all(seen)
    assert list(last["registers"]) == [each.name for each in FROM_RUNTIME]
    assert last["registers"] == expected
    assert (last["registers"]["waiting"], last["registers"]["results_valid"], last["verdict"]) == (1, False, None)
    for register in FROM_RUNTIME:
        value = last["registers"][register.name]
        assert isinstance(value, bool) == (register.kind == "bit"), register.name
        assert isinstance(value, str) == (register.kind == "text"), register.name
    now_s[0] += 60.0
    result = handshake.view().result
    assert result is not None
    assert (result.code, result.cause) == (Code.NO_DECISION, Cause.LATE)  # a pass that nobody saw grew old


def test_what_stands_in_a_webhooks_url_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "hook.key"
    key.write_text("A" * 44)
    asked = {"socket": "x", "webhook": f"http://127.0.0.1:9/T0PSECRET?token=hunter2#key_file={key}&{PLACE}"}
    with open_bindings(Levels(Handshake(1.0)), asked):
        pass
    said = capsys.readouterr().err
    assert "webhook at 127.0.0.1:9" in said
    assert "T0PSECRET" not in said
    assert "hunter2" not in said


def test_a_command_without_commands_is_nobodys(tmp_path: Path) -> None:
    handshake = Handshake(10.0)
    handshake.ready()
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        with open_mqtt(Levels(handshake), f"127.0.0.1:{mosquitto.port}?{PLACE}&period_ms=50"):
            seen.wait("status")
            seen.send({"command": "trigger", "id": "1", "sent_at_ms": now_ms(), "part_id": 1})
            time.sleep(0.3)
        assert not seen.of("answer")
    assert handshake.view().accepted == 0


def test_commands_of_an_outage_are_not_replayed(tmp_path: Path) -> None:
    handshake = Handshake(10.0)
    handshake.ready()
    asked_for = f"?{PLACE}&commands=yes&period_ms=50"
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        with open_mqtt(Levels(handshake), f"127.0.0.1:{mosquitto.port}{asked_for}"):
            seen.wait("status", lambda each: each["running"])
        seen.wait("status", lambda each: each["why"] == "stopped")
        between_ms = now_ms()
        seen.send({"command": "trigger", "id": "1", "sent_at_ms": between_ms, "part_id": 1})
        with open_mqtt(Levels(handshake), f"127.0.0.1:{mosquitto.port}{asked_for}"):
            seen.wait("status", lambda each: each["running"] and each["started_at_ms"] >= between_ms)
            assert seen.ask("mode", "2", mode="RUN")["done"]
        assert [each["id"] for each in seen.of("answer")] == ["2"]
    assert handshake.view().accepted == 0


def test_the_page_has_the_tables_of_the_messages(environment: dict[str, str]) -> None:
    page = (ROOT / "runtime" / "publishing" / "README.md").read_text()
    assert message_tables() in page, "python -m runtime.line --topics"
    line = [sys.executable, "-m", "runtime.line", "--topics"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == message_tables() + "\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"mqtt": f"127.0.0.1?{PLACE}"},
            "nobody could trigger parts; .*--mqtt with commands=yes",
        ),
        ({"mqtt": f"127.0.0.1?{PLACE}&commands=yes", "socket": "x"}, "--socket and --mqtt would control the line"),
        ({"mqtt": "127.0.0.1", "socket": "x"}, "does not say site"),
        ({"webhook": "https://me:pw@a/", "socket": "x"}, "has a user, a password or a space"),
    ],
)
def test_what_could_not_work_is_one_sentence(asked: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_bindings(Levels(Handshake(1.0)), asked)
