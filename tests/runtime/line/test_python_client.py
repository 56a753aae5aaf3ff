"""The Python client against a runtime that says what it should not: an error, and no pass."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
