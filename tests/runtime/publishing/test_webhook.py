"""The webhook against receivers that work, fail, hang, close early, trickle, redirect and answer without end."""

import base64
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from mqtt_broker import make_certificates
from waiting import free_port, until

from benchmarks.line.broker import PLACE
from benchmarks.line.receiver import Receiver
from runtime.errors import InputError
from runtime.line.handshake import Refusal
from runtime.line.results import Cause, Code, Mode, Part, Result
from runtime.publishing.documents import Writer
from runtime.publishing.webhook import WebhookPublisher, webhook_options

KEY = bytes(range(32))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "hook.key"
    path.write_text(f"whsec_{base64.b64encode(KEY).decode()}\n")
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.publishing.webhook.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("runtime.publishing.webhook.LONGEST_PAUSE_S", 0.1)


def result(number: int, code: Code = Code.NG) -> Result:
    now_s = time.monotonic()
    return Result(number, number, Part(number), code, Cause.JUDGED, "score", Mode.RUN, now_s, now_s, 2.0, 1.0)


@contextmanager
def receiving(tls: Path | None = None) -> Iterator[Receiver]:
    found = Receiver(KEY, tls=tls)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def posting(url: str, key_file: Path, more: str = "") -> Iterator[tuple[WebhookPublisher, Writer]]:
    options = webhook_options(f"{url}#key_file={key_file}&{PLACE}{more}")
    writer = Writer(options.place, 1)
    with WebhookPublisher(options, writer) as publisher:
        yield publisher, writer


def test_rejects_are_posted_signed_and_passes_only_where_all_are_asked_for(key_file: Path) -> None:
    with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/hook?line=3"
        for more, sent in (("", [2, 3]), ("&send=all", [1, 2, 3])):
            receiver.documents.clear()
            with posting(url, key_file, more) as (publisher, writer):
                for number, code in enumerate((Code.OK, Code.NG, Code.NO_DECISION), 1):
                    publisher.add(writer.result(result(number, code), 0))
                publisher.add(writer.refusal(Refusal(Part(9), Cause.OVERRUN, "2 parts are under way, 2 can be")))
                until(lambda sent=sent: len(receiver.documents) == len(sent) + 1, "documents")
            assert [each["inspection_id"] for each in receiver.documents[:-1]] == sent
            assert (receiver.documents[-1]["kind"], receiver.documents[-1]["cause"]) == ("refusal", "OVERRUN")
        assert set(receiver.paths) == {"/hook?line=3"}


