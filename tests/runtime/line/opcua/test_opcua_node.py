"""The line over OPC UA, with node-opcua on the other side, which is no kin of the server's library.

The peer is ``node/controller.js``; ``npm ci --ignore-scripts`` in that folder installs what it needs.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncua", reason="OPC UA IS NOT TESTED here: pip install 'proctor[opcua]'")

from opcua_samples import served
from test_opcua_access import PASSWORD, certified
from test_opcua_server import Switching
from waiting import free_port

from runtime.line.handshake import Handshake
from runtime.line.opcua.nodes import TYPES, registers
from runtime.line.registers import MAP_VERSION, TO_RUNTIME
from runtime.line.results import Cause, Code
from runtime.passwords import hashed

ROOT = Path(__file__).parents[4]
DEMO = ROOT / "runtime" / "data" / "demo.onnx"
PEER = Path(__file__).parent / "node"
START_S = 120.0  # on a machine with much else to do
PARTS = 12

NODE = shutil.which("node")
HAS_PEER = NODE is not None and (PEER / "node_modules" / "node-opcua-client").is_dir()
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        not HAS_PEER,
        reason=f"NODE-OPCUA IS NOT TESTED here: apt-get install nodejs npm; npm ci --ignore-scripts --prefix {PEER}",
    ),
]


class Peer:
    """The peer's program: each request is of a client of its own."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child

    def begin(self, port: int, *words: object) -> None:
        """Have it do something."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps([f"opc.tcp://127.0.0.1:{port}", *words]) + "\n")
        self.child.stdin.flush()

    def line(self) -> str:
        """The next line that it prints."""
        assert self.child.stdout is not None
        found = self.child.stdout.readline()
        assert found, f"it ended with status {self.child.wait(START_S)}"
        return found.strip()

    def answer(self) -> dict[str, Any]:
        """What it found, or its error."""
        while not (line := self.line()).startswith("{"):
            pass
        found: dict[str, Any] = json.loads(line)
        return found

    def __call__(self, port: int, *words: object) -> dict[str, Any]:
        """What it finds, or its error."""
        self.begin(port, *words)
        return self.answer()


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """One for all tests: loading its library and making its key take seconds."""
    line = [str(NODE), str(PEER / "controller.js"), str(tmp_path_factory.mktemp("peer"))]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        yield Peer(child)
        child.kill()


@contextmanager
def command(environment: dict[str, str], port: int) -> Iterator[subprocess.Popen[str]]:
    """The line's command, serving; killed at the end if it is still there."""
    words = [
        DEMO,
        "--camera",
        "demo?seed=3",
        "--opcua",
        f"127.0.0.1:{port}",
        "--deadline-ms",
        "20000",
        "--threads",
        "1",
    ]
    line = [sys.executable, "-m", "runtime.line", *map(str, words)]
    child = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until_s = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert child.poll() is None, child.communicate()
                assert time.monotonic() < until_s
                time.sleep(0.05)
        yield child
    finally:
        child.kill()
        child.communicate()


def sockets(child: subprocess.Popen[str]) -> set[tuple[str, str]]:
    """Local and remote addresses of all TCP sockets of a process, of IPv4 and IPv6."""
    links = [os.readlink(each) for each in Path(f"/proc/{child.pid}/fd").iterdir()]
    held = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")}
    rows = [
        row.split()
        for kind in ("tcp", "tcp6", "udp", "udp6")
        for row in Path(f"/proc/{child.pid}/net/{kind}").read_text().splitlines()[1:]
    ]
    return {(row[1], row[2]) for row in rows if row[9] in held}


