"""The line as a service: a unit that systemd accepts, and what the service tells systemd."""

import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli import BROKE_DOWN, REFUSED
from runtime.errors import InputError
from runtime.line.gpio_keeper import REALTIME_PRIORITY
from runtime.line.handshake import Handshake
from runtime.line.results import Cause
from runtime.service.notify import Notifier
from runtime.service.unit import Unit

pytestmark = pytest.mark.peer

DEMO = Path(__file__).parents[3] / "runtime" / "data" / "demo.onnx"
START_S = 60.0


@pytest.fixture
def systemd(tmp_path: Path) -> socket.socket:
    """The socket that systemd listens on."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.settimeout(START_S)
    return listening


def test_it_says_ready_alive_and_stopping(systemd: socket.socket, environment: dict[str, str], tmp_path: Path) -> None:
    line = [sys.executable, "-m", "runtime.line", DEMO, "--socket", tmp_path / "line.sock", "--threads", "1"]
    child = subprocess.Popen(
        list(map(str, line)), env=environment | {"NOTIFY_SOCKET": str(tmp_path / "notify")}, stderr=subprocess.PIPE
    )
    try:
        with systemd:
            assert systemd.recv(1000).splitlines()[0] == b"READY=1"
            assert [systemd.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            child.send_signal(signal.SIGTERM)
            said = b""
            while said != b"STOPPING=1":
                said = systemd.recv(1000)
        assert child.wait(START_S) == 0
    finally:
        child.kill()
        child.communicate()


def test_a_line_that_is_held_feeds_no_watchdog(systemd: socket.socket, tmp_path: Path) -> None:
    notifier, handshake = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}), Handshake(1.0)

    def passes(count: int) -> int:
        """How often the watchdog is fed in so many passes of the inference loop."""
        for _ in range(count):
            handshake.beat()
            notifier.alive(lambda: handshake.heartbeat)
        notifier.status("counted")
        fed = 0
        while systemd.recv(1000) == b"WATCHDOG=1":
            fed += 1
        return fed

    with systemd:
        assert passes(3) == 3
        handshake.hold(Cause.HELD, "the self-check was wrong")
        assert passes(3) == 0
        handshake.release()
        assert passes(3) == 3


def test_without_systemd_nothing_is_sent_and_a_socket_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    Notifier({}).ready("x")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("x")


def test_while_it_loads_another_detector_systemd_waits_longer_for_a_sign_of_life(
    systemd: socket.socket, tmp_path: Path
) -> None:
    for usec, expected in (("10000000", b"WATCHDOG_USEC=300000000"), ("", None)):
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": usec})
        notifier.reloading(300.0)
        rows = systemd.recv(1000).splitlines()
        assert rows[0] == b"RELOADING=1"
        assert rows[1].startswith(b"MONOTONIC_USEC=")
        assert rows[2:] == ([expected] if expected else [])
        notifier.ready("serving")
        assert systemd.recv(1000).splitlines()[2:] == ([b"WATCHDOG_USEC=10000000"] if expected else [])
    systemd.close()


def test_systemd_accepts_the_unit(tmp_path: Path, environment: dict[str, str]) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("THE UNIT IS NOT TESTED here: apt-get install systemd")
    folder = tmp_path / 'a "folder" of 100% $HOME'
    folder.mkdir()
    path = tmp_path / "bottle.service"
    words = ["--name", "bottle", "--cores", "0-2", "--realtime", "5", "--out", path, "--"]
    line = [DEMO, "--camera", "aravis:10.0.0.5", "--modbus", "127.0.0.1:5020", "--records", "all records?days=90"]
    command = [sys.executable, "-m", "runtime.service", *map(str, [*words, *line])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert '"all records?days=90"' in text
    assert "--wait-for-camera" in text
    assert "CPUSchedulingPolicy=rr\nCPUSchedulingPriority=5\n" in text
    assert f"WorkingDirectory={str(folder).replace('%', '%%')}\n" in text
    found = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    ours = [row for row in found.stderr.splitlines() if "bottle.service" in row]
    assert ours == []
    path.write_text(text.replace("Restart=always", "Restart=sometimes"))
    found = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert any("bottle.service" in row for row in found.stderr.splitlines())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "is missing"),
        (["--", DEMO], "--socket PATH"),
        (["--", DEMO, "--camera", "v4l2:0", "--modbus", "127.0.0.1:0"], "use the stream, without a line,"),
        (["--", DEMO, "--camera", "demo", "--webhook", "http://h/#key_file=k"], "nobody could trigger the camera"),
        (["--", DEMO, "--socket", "x", "--gate", "parts=x"], "gate"),
        (["--name", "a b", "--", DEMO, "--socket", "x"], "the service's name"),
        (["--cores", "all", "--", DEMO, "--socket", "x"], "the cores are"),
        (["--realtime", "0", "--", DEMO, "--socket", "x"], "the real-time priority is 0"),
        (["--nice", "30", "--", DEMO, "--socket", "x"], "nice is 30"),
        (["--user", "a;b", "--", DEMO, "--socket", "x"], "the user is"),
    ],
)
def test_a_service_that_could_not_run_is_refused(words: list[object], said: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "runtime.service", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_digital_outputs_are_driven_to_their_safe_level_at_each_end(environment: dict[str, str]) -> None:
    words = ["-m", "runtime.service", "--", DEMO, "--camera", "demo", "--gpio", "wired at 100%.yaml"]
    done = subprocess.run([sys.executable, *map(str, words)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ExecStopPost=")]
    assert line.endswith('-m runtime.line.gpio_safe "wired at 100%%.yaml"')
    assert f"LimitRTPRIO={REALTIME_PRIORITY}" in done.stdout.splitlines()
    assert "gpio" not in Unit("x", ("detector.onnx",), Path("/srv")).text()


@pytest.mark.parametrize(
    ("path", "made"),
    [("/run/proctor/line.sock", "proctor"), ("/run/a b/c/line.sock", '"a b/c"'), ("/run/line.sock", None), ("x", None)],
)
def test_the_folder_of_a_socket_below_run_is_there_after_each_boot(
    path: str, made: str | None, environment: dict[str, str]
) -> None:
    words = ["-m", "runtime.service", "--", str(DEMO), "--socket", path]
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [line for line in done.stdout.splitlines() if line.startswith("RuntimeDirectory=")]
    assert found == ([] if made is None else [f"RuntimeDirectory={made}"])


def test_what_another_start_may_cure_is_started_again() -> None:
    lines = Unit("x", ("detector.onnx",), Path("/srv")).text().splitlines()
    assert "Restart=always" in lines
    (prevented,) = [line for line in lines if line.startswith("RestartPreventExitStatus=")]
    assert prevented.partition("=")[2].split() == [str(REFUSED)]
    assert BROKE_DOWN != REFUSED


def test_words_reach_the_program_as_they_are() -> None:
    unit = Unit("x", ("a b", 'c"d', "50%", "$HOME", "e\\f"), Path("/srv"))
    (line,) = [line for line in unit.text().splitlines() if line.startswith("ExecStart=")]
    assert line.endswith(r'''-m runtime.line "a b" "c\"d" 50%% "$$HOME" "e\\f"''')
    with pytest.raises(InputError, match="line break"):
        Unit("x", ("a\nb",), Path("/srv")).text()


def test_the_command_to_install_a_unit_can_be_pasted(tmp_path: Path, environment: dict[str, str]) -> None:
    out = tmp_path / "my unit.service"
    words = ["--name", "bottle", "--out", out, "--", DEMO, "--socket", tmp_path / "line.sock"]
    command = [sys.executable, "-m", "runtime.service", *map(str, words)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    copy = said.partition("As root: ")[2].partition(";")[0]
    assert shlex.split(copy) == ["cp", str(out), "/etc/systemd/system/bottle.service"]
