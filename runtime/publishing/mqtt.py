"""Publishes to an MQTT broker, in a thread of its own: whatever the broker does, the line goes on.

This publisher alone owns the connection. Each one is a client of paho's that is thrown away with it, so that nothing
waits in paho's own queues: what the broker has not confirmed goes back into the `Outbox`, and comes again with the same
id. A lost connection is opened again after pauses that grow, with jitter, for as long as it takes.
"""

import json
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from runtime.pauses import Pauses
from runtime.publishing.documents import Document, Queued, Writer, encoded
from runtime.publishing.messages import ANSWER, REGISTERS, SCHEMA_TOPIC, STATUS, schema
from runtime.publishing.mqtt_options import MqttOptions
from runtime.publishing.outbox import Outbox
from runtime.publishing.publisher import Complaints, Publisher

log = logging.getLogger("proctor.mqtt")

CONNECT_S = 5.0  # for the connection, for TLS, and for the broker's answer, each
KEEP_ALIVE_S = 10  # a broker that hangs is noticed after so long, as this station is by the broker after 1.5 times it
IN_FLIGHT = 10  # documents that the broker has not confirmed; paho has room for 20, with status, registers and answers
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
STALL_S = 20.0  # a broker that confirms nothing for so long is left, whatever else it says
STEADY_S = 10.0  # a connection that lasted so long begins with the first pause again
AGAIN_S = (
    1.0  # what was confirmed so shortly before a loss comes again: a broker that is killed may not have passed it on
)
CLOSE_S = 3.0  # for what waits, and for the last status
COMMAND_TOPIC = "command"
RIVAL = "has another client with the id of this station: two stations have one name, and throw each other off"

Snapshot = Callable[[], Document]  # the registers as a document, seen by whoever is connected
# the answer to a command's bytes, and whether they were retained; None where it follows by `reply`
Answering = Callable[[bytes, bool], Document | None]


@dataclass
class _Handed:
    """What the broker has not confirmed."""

    topic: str
    document: Queued | None  # of the outbox
    since_s: float  # monotonic clock


