"""The publisher against a real broker: killed, absent, with passwords and TLS, and one that hangs."""

import itertools
import logging
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mqtt_broker import check_all, make_certificates
from waiting import until

from benchmarks.line.broker import PATH, PLACE, Peer, broker, peer
from runtime.errors import InputError
from runtime.line.handshake import Refusal
from runtime.line.results import Cause, Code, Mode, Part, Result
from runtime.publishing.documents import Writer
from runtime.publishing.mqtt import MqttPublisher
from runtime.publishing.mqtt_options import mqtt_options
from runtime.publishing.place import Place

pytestmark = pytest.mark.peer

SESSION = 0xABCD


def result(number: int, code: Code = Code.OK) -> Result:
    now_s = time.monotonic()
    cause = Cause.NONE if code is Code.OK else Cause.JUDGED
    return Result(number, number, Part(number, "A-1", "order 7"), code, cause, "", Mode.RUN, now_s, now_s, 0.5, 1.0)


@contextmanager
def publishing(
    port: int, more: str = "", host: str = "127.0.0.1", session: int = SESSION
) -> Iterator[tuple[MqttPublisher, Writer]]:
    options = mqtt_options(f"{host}:{port}?{PLACE}{more}")
    writer = Writer(options.place, session)
    with MqttPublisher(options, writer) as publisher:
        yield publisher, writer


