"""The I/O test: a controller is answered, told apart from an inspection, and nothing passes unless it is forced."""

import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest
from line_samples import GREY, PATIENCE_S, SIZE_HW, command, once_ready
from modbus_controller import answering, connected, reading, seen_when, writing
from waiting import free_port, until

from runtime.line.python_client import Accepted
from runtime.line.results import Code, Mode, Part

io_test = partial(command, module="runtime.line.io_test")


def ended(child: subprocess.Popen[str]) -> str:
    child.send_signal(signal.SIGTERM)
    out, said = child.communicate(timeout=60)
    assert child.returncode == 0, said
    return out + said


def test_a_modbus_controller_is_told_what_its_mode_forces(environment: dict[str, str]) -> None:
    port = free_port()
    with io_test(environment, "--modbus", f"127.0.0.1:{port}") as child, connected(port) as client:
        answering(client, child)
        read, write = reading(client), writing(client)
        found = {}
        for mode in Mode:
            if mode is Mode.DRY_RUN:
                continue
            part = {"trigger_enable": True, "part_id": mode + 10, "mode": mode, "serial": f"A-{mode}"}
            write(part)
            seen_when(read, "trigger_ready")  # it listens before it is ready
            write(part | {"trigger": True})
            seen = seen_when(read, "results_valid")
            found[mode] = (seen["result_code"], seen["job_pass"])
            write(part | {"results_acknowledge": True})
            write(part)
        heart = read()["heartbeat"]
        until(lambda: read()["heartbeat"] != heart, "a heartbeat", PATIENCE_S)
        said = ended(child)
    assert found == {
        Mode.RUN: (Code.NO_DECISION, False),
        Mode.FORCED_OK: (Code.OK, True),
        Mode.FORCED_NG: (Code.NG, False),
        Mode.FORCED_NO_DECISION: (Code.NO_DECISION, False),
        Mode.BYPASS: (Code.OK, True),
    }
    assert "part 11 serial A-1, mode FORCED_OK: OK" in said
    assert "5 triggers accepted, 0 refused" in said


@pytest.mark.parametrize("result", ["OK", None])
def test_a_controller_at_the_socket_is_told_what_was_asked_for(
    environment: dict[str, str], tmp_path: Path, result: str | None
) -> None:
    path = tmp_path / "line.sock"
    with io_test(environment, "--socket", path, *(["--result", result] if result else [])) as child:
        with once_ready(path, SIZE_HW) as line:
            assert isinstance(line.trigger(GREY, Part(5), timeout_s=PATIENCE_S), Accepted)
            told = line.result(PATIENCE_S)
        assert told is not None
        assert told.code is (Code.OK if result else Code.NO_DECISION)
        ended(child)


def test_without_a_controller_it_says_what_to_give(environment: dict[str, str]) -> None:
    with io_test(environment) as child:
        _, said = child.communicate(timeout=60)
    assert child.returncode == 2
    assert "give one controller: --socket, --modbus" in said