def test_a_receiver_that_fails_gets_it_again_with_the_same_id(key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver, posting(f"http://127.0.0.1:{receiver.port}", key_file) as (publisher, writer):
        receiver.statuses += [500, 503, 302, 404, 429]
        publisher.add(writer.result(result(1), 0))
        until(lambda: receiver.documents, "a document")
        assert receiver.documents[0]["id"] == writer.verdict_id(1)
        assert len(receiver.paths) == 6
        assert set(receiver.paths) == {"/"}  # no redirect was followed
        until(lambda: publisher.outbox.delivered == 1, "its end")
    for said in ("answers 500", "answers 302; redirects are not followed", "is back"):
        assert said in caplog.text


def test_what_the_receiver_refuses_for_good_is_dropped_and_told(key_file: Path) -> None:
    with receiving() as receiver, posting(f"http://127.0.0.1:{receiver.port}", key_file) as (publisher, writer):
        receiver.statuses += [422]
        publisher.add(writer.result(result(1), 0))
        until(lambda: receiver.documents, "what tells of it")
        assert (receiver.documents[0]["kind"], receiver.documents[0]["count"]) == ("dropped", 1)
        publisher.add(writer.result(result(2), 0))
        until(lambda: len(receiver.documents) == 2, "the next one")
        assert receiver.documents[1]["inspection_id"] == 2


def test_a_refused_message_that_tells_of_refused_ones_is_not_sent_again(key_file: Path) -> None:
    with receiving() as receiver, posting(f"http://127.0.0.1:{receiver.port}", key_file) as (publisher, writer):
        receiver.statuses += [422] * 1_000
        for number in (1, 2, 3):
            publisher.add(writer.result(result(number), 0))
            until(lambda number=number: publisher.outbox.dropped == number and not publisher.outbox.untold)
        assert len(receiver.paths) == 6
        assert publisher.outbox.delivered == 0


def test_a_receiver_that_is_absent_gets_what_the_queue_holds_and_the_count(key_file: Path) -> None:
    port = free_port()
    with posting(f"http://127.0.0.1:{port}", key_file, "&queue=5") as (publisher, writer):
        for number in range(1, 13):
            publisher.add(writer.result(result(number), 0))
        assert publisher.outbox.dropped == 7
        with socket.create_server(("127.0.0.1", port)) as server:  # answers by hand, one after the other
            kinds = []
            server.settimeout(20)
            while len(kinds) < 6:
                line, _ = server.accept()
                with line:
                    body = received(line)
                    line.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                kinds.append(body.get("inspection_id", body["kind"]))
    assert kinds == ["dropped", 8, 9, 10, 11, 12]


def received(line: socket.socket) -> dict[str, Any]:
    data = b""
    line.settimeout(10)
    while b"\r\n\r\n" not in data:
        data += line.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    (size,) = [int(each.split(b":")[1]) for each in head.split(b"\r\n") if each.lower().startswith(b"content-length")]
    while len(body) < size:
        body += line.recv(65_536)
    return dict(json.loads(body))


def hang(line: socket.socket, ended: threading.Event) -> None:
    ended.wait(20)


def close_early(line: socket.socket, ended: threading.Event) -> None:
    line.recv(10)


def trickle(line: socket.socket, ended: threading.Event) -> None:
    for byte in b"HTTP/1.1 204 No Content\r\n" + b"x: y\r\n" * 10_000:
        line.sendall(bytes([byte]))
        if ended.wait(0.05):
            return


def continue_for_ever(line: socket.socket, ended: threading.Event) -> None:
    while not ended.is_set():
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def no_http(line: socket.socket, ended: threading.Event) -> None:
    line.sendall(b"220 mail.example ESMTP\r\n")


def old(line: socket.socket, ended: threading.Event) -> None:
    line.sendall(b"HTTP/1.1 999 Odd\r\n\r\n")


@pytest.mark.parametrize(
    "behave",
    [hang, close_early, trickle, continue_for_ever, no_http, old],
    ids=lambda each: each.__name__,
)
def test_a_receiver_that_misbehaves_is_left_in_time_and_tried_again(
    key_file: Path, behave: Callable[[socket.socket, threading.Event], None], caplog: pytest.LogCaptureFixture
) -> None:
    ended, lines = threading.Event(), list[socket.socket]()

    def misbehave() -> None:
        while not ended.is_set():
            with suppress(OSError):
                line, _ = server.accept()
                lines.append(line)
                with line, suppress(OSError):
                    behave(line, ended)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        thread = threading.Thread(target=misbehave)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        try:
            with posting(url, key_file, "&timeout_ms=300") as (publisher, writer):
                publisher.add(writer.result(result(1), 0))
                until(lambda: "cannot be reached" in caplog.text or "answers 999" in caplog.text, "a word")
                assert publisher.outbox.delivered == 0
                assert publisher.outbox.waiting == 1
                ended.set()
        finally:
            ended.set()
            thread.join()
    assert publisher.outbox.dropped == 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: "], ids=["body", "header"])
def test_an_answer_without_end_is_not_read(key_file: Path, head: bytes) -> None:
    sent = [0]

    def endless() -> None:
        line, _ = server.accept()
        with line, suppress(OSError):
            received(line)
            line.sendall(head)
            while True:
                sent[0] += line.send(b"x" * 65_536)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=endless)
        thread.start()
        with posting(f"http://127.0.0.1:{server.getsockname()[1]}", key_file) as (publisher, writer):
            publisher.add(writer.result(result(1), 0))
            until(lambda: publisher.outbox.delivered, "the end of it")
        thread.join(20)
        assert not thread.is_alive()
    assert sent[0] < 50_000_000  # what buffers of the system take