def ids(seen: Peer) -> list[str]:
    return [document["id"] for document in seen.of("verdict")]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_every_verdict_arrives_though_the_broker_is_killed_mid_run(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.publishing.mqtt.FIRST_PAUSE_S", 0.1)
    ended = threading.Event()
    numbers = itertools.count(1)
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        with publishing(mosquitto.port, f"&version={version}") as (publisher, writer):

            def inspect() -> None:
                while not ended.wait(0.005 * random.random()):
                    publisher.add(writer.result(result(next(numbers)), 0))

            thread = threading.Thread(target=inspect)
            thread.start()
            for _ in range(2):
                before = len(seen.of("verdict"))
                until(lambda before=before: len(seen.of("verdict")) > before + 50, "verdicts")
                mosquitto.end(signal.SIGKILL)
                mosquitto.start()
            before = len(seen.of("verdict"))
            until(lambda: len(seen.of("verdict")) > before + 50, "verdicts after it")
            ended.set()
            thread.join()
            given = [writer.verdict_id(number) for number in range(1, next(numbers))]
            until(lambda: set(ids(seen)) >= set(given), f"all of {len(given)} verdicts")
            assert publisher.connections >= 3
            seen.wait("status", lambda each: each["connections"] == publisher.connections)
            assert publisher.outbox.dropped == 0
            until(lambda: publisher.outbox.waiting == 0, "confirmations")
        seen.wait("status", lambda each: each["why"] == "stopped")
        check_all(seen)
    first_seen = list(dict.fromkeys(ids(seen)))
    assert first_seen == given  # in order, apart from those that came twice


def test_what_an_outage_is_too_long_for_is_dropped_oldest_first_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        mosquitto.end()
        with publishing(mosquitto.port, "&queue=20") as (publisher, writer):
            for number in range(1, 51):
                publisher.add(writer.result(result(number), 0))
            assert (publisher.outbox.waiting, publisher.outbox.dropped) == (20, 30)
            until(lambda: "cannot be reached" in caplog.text, "a word about the broker")
            mosquitto.start()
            dropped = seen.wait("event")
            assert (dropped["kind"], dropped["count"], dropped["total"]) == ("dropped", 30, 30)
            until(lambda: len(ids(seen)) >= 20, "what waited")
            assert seen.wait("status", lambda each: not each["waiting"])["dropped"] == 30
            publisher.add(writer.result(result(51, Code.NG), 0))
            assert seen.wait("verdict", lambda each: each["code"] == "NG")["inspection_id"] == 51
        assert list(dict.fromkeys(ids(seen))) == [writer.verdict_id(number) for number in range(31, 52)]
        assert len([each for each in seen.of("event") if each["kind"] == "dropped"]) == 1
        check_all(seen)
    assert "is back; 20 messages waited, 30 were dropped" in caplog.text


def test_a_broker_that_hangs_holds_up_nobody_and_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.publishing.mqtt.STALL_S", 1.0)
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        with publishing(mosquitto.port, "&period_ms=100&queue=50") as (publisher, writer):
            seen.wait("status")
            mosquitto.signal(signal.SIGSTOP)
            slowest_s = 0.0
            for number in range(1, 101):
                began_s = time.monotonic()
                publisher.add(writer.result(result(number), 0))
                slowest_s = max(slowest_s, time.monotonic() - began_s)
            assert slowest_s < 0.5
            time.sleep(1.5)
            mosquitto.signal(signal.SIGCONT)
            until(lambda: publisher.connections >= 2, "another connection")
            until(lambda: publisher.outbox.waiting == 0, "what waited")
            assert set(ids(seen)) >= {writer.verdict_id(number) for number in range(61, 101)}
            dropped = publisher.outbox.dropped
            assert dropped
            until(lambda: sum(each["count"] for each in seen.of("event")) >= dropped, "the count")
        check_all(seen)


def test_the_end_says_that_the_station_was_stopped_and_no_last_will_follows(tmp_path: Path) -> None:
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        with publishing(mosquitto.port):
            assert seen.wait("status")["running"] is True
        assert seen.wait("status", lambda each: not each["running"])["why"] == "stopped"
        time.sleep(0.3)
        assert seen.of("status")[-1]["why"] == "stopped"  # no last will after it
        with peer(mosquitto, name="latecomer") as late:
            assert late.wait("status")["why"] == "stopped"
            retained = {topic for topic, _, retain in late.messages if retain}
            assert {"status", "schema"} <= retained


def test_passwords_right_and_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    passwords, right, wrong = tmp_path / "passwords", tmp_path / "right", tmp_path / "wrong"
    right.write_text("correct horse\n")
    wrong.write_text("battery staple\n")
    passwords.write_text("station:correct horse\n")
    hashed(passwords)
    with broker(tmp_path / "broker", "allow_anonymous false", f"password_file {passwords}") as mosquitto:
        with publishing(mosquitto.port, f"&user=station&password_file={wrong}") as (publisher, _):
            until(lambda: "refuses the connection (Not authorized)" in caplog.text, "a refusal")
            assert publisher.connections == 0
        with publishing(mosquitto.port, "&version=3.1.1") as (publisher, _):
            until(lambda: caplog.text.count("refuses the connection") >= 2, "a refusal without a user")
            assert publisher.connections == 0
        with publishing(mosquitto.port, f"&user=station&password_file={right}") as (publisher, writer):
            until(lambda: publisher.connections, "a connection")
            publisher.add(writer.result(result(1), 0))
            until(lambda: publisher.outbox.delivered == 1, "a confirmation")
    for secret in ("correct horse", "battery staple"):
        assert secret not in caplog.text


def hashed(passwords: Path) -> None:
    """Have mosquitto's own program hash the passwords in a file."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("NO REAL BROKER: MQTT IS NOT TESTED here: apt-get install mosquitto")
    subprocess.run([program, "-U", passwords], check=True, timeout=60, capture_output=True)
    passwords.chmod(0o644)


# a socket whose TLS fails is closed by paho when it is collected
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_tls_right_and_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "proctor.mqtt")
    certificates, others = make_certificates(tmp_path / "tls"), make_certificates(tmp_path / "others")
    mine = f"&certificate={certificates}/client.crt&key={certificates}/client.key"
    theirs = f"&certificate={others}/client.crt&key={others}/client.key"
    with broker(tmp_path / "broker", "require_certificate true", tls=certificates) as mosquitto:

        def connects(more: str, host: str = "localhost") -> bool:
            caplog.clear()
            with publishing(mosquitto.port, more, host) as (publisher, _):
                until(lambda: publisher.connections or caplog.text, "an answer")
                return bool(publisher.connections)

        assert connects(f"&ca={certificates}/ca.crt{mine}")
        assert not connects(f"&ca={certificates}/ca.crt{mine}", "127.0.0.1")  # a name that is not the certificate's
        assert "certificate" in caplog.text
        assert not connects(f"&ca={others}/ca.crt{mine}")
        assert not connects(f"&tls=yes{mine}")  # by what the system trusts
        assert not connects(f"&ca={certificates}/ca.crt")
        assert not connects(f"&ca={certificates}/ca.crt{theirs}")
        assert not connects("")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_two_stations_of_one_name_are_told(tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture) -> None:
    more = f"&version={version}&period_ms=50"
    with broker(tmp_path) as mosquitto, publishing(mosquitto.port, more) as (first, _):
        until(lambda: first.connections, "a connection")
        with publishing(mosquitto.port, more, session=SESSION + 1) as (second, _):
            until(lambda: "two stations have one name" in caplog.text, "a word")
            connections = first.connections + second.connections
            time.sleep(1.0)
            assert first.connections + second.connections <= connections + 2  # they do not fight without a pause
    caplog.clear()
    with broker(tmp_path / "again") as mosquitto:  # one after the other is none
        for session in (1, 2):
            with publishing(mosquitto.port, more, session=session) as (first, _):
                until(lambda first=first: first.connections, "a connection")
                time.sleep(0.2)
    assert "two stations" not in caplog.text


def test_what_the_broker_refuses_to_publish_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic readwrite {PATH}/status\ntopic read #\ntopic readwrite {PATH}/event\n")
    acl.chmod(0o644)
    with broker(tmp_path / "broker", f"acl_file {acl}") as mosquitto, peer(mosquitto) as seen:
        with publishing(mosquitto.port) as (publisher, writer):
            publisher.add(writer.result(result(1), 0))
            assert seen.wait("status", lambda each: each["dropped"])["dropped"] == 1
            assert seen.wait("event")["count"] == 1
        assert not seen.of("verdict")
    assert "refuses what is published to verdict" in caplog.text


def test_a_peer_that_is_no_broker_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        with publishing(server.getsockname()[1]) as (publisher, _):
            for garbage in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\xff", b""):
                line, _ = server.accept()
                with line:
                    line.sendall(garbage)
            assert publisher._thread.is_alive()
            assert publisher.connections == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("broker", "does not say site and line and station"),
        ("broker?site=a&line=b", "does not say station"),
        ("broker:1883?site=a&line=b&station=c%2Fd", "station is 'c/d'"),
        ("broker:1883?site=a&line=%2B&station=c", "line is '\\+'"),
        ("broker:1883?site=a&line=b&station=%23", "station is '#'"),
        ("broker:1883?site=a&line=b&station=c&qos=2", "expected HOST:PORT"),
        (f"broker:x?{PLACE}", "expected HOST:PORT"),
        (f"me:secret@broker?{PLACE}", "takes no user or password before the host"),
        (f"broker?{PLACE}&password_file=x", "no user"),
        (f"broker?{PLACE}&user=&password_file=x", "is empty"),
        (f"broker?{PLACE}&user=me&password_file=/nowhere", "password of --mqtt cannot be read from /nowhere"),
        (f"broker?{PLACE}&commands=maybe", "expected yes or no"),
        (f"broker?{PLACE}&queue=0", "queue of --mqtt is 0"),
        (f"broker?{PLACE}&queue=x", "queue is 'x'"),
        (f"broker?{PLACE}&period_ms=1", "period_ms of --mqtt is 1"),
        (f"broker?{PLACE}&version=4", "version of --mqtt is '4'"),
        (f"broker?{PLACE}&ca=/nowhere", "/nowhere holds no certificates"),
        (f"broker?{PLACE}&certificate=a", "belong together"),
        (f"broker?{PLACE}&ca=a&tls=no", "leave one of them out"),
    ],
)
def test_what_could_not_work_is_one_sentence(asked: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        mqtt_options(asked)
    assert "secret" not in str(raised.value)


def test_defaults_follow_tls(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "tls")
    assert mqtt_options(f"broker?{PLACE}").port == 1883
    secured = mqtt_options(f"broker?{PLACE}&ca={certificates}/ca.crt")
    assert (secured.port, secured.tls is not None) == (8883, True)
    assert mqtt_options(f"[::1]:1884?{PLACE}").host == "::1"


def test_texts_of_any_kind_are_documents() -> None:
    writer = Writer(Place("a", "b", "c"), 1)
    odd = Result(
        1,
        1,
        Part(1, "\ud800", '"\n'),
        Code.NG,
        Cause.JUDGED,
        "x" * 9_000,
        Mode.RUN,
        2.0,
        1.0,
        float("nan"),
        float("inf"),
    )
    assert b"NaN" not in writer.result(odd, 0).body
    assert writer.result(odd, 2).id == "00000001-1.2"
    assert (
        writer.refusal(Refusal(Part(0), Cause.OVERRUN, "\0")).id != writer.refusal(Refusal(Part(0), Cause.LATE, "")).id
    )
