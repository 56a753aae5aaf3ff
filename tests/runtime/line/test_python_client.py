"""The Python client against a runtime that says what it should not: an error, and no pass."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from line_samples import GREY, PATIENCE_S, SIZE_HW

from runtime.errors import LineError
from runtime.line.python_client import LineClient
from runtime.line.results import Part
from runtime.line.wire import ACCEPTED, CLOSED, MOST_BYTES, REFUSED, RESULT, WELCOME, pack, unpack

Serve = Callable[[socket.socket], None]


@contextmanager
def connected_to(path: Path, serve: Serve) -> Iterator[LineClient]:
    """A client that was welcomed by a server of the test's, which then does what it likes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen(1)
        listening.settimeout(PATIENCE_S)

        def once() -> None:
            line, _ = listening.accept()
            with line:
                line.settimeout(PATIENCE_S)
                line.recv(MOST_BYTES)
                line.send(pack(WELCOME, {"session_id": 1, "map_version": 1, "deadline_ns": 10**9}))
                serve(line)

        thread = threading.Thread(target=once)
        thread.start()
        try:
            with LineClient(path, SIZE_HW, timeout_s=PATIENCE_S) as client:
                yield client
        finally:
            thread.join()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (pack(CLOSED, {"why": 99, "reason": "of a later runtime"}), r"ended the connection \(99\): of a later runtime"),
        (pack(REFUSED, {"cause": 99}, 1), "a refusal that this client does not know"),
        (pack(RESULT, {"code": 99}), "a result that this client does not know"),
        (pack(ACCEPTED, {}, 2), "accepted came, which nothing asked for"),
        (b"no message at all", "the runtime sent what is no message"),
    ],
)
def test_what_a_client_does_not_know_is_an_error_and_ends_its_use(tmp_path: Path, message: bytes, words: str) -> None:
    def serve(line: socket.socket) -> None:
        assert unpack(line.recv(MOST_BYTES), exact=True).layout.name == "trigger"
        line.send(message)

    with connected_to(tmp_path / "line.sock", serve) as client:
        with pytest.raises(LineError, match=words):
            client.trigger(GREY, Part(1), timeout_s=PATIENCE_S)
        with pytest.raises(LineError, match="connect again"):
            client.result(0.0)


def mappings() -> int:
    """Of clients' pictures, in this process."""
    return Path("/proc/self/maps").read_text().count("memfd:proctor")


def test_a_runtime_that_is_gone_is_a_line_error_around_the_client_and_its_memory_is_given_up(tmp_path: Path) -> None:
    before = mappings()
    with (
        pytest.raises(LineError, match=r"the runtime is gone|the connection broke") as gone,
        connected_to(tmp_path / "line.sock", lambda line: line.close()) as client,
    ):
        client.trigger(GREY, Part(1), timeout_s=PATIENCE_S)
    assert mappings() == before
    assert gone.tb is not None  # somebody keeps the error, and so what its frames refer to


def test_copying_a_picture_that_is_interrupted_stays_an_interrupt_and_the_client_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(into: object, image: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "copyto", interrupted)
    with pytest.raises(KeyboardInterrupt), connected_to(tmp_path / "line.sock", lambda line: None) as client:
        client.trigger(GREY, Part(1), timeout_s=PATIENCE_S)
