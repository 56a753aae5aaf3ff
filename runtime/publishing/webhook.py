"""Posts to a webhook over HTTP(S), in a thread of its own: whatever the receiver does, the line goes on.

Each document is one POST over a connection of its own, signed as Standard Webhooks (standardwebhooks.com) has it. The
receiver's answer is its status alone: no redirect is followed, and no body is read.
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from runtime.bounds import check_between
from runtime.errors import InputError
from runtime.pauses import Pauses
from runtime.publishing.credentials import read_secret
from runtime.publishing.documents import Queued, Writer
from runtime.publishing.mqtt_options import place_of
from runtime.publishing.outbox import MOST_QUEUED, QUEUE, Outbox
from runtime.publishing.place import Place
from runtime.publishing.publisher import Complaints, Publisher
from runtime.query import options_in
from runtime.tls import client_context

log = logging.getLogger("proctor.webhook")

TIMEOUT_MS = 10_000.0  # for the connection, and for all of an exchange
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
CLOSE_S = 5.0  # for what waits
REFUSES = (400, 413, 415, 422)  # of this document, whenever it comes: it is dropped
MOST_ANSWERS, MOST_HEADERS, LONGEST_LINE = 4, 50, 4_096  # lines in bytes
LEAST_KEY, LARGEST_KEY = 24, 64  # bytes, as Standard Webhooks has it
KEY_PREFIX = "whsec_"
NAMES = ("site", "line", "station", "key_file", "ca", "send", "queue", "timeout_ms")
EXAMPLE = "'https://mes.example/hook#key_file=hook.key&site=north&line=3&station=cap'"


@dataclass(frozen=True)
class WebhookOptions:
    """A receiver, and what it gets."""

    host: str
    port: int
    netloc: str
    target: str  # path and query; may hold a secret
    key: bytes
    place: Place
    tls: ssl.SSLContext | None = None
    send_all: bool = False  # else rejects alone
    queue: int = QUEUE
    timeout_s: float = TIMEOUT_MS / 1e3

    def __repr__(self) -> str:
        return f"WebhookOptions({self.netloc})"


def webhook_options(asked: str) -> WebhookOptions:
    """``URL#key_file=FILE&site=…&line=…&station=…&…``: what stands after ``#`` never goes to a server.

    Raises `InputError`, which does not show the URL, for what cannot be used.
    """
    try:
        parts = urlsplit(asked)
        port = parts.port
    except ValueError as error:
        raise InputError(f"--webhook is no URL ({error}); as in {EXAMPLE}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not asked.isascii() or not asked.isprintable():
        raise InputError(f"--webhook is no http:// or https:// URL in ASCII; as in {EXAMPLE}")
    if "@" in parts.netloc or " " in asked:
        raise InputError("--webhook has a user, a password or a space in its URL; the receiver knows us by the key")
    options, wrong = options_in(parts.fragment, NAMES)
    if wrong:
        raise InputError(f"--webhook has {wrong} after #; expected {', '.join(NAMES)}")
    if "key_file" not in options:
        raise InputError(f"--webhook has no key_file, by which the receiver knows us; as in {EXAMPLE}")
    if options.get("send") not in (None, "rejects", "all"):
        raise InputError(f"send of --webhook is {options['send']!r}; expected rejects or all")
    is_https = parts.scheme == "https"
    if "ca" in options and not is_https:
        raise InputError("--webhook has a ca and an http:// URL; give https://")
    return WebhookOptions(
        parts.hostname,
        (443 if is_https else 80) if port is None else port,
        parts.netloc,
        (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        read_key(Path(options["key_file"])),
        place_of("webhook", options, EXAMPLE),
        client_context(Path(options["ca"]) if "ca" in options else None) if is_https else None,
        options.get("send") == "all",
        int(_number(options, "queue", QUEUE, 1, MOST_QUEUED)),
        _number(options, "timeout_ms", TIMEOUT_MS, 100, 60_000) / 1e3,
    )


def _number(options: dict[str, str], name: str, default: float, low: float, high: float) -> float:
    try:
        value = float(options.get(name, default))
    except ValueError as error:
        raise InputError(f"{name} of --webhook is {options[name]!r}; expected a number") from error
    check_between(f"{name} of --webhook", value, low, high)
    return value


def read_key(path: Path) -> bytes:
    """The key in a file, in Base64 with or without ``whsec_``. Raises `InputError` where it is none, or short."""
    text = read_secret("key of --webhook", path).removeprefix(KEY_PREFIX)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{path} holds no Base64; make a key by openssl rand -base64 32") from error
    if not LEAST_KEY <= len(key) <= LARGEST_KEY:
        raise InputError(
            f"the key in {path} has {len(key)} bytes; expected {LEAST_KEY} to {LARGEST_KEY}: openssl rand -base64 32"
        )
    return key


def signature(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """What the header ``webhook-signature`` holds: HMAC-SHA256 of id, time and body, in Base64, after ``v1,``."""
    signed = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


class WebhookPublisher(Publisher):
    """Posts an outbox, one document after the other, until it is closed.

    The receiver need not be there at the start.
    """

    def __init__(self, options: WebhookOptions, writer: Writer) -> None:
        self.outbox = Outbox(options.queue)
        self._options, self._writer = options, writer
        self._complaints = Complaints(log, f"the webhook at {options.netloc}", self.outbox)
        self._closing, self._until_s = threading.Event(), float("inf")
        self._thread = threading.Thread(target=self._work, name=f"webhook {options.netloc}", daemon=True)
        if options.tls is None:
            log.warning("verdicts go to the webhook at %s without TLS: signed, but for all to read", options.netloc)
        self._thread.start()

    def add(self, document: Queued) -> None:
        """See `Publisher`. What is not asked for is left out."""
        if document.rejects or self._options.send_all:
            self.outbox.add(document)

    def close(self) -> None:
        """Post what waits. What the receiver does not take within 5 s, or refuses, is dropped, and counted."""
        if not self._closing.is_set():
            self._until_s = time.monotonic() + CLOSE_S
            self._closing.set()
            with self.outbox.changed:
                self.outbox.changed.notify_all()
        self._thread.join(max(0.0, self._until_s - time.monotonic()) + 1.0)  # a receiver that hangs is left behind
        self.outbox.end()
        self._complaints.at_the_end()

    def _work(self) -> None:
        pauses = Pauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while (document := self._next()) is not None:
            problem = self._try(document)
            if problem is None:
                self._complaints.end()
                pauses.reset()
                continue
            self._complaints.say(problem)
            if self._closing.is_set():
                return
            pauses.wait(self._closing)  # when it is closed there is a last attempt

    def _next(self) -> Queued | None:
        """The oldest that waits, once there is one; None at the end."""
        while True:
            with self.outbox.changed:
                self.outbox.changed.wait_for(
                    lambda: self.outbox.has_more or self.outbox.untold or self._closing.is_set()
                )
            if time.monotonic() > self._until_s:
                return None
            if self.outbox.untold:
                return self._writer.dropped(self.outbox.untold, self.outbox.dropped)
            if (document := self.outbox.take()) is not None:
                return document
            if self._closing.is_set():
                return None

    def _try(self, document: Queued) -> str | None:
        """Post one; what is wrong with the receiver, or None."""
        try:
            status = self._post(document)
        except (OSError, http.client.HTTPException) as error:
            self.outbox.put_back([document])
            return f"cannot be reached ({type(error).__name__}: {str(error)[:100]})"
        except Exception:  # a fault of ours: the line goes on
            log.exception("posting to the webhook at %s failed", self._options.netloc)
            self.outbox.put_back([document])
            return "is left after a fault"
        if status in REFUSES:
            log.warning(
                "the webhook at %s refuses %s with %d; it is dropped", self._options.netloc, document.id, status
            )
        if 200 <= status < 300 or status in REFUSES:
            self.outbox.settle(document, arrived=status not in REFUSES)
            return None
        self.outbox.put_back([document])
        return f"answers {status}" + ("; redirects are not followed" if 300 <= status < 400 else "")

    def _post(self, document: Queued) -> int:
        """The status that one attempt is answered with."""
        options, timestamp = self._options, int(time.time())
        headers = {
            "Host": options.netloc,
            "Content-Type": "application/json",
            "User-Agent": "proctor",
            "Connection": "close",
            "webhook-id": document.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(options.key, document.id, timestamp, document.body),
        }
        with self._connected() as line:
            connection = http.client.HTTPConnection(options.host, options.port)
            connection.sock = line
            connection.request("POST", options.target, document.body, headers)
            return _status_of(line)

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        """A connection that is shut down when its time is over, however slowly the receiver answers."""
        options = self._options
        with socket.create_connection((options.host, options.port), options.timeout_s) as plain:
            line = plain
            if options.tls is not None:
                line = options.tls.wrap_socket(plain, server_hostname=options.host, do_handshake_on_connect=False)
            with line:
                timer = threading.Timer(options.timeout_s, _shut_down, (line,))
                timer.daemon = True
                timer.start()
                try:
                    if isinstance(line, ssl.SSLSocket):
                        line.do_handshake()
                    yield line
                finally:
                    timer.cancel()
                    timer.join()


def _status_of(line: socket.socket) -> int:
    """The status of an answer, of which nothing else is read. Raises `OSError` for what is no HTTP.

    By hand: http.client reads announcements (100 to 199) and headers without end.
    """
    with line.makefile("rb") as answer:
        for _ in range(MOST_ANSWERS):
            match = re.fullmatch(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n", answer.readline(LONGEST_LINE))
            if match is None:
                raise OSError("the answer is none, or no HTTP")
            if int(match[1]) >= 200:
                return int(match[1])
            for _ in range(MOST_HEADERS):
                if answer.readline(LONGEST_LINE) in (b"\r\n", b"\n", b""):
                    break
    raise OSError("the answer announces others without end")


def _shut_down(line: socket.socket) -> None:
    with suppress(OSError):  # the other side was quicker
        socket.socket.shutdown(line, socket.SHUT_RDWR)  # the socket's own: TLS would end its session under a read