def test_ok_before_the_request_was_read_is_ok(key_file: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        posting(f"http://127.0.0.1:{server.getsockname()[1]}", key_file) as (publisher, writer),
    ):
        publisher.add(writer.result(result(1), 0))
        line, _ = server.accept()
        with line:
            line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            until(lambda: publisher.outbox.delivered, "its end")


def test_tls_right_and_wrong(key_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificates = make_certificates(tmp_path / "tls")
    with receiving(certificates) as receiver:
        with posting(f"https://localhost:{receiver.port}/a", key_file, f"&ca={certificates}/ca.crt") as (right, writer):
            right.add(writer.result(result(1), 0))
            until(lambda: receiver.documents, "a document")
        for host, more in (("localhost", ""), ("127.0.0.1", f"&ca={certificates}/ca.crt")):
            caplog.clear()
            with posting(f"https://{host}:{receiver.port}/a", key_file, more) as (wrong, writer):
                wrong.add(writer.result(result(2), 0))
                until(lambda: "certificate" in caplog.text.lower(), "a refusal")
        assert len(receiver.documents) == 1


def test_nothing_secret_is_logged(key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"http://127.0.0.1:{free_port()}/services/T0PSECRET?token=hunter2"
    with posting(url, key_file) as (publisher, writer):
        publisher.add(writer.result(result(1), 0))
        until(lambda: "cannot be reached" in caplog.text, "a word")
        assert "hunter2" not in repr(publisher._options)
    for secret in ("T0PSECRET", "hunter2", base64.b64encode(KEY).decode()):
        assert secret not in caplog.text
    assert "without TLS" in caplog.text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "is no http:// or https:// URL"),
        ("ftp://a/b#c=d", "is no http:// or https:// URL"),
        ("https://#x=y", "is no http:// or https:// URL"),
        ("https://a:99999/secret", "is no URL"),
        ("https://me:secret@a/b", "has a user, a password or a space"),
        ("https://a/b c", "has a user, a password or a space"),
        ("https://a/secret", "has no key_file"),
        ("https://a/secret#qos=1", "has qos after #; expected site, line"),
        ("https://a/secret#qos", "has qos after #"),
        ("https://a/secret#key_file=/nowhere", "key of --webhook cannot be read"),
        ("https://a/secret#key_file={short}", "has 3 bytes; expected 24 to 64"),
        ("https://a/secret#key_file={odd}", "holds no Base64"),
        ("https://a/secret#key_file={key}", "does not say site and line and station"),
        ("https://a/secret#key_file={key}&send=some", "send of --webhook is 'some'"),
        ("http://a/secret#key_file={key}&ca=x&" + PLACE, "has a ca and an http:// URL"),
        ("https://a/secret#key_file={key}&timeout_ms=x&" + PLACE, "timeout_ms of --webhook is 'x'"),
        ("https://a/secret#key_file={key}&timeout_ms=nan&" + PLACE, "timeout_ms of --webhook"),
        ("https://a/secret#key_file={key}&queue=0&" + PLACE, "queue of --webhook is 0"),
    ],
)
def test_what_could_not_work_is_one_sentence(asked: str, said: str, key_file: Path, tmp_path: Path) -> None:
    short, odd = tmp_path / "short", tmp_path / "odd"
    short.write_text("AAAA\n")
    odd.write_text("no base 64\n")
    with pytest.raises(InputError, match=said) as raised:
        webhook_options(asked.format(key=key_file, short=short, odd=odd))
    assert "secret" not in str(raised.value)
