"""A webhook's receiver by Python's own server: ``python -m benchmarks.line.receiver PORT KEY_FILE``.

It checks each signature by nothing of ours, and as a program prints each document that it took as a line of JSON, so
that it can be killed or made to hang.
"""

import base64
import hashlib
import hmac
import json
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.line.processes import until
from runtime.errors import InputError

FRESH_S = 60.0  # a document that was signed longer ago is refused
LISTENS = "listens"


class Receiver:
    """Takes what is signed with a key, from its own thread, and answers 204; other statuses before that, if asked."""

    def __init__(
        self,
        key: bytes,
        port: int = 0,
        tls: Path | None = None,
        took: Callable[[dict[str, Any]], None] = lambda document: None,
    ) -> None:
        """`tls` is a folder with ``server.crt`` and ``server.key``; `took` is called before the answer."""
        self.documents: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.statuses: list[int] = []  # to answer with, before it works
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not verified(key, dict(self.headers.items()), body):
                    self.send_error(401, "the signature is wrong")
                    return
                receiver.paths.append(self.path)
                status = receiver.statuses.pop(0) if receiver.statuses else 204
                if status < 300:
                    document = json.loads(body)
                    receiver.documents.append(document)
                    took(document)
                self.send_response(status)
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "server.crt", tls / "server.key")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # of peers that leave
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def verified(key: bytes, headers: dict[str, str], body: bytes) -> bool:
    """As Standard Webhooks says, by nothing of ours; and not older than a minute."""
    headers = {name.lower(): value for name, value in headers.items()}
    stamp = headers["webhook-timestamp"]
    signed = hmac.new(key, f"{headers['webhook-id']}.{stamp}.".encode() + body, hashlib.sha256).digest()
    is_fresh = abs(time.time() - int(stamp)) < FRESH_S
    return is_fresh and headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"


class ReceiverProgram:
    """A receiver in a process of its own, which can be killed and started again; all that it ever took, in order."""

    def __init__(self, port: int, key_file: Path) -> None:
        """It is not started yet. The file has the key in Base64."""
        self.documents: list[dict[str, Any]] = []
        self._words = [sys.executable, "-m", "benchmarks.line.receiver", str(port), str(key_file)]
        self._child: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._listens = threading.Event()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._listens.clear()
        self._child = subprocess.Popen(self._words, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, args=(self._child.stdout,))
        self._thread.start()
        until(self._listens.is_set, "the webhook's receiver")

    def hang(self) -> None:
        """Stop it from running. Raises `InputError` where it does not run."""
        if self._child is None:
            raise InputError("the webhook's receiver does not run")
        self._child.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._child is None or self._thread is None or self._child.stdout is None:
            return
        self._child.kill()
        self._child.wait()
        self._thread.join()
        self._child.stdout.close()
        self._child = None

    def _read(self, lines: Iterator[str]) -> None:
        for line in lines:
            if line.strip() == LISTENS:
                self._listens.set()
            else:
                self.documents.append(json.loads(line))


@contextmanager
def receiver_program(port: int, key_file: Path) -> Iterator[ReceiverProgram]:
    """One that listens, and is killed at the end."""
    found = ReceiverProgram(port, key_file)
    try:
        found.start()
        yield found
    finally:
        found.kill()


def main() -> None:
    port, key_file = int(sys.argv[1]), Path(sys.argv[2])

    def say(document: dict[str, Any]) -> None:
        print(json.dumps(document), flush=True)

    Receiver(base64.b64decode(key_file.read_text()), port, took=say)
    print(LISTENS, flush=True)


if __name__ == "__main__":
    main()