class _Connection:
    """One connection, from its attempt to its end. paho's thread calls `_…ed`; all else is the publisher's thread's."""

    def __init__(
        self, options: MqttOptions, changed: threading.Condition, writer: Writer, will: bytes, answer: Answering | None
    ) -> None:
        self.changed = changed
        self.accepted = self.ended = False
        self.problem: str | None = None
        self.has_rival = False  # another station of this name works, too
        self._subscription: int | None = None  # to commands
        self._in_flight: dict[int, _Handed] = {}
        self._confirmed: list[tuple[int, ReasonCode]] = []
        self._options, self._writer, self._answer = options, writer, answer
        is_5 = options.version == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            options.place.path,
            clean_session=None if is_5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.will_set(options.place.topic(STATUS.topic), will, qos=1, retain=True)
        if options.user is not None:
            client.username_pw_set(options.user, options.password)
        if options.tls is not None:
            client.tls_set_context(options.tls)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish, client.on_message, client.on_subscribe = self._published, self._received, self._subscribed
        self._client = client

    def open(self) -> None:
        """Connect and wait for the broker's answer; `problem` says why it did not work."""
        start: dict[str, Any] = {}
        if self._options.version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
            start = {"clean_start": True, "properties": properties}
        try:
            self._client.connect(self._options.host, self._options.port, KEEP_ALIVE_S, **start)
        except (OSError, ValueError) as error:  # ValueError: of a host's name that is none
            self._fail(f"cannot be reached ({error})")
            return
        self._client.loop_start()
        with self.changed:
            if not self.changed.wait_for(lambda: self.accepted or self.ended, CONNECT_S):
                self.problem = f"did not answer within {CONNECT_S:g} s"
                self.ended = True

    def publish(self, topic: str, body: bytes, retain: bool, document: Queued | None = None) -> None:
        """Hand one over."""
        info = self._client.publish(self._options.place.topic(topic), body, qos=1, retain=retain)
        with self.changed:
            self._in_flight[info.mid] = _Handed(topic, document, time.monotonic())

    def confirmed(self) -> list[tuple[_Handed, str | None]]:
        """What the broker has confirmed since this was last asked, or refused with the reason."""
        with self.changed:
            settled = [(mid, reason) for mid, reason in self._confirmed if mid in self._in_flight]
            # one may be confirmed before `publish` has noted it
            self._confirmed = [each for each in self._confirmed if each[0] not in self._in_flight]
            return [(self._in_flight.pop(mid), str(reason) if reason.is_failure else None) for mid, reason in settled]

    def check(self) -> None:
        """End it where the broker confirms nothing."""
        with self.changed:
            oldest_s = min((handed.since_s for handed in self._in_flight.values()), default=time.monotonic())
        if time.monotonic() - oldest_s > STALL_S:
            self._fail(f"has confirmed nothing for {STALL_S:g} s")

    def awaits(self, topic: str) -> bool:
        """Whether something of that topic is not confirmed."""
        with self.changed:
            return any(handed.topic == topic for handed in self._in_flight.values())

    @property
    def has_news(self) -> bool:
        """Whether it is over, or something was confirmed."""
        with self.changed:
            return self.ended or any(mid in self._in_flight for mid, _ in self._confirmed)

    @property
    def documents(self) -> list[Queued]:
        """Those of the outbox that are not confirmed, oldest first."""
        with self.changed:
            return [handed.document for handed in self._in_flight.values() if handed.document is not None]

    def close(self, in_order: bool) -> None:
        """Say goodbye, or go without a word so that the broker publishes the last will; and end paho's thread."""
        line: Any = self._client.socket()
        if in_order:
            self._client.disconnect()
        elif line is not None:
            with suppress(OSError):
                socket.socket.shutdown(line, socket.SHUT_RDWR)  # the socket's own: TLS would wait for its other side
        self._client.loop_stop()

    # in paho's thread; with locks of paho's, which this side never waits for while it has its own

    def _connected(
        self, client: Client, data: object, flags: object, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._fail(f"refuses the connection ({reason})")
            return
        # its own status, too: another's there is of another station with this name
        client.subscribe(self._options.place.topic(STATUS.topic), qos=1)
        if self._answer is not None:
            _, self._subscription = client.subscribe(self._options.place.topic(COMMAND_TOPIC), qos=1)
        with self.changed:
            self.accepted = True
            self.changed.notify_all()

    def _disconnected(
        self,
        client: Client,
        data: object,
        flags: object,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._fail(f"has gone ({reason})")

    def _subscribed(
        self, client: Client, data: object, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        if mid == self._subscription and any(reason.is_failure for reason in reasons):
            log.error("the broker lets nobody command: it refuses the subscription to %s", COMMAND_TOPIC)

    def _published(
        self, client: Client, data: object, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        with self.changed:
            self._confirmed.append((mid, reason))
            self.changed.notify_all()

    def _received(self, client: Client, data: object, message: MQTTMessage) -> None:
        if message.topic == self._options.place.topic(STATUS.topic):
            self._met(bytes(message.payload))
            return
        if self._answer is None:
            return
        try:
            answer = self._answer(bytes(message.payload), message.retain)
            if answer is not None:
                self.publish(ANSWER.topic, encoded(answer), retain=False)
        except Exception:  # a fault of ours, which would end paho's thread unseen
            log.exception("a command has no answer")
            self._fail("is left after a command that failed")

    def _met(self, status: bytes) -> None:
        """A status on this station's own topic: one of another session, made since this one began, is a rival's."""
        try:
            document = json.loads(status)
            is_rival = document["session_id"] != self._writer.session_id
            is_rival = is_rival and document["at_ms"] > self._writer.started_at_ms
        except (ValueError, TypeError, LookupError):  # somebody else's; our next one replaces it
            return
        if is_rival:
            with self.changed:
                self.has_rival = True
                self.changed.notify_all()

    def _fail(self, problem: str) -> None:
        with self.changed:
            self.problem = self.problem or problem
            self.ended = True
            self.changed.notify_all()


class MqttPublisher(Publisher):
    """Sends an outbox to a broker, with status and registers once a period, until it is closed.

    The broker need not be there at the start.
    """

    def __init__(
        self,
        options: MqttOptions,
        writer: Writer,
        registers: Snapshot | None = None,
        answer: Answering | None = None,
    ) -> None:
        """`registers` and `answer` are called only while the broker is connected; `answer` by another thread."""
        self.outbox = Outbox(options.queue)
        self.connections = 0
        self._options, self._writer, self._registers, self._answer = options, writer, registers, answer
        self._closing, self._due = threading.Event(), False
        self._confirmed: deque[tuple[float, Queued]] = deque(maxlen=options.queue)  # lately: when, monotonic clock
        self._replies: deque[Document] = deque(maxlen=IN_FLIGHT)
        self._complaints = Complaints(log, f"the broker at {options.host}:{options.port}", self.outbox)
        self._thread = threading.Thread(target=self._work, name=f"mqtt {options.host}:{options.port}", daemon=True)
        if options.user is not None and options.tls is None and options.host not in ("localhost", "127.0.0.1", "::1"):
            log.warning("the password for the broker at %s goes over the network as it is; give tls=yes", options.host)
        self._thread.start()

    def add(self, document: Queued) -> None:
        """See `Publisher`. Status and registers follow it."""
        self.outbox.add(document)
        self.refresh()

    def reply(self, answer: Document) -> None:
        """Publish the answer to a command that had none at once. From any thread, never waits."""
        with self.outbox.changed:
            self._replies.append(answer)
            self.outbox.changed.notify_all()

    def refresh(self) -> None:
        """Publish status and registers soon, without waiting for the period. From any thread, never waits."""
        with self.outbox.changed:
            self._due = True
            self.outbox.changed.notify_all()

    def close(self) -> None:
        """Send what waits, say that the station was stopped, and leave the broker. What it does not take within 3 s is
        dropped, and counted."""
        if not self._closing.is_set():
            self._closing.set()
            self.refresh()
        self._thread.join(CLOSE_S + 1.0)  # one that hangs in a connection is left behind
        self.outbox.end()
        self._complaints.at_the_end()

    def _work(self) -> None:
        pauses = Pauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            began_s = time.monotonic()
            connection = self._connection()
            if self._closing.is_set():
                return
            if connection.accepted and time.monotonic() - began_s >= STEADY_S:
                pauses.reset()
            if connection.has_rival:
                pauses.lengthen()
            if pauses.wait(self._closing) and not self.outbox.waiting:
                return  # else a last attempt

    def _connection(self) -> _Connection:
        """One connection, until it is lost or this is closed."""
        # published, if ever, of a connection that was counted
        will = encoded(self._status("lost") | {"connections": self.connections + 1})
        connection = _Connection(self._options, self.outbox.changed, self._writer, will, self._answer)
        try:
            connection.open()
            if connection.accepted:
                self.connections += 1
                log.info("connected to the broker at %s as %s", self._options.host, self._options.place.path)
                self._complaints.end()
                connection.publish(SCHEMA_TOPIC, encoded(schema()), retain=True)
                self._serve(connection)
        except Exception:  # a fault of ours: the line goes on, and publishing begins anew
            log.exception("publishing to the broker at %s failed", self._options.host)
            connection.problem = "is left after a fault"
        if connection.problem is not None:
            self._complaints.say(RIVAL if connection.has_rival else connection.problem)
        lost_s, in_order = time.monotonic(), connection.problem is None
        connection.close(in_order)
        self._settle(connection)
        again = [document for when_s, document in self._confirmed if not in_order and lost_s - when_s <= AGAIN_S]
        self._confirmed.clear()
        self.outbox.put_back(connection.documents, again)
        return connection

    def _serve(self, connection: _Connection) -> None:
        next_s = time.monotonic()
        while not connection.ended and not self._closing.is_set():
            self._settle(connection)
            self._hand_over(connection)
            while self._replies:
                connection.publish(ANSWER.topic, encoded(self._replies.popleft()), retain=False)
            connection.check()
            if connection.has_rival:
                self._complaints.say(RIVAL)
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + self._options.period_s
                self._due = True
            if self._should_publish_state(connection):
                self._due = False
                self._publish_state(connection)
            with self.outbox.changed:
                self.outbox.changed.wait_for(lambda: self._has_work(connection), max(0.0, next_s - time.monotonic()))
        if not connection.ended:
            self._finish(connection)

    def _finish(self, connection: _Connection) -> None:
        """The last of a connection that ends in order."""
        until_s = time.monotonic() + CLOSE_S
        while not connection.ended and self.outbox.waiting and time.monotonic() < until_s:
            self._hand_over(connection)
            with self.outbox.changed:
                self.outbox.changed.wait_for(lambda: connection.has_news, 0.1)
            self._settle(connection)
        connection.publish(STATUS.topic, encoded(self._status("stopped")), retain=True)
        while not connection.ended and connection.awaits(STATUS.topic) and time.monotonic() < until_s:
            with self.outbox.changed:
                self.outbox.changed.wait_for(lambda: connection.has_news, 0.1)
            self._settle(connection)

    def _has_work(self, connection: _Connection) -> bool:
        could_hand_over = self.outbox.has_more and len(connection.documents) < IN_FLIGHT
        is_due = self._closing.is_set() or bool(self._replies) or self._should_publish_state(connection)
        return is_due or could_hand_over or connection.has_news

    def _should_publish_state(self, connection: _Connection) -> bool:
        """Whether status and registers are due, and the broker has confirmed those before."""
        return self._due and not connection.awaits(STATUS.topic) and not connection.awaits(REGISTERS.topic)

    def _hand_over(self, connection: _Connection) -> None:
        untold = self.outbox.untold
        if untold and not any(document.tells for document in connection.documents):
            document = self._writer.dropped(untold, self.outbox.dropped)
            connection.publish(document.topic, document.body, retain=False, document=document)
        while len(connection.documents) < IN_FLIGHT and (taken := self.outbox.take()) is not None:
            connection.publish(taken.topic, taken.body, retain=False, document=taken)

    def _settle(self, connection: _Connection) -> None:
        for handed, refused in connection.confirmed():
            if refused is not None:
                self._complaints.say(f"refuses what is published to {handed.topic} ({refused})")
            if handed.document is not None:
                self.outbox.settle(handed.document, arrived=refused is None)
                if refused is None and not handed.document.tells:
                    self._confirmed.append((time.monotonic(), handed.document))
        while self._confirmed and time.monotonic() - self._confirmed[0][0] > 2 * AGAIN_S:
            self._confirmed.popleft()

    def _publish_state(self, connection: _Connection) -> None:
        connection.publish(STATUS.topic, encoded(self._status("running")), retain=True)
        if self._registers is not None:
            connection.publish(REGISTERS.topic, encoded(self._registers()), retain=True)

    def _status(self, why: str) -> Document:
        return self._writer.head(STATUS) | {
            "running": why == "running",
            "why": why,
            "started_at_ms": self._writer.started_at_ms,
            "period_ms": self._options.period_s * 1e3,
            "commands": self._answer is not None,
            "verdicts": self.outbox.added,
            "waiting": self.outbox.waiting,
            "dropped": self.outbox.dropped,
            "connections": self.connections,
        }