def test_the_real_line_serves_another_library_by_methods_levels_and_events(
    environment: dict[str, str], peer: Peer
) -> None:
    port = free_port()
    with command(environment, port) as line:
        assert peer(port, "table")["found"] == [
            [name, register.name, TYPES[register.kind], table is TO_RUNTIME, register.meaning]
            for name, (table, register) in registers().items()
        ]
        found = peer(port, "parts", PARTS)["found"]
        assert [each["answer"] for each in found["parts"]] == [[True, n, Cause.NONE, ""] for n in range(1, PARTS + 1)]
        results = [each["result"] for each in found["parts"]]
        assert all(each["taken"] == [True] for each in found["parts"])
        assert [each[2:7] for each in results] == [[n, n, n, f"S{n}", "batch"] for n in range(1, PARTS + 1)]
        assert all(each[0] and each[1] == (each[7] == Code.OK) for each in results)
        assert {each[7] for each in results} == {Code.OK, Code.NG}
        assert [each for each in found["changes"] if each] == list(range(1, PARTS + 1))
        rejected = [[400, each[4], each[7], each[8], each[9], False] for each in results if each[7] != Code.OK]
        told = [[each[0], *each[2:]] for each in found["events"]]
        assert told == [*rejected, [700, 99, 0, Cause.OFFLINE, "set offline", True]]
        assert (found["written"], found["refused"]) == ("Good", [False, 0, Cause.OFFLINE, "set offline"])
        levels = peer(port, "levels", PARTS)["found"]
        assert [[part, serial] for part, _, _, serial in levels] == [[n, f"S{n}"] for n in range(1, PARTS + 1)]
        assert all(passes == (code == Code.OK) for _, code, passes, _ in levels)
        assert sockets(line) == {(f"0100007F:{port:04X}", "00000000:0000")}  # it listens, and goes nowhere
        line.send_signal(signal.SIGTERM)
        said, complained = line.communicate(timeout=START_S)
    assert (line.returncode, said) == (0, ""), complained
    assert f"{2 * PARTS} triggers accepted, 1 refused" in complained
    assert not any(word in complained for word in ("Traceback", "asyncua", "WARNING"))


def test_a_line_that_was_killed_and_started_again_is_found_under_another_session(
    environment: dict[str, str], peer: Peer
) -> None:
    port = free_port()
    with command(environment, port) as line:
        peer.begin(port, "watch")
        while peer.line() != "watching":
            pass
        line.kill()
        line.wait(START_S)
    with command(environment, port):
        assert len(set(peer.answer()["found"])) == 2


def test_another_library_switches_recipes(peer: Peer) -> None:
    handshake = Handshake(60.0)
    with served(handshake=handshake, levels=Switching(handshake)) as line:
        switched = peer(line.server.port, "recipe", "bottle@3")["found"]
        assert switched == {"status": "Good", "gives": [True, "bottle", 3, ""]}
        assert peer(line.server.port, "recipe", "cap")["found"]["gives"] == [False, "bottle", 3, "refused"]


def test_another_library_comes_in_with_certificate_and_password_alone(peer: Peer, tmp_path: Path) -> None:
    certificate, key = certified(tmp_path, "server")
    (tmp_path / "users.yaml").write_text(f"anna: {hashed(PASSWORD)}\n")
    with served(f"?certificate={certificate}&key={key}&users={tmp_path}/users.yaml") as line:
        port = line.server.port
        for mode in ("Sign", "SignAndEncrypt"):
            assert peer(port, "login", "anna", PASSWORD, mode) == {"found": MAP_VERSION}
        assert "BadUserAccessDenied" in peer(port, "login", "anna", "wrong", "SignAndEncrypt")["error"]
        assert "End point must exist" in peer(port, "login", "anna", PASSWORD)["error"]
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted" / "server.pem").write_bytes(certificate.read_bytes())  # and not the peer's
    options = f"certificate={certificate}&key={key}&users={tmp_path}/users.yaml&trust={tmp_path}/trusted"
    with served(f"?{options}") as line:
        found = peer(line.server.port, "login", "anna", PASSWORD, "SignAndEncrypt")
        assert "BadCertificateUntrusted" in found["error"]
