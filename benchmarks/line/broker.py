"""A real broker, mosquitto, in a process of its own, and a client of it that notes what it gets."""

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from benchmarks.line.processes import free_port, until
from benchmarks.line.seen import Absent
from runtime.errors import InputError
from runtime.publishing.documents import now_ms

PATIENCE_S = 30.0  # for what takes a moment
PLACE = "site=north&line=3&station=cap"
PATH = "proctor/north/3/cap"


class Broker:
    """Mosquitto on a port of its own. It can be killed and started again; what it keeps, it writes at each change."""

    def __init__(self, folder: Path, *settings: str, tls: Path | None = None) -> None:
        """`tls` is a folder with ``ca.crt``, ``server.crt`` and ``server.key``. Raises `Absent` without mosquitto."""
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise Absent("there is no MQTT broker; apt-get install mosquitto")
        self.port, self._program = free_port(), program
        self._config = folder / "mosquitto.conf"
        self._child: subprocess.Popen[bytes] | None = None
        (folder / "kept").mkdir()
        (folder / "kept").chmod(0o777)  # started by root, it works as its own user
        folder.chmod(0o755)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {folder}/kept/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "user root",
            *settings,
        ]
        if not any(each.startswith("allow_anonymous") for each in settings):
            lines.append("allow_anonymous true")
        if tls is not None:
            lines += [f"cafile {tls}/ca.crt", f"certfile {tls}/server.crt", f"keyfile {tls}/server.key"]
        self._config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._child = subprocess.Popen(
            [self._program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._listens, "the broker")

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, if it runs, by that signal."""
        if self._child is not None:
            self._child.send_signal(signal.SIGCONT)
            self._child.send_signal(how)
            self._child.wait(PATIENCE_S)
            self._child = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal. Raises `InputError` where it does not run."""
        if self._child is None:
            raise InputError("the broker does not run")
        self._child.send_signal(number)

    def _listens(self) -> bool:
        if self._child is None or self._child.poll() is not None:
            raise InputError("the broker did not start")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


@contextmanager
def broker(folder: Path, *settings: str, tls: Path | None = None, started: bool = True) -> Iterator[Broker]:
    """One that is killed at the end. Raises `Absent` without mosquitto."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Broker(folder, *settings, tls=tls)
    try:
        if started:
            found.start()
        yield found
    finally:
        found.end(signal.SIGKILL)


class Peer:
    """A client of the broker with a session that outlives its connections, and all that it got, in order."""

    def __init__(
        self, broker: Broker, name: str = "watcher", topic: str = f"{PATH}/#", login: tuple[str, str] | None = None
    ) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._topic, self._lock = topic, threading.Condition()
        self._subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
        self.client.reconnect_delay_set(0.2, 0.2)  # type: ignore[arg-type]  # it takes fractions, too
        if login is not None:
            self.client.username_pw_set(*login)
        self.client.on_connect, self.client.on_message = self._connected, self._received
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.connect("127.0.0.1", broker.port, 60)
        self.client.loop_start()
        if not self._subscribed.wait(PATIENCE_S):
            raise InputError(f"the broker let nobody subscribe within {PATIENCE_S:g} s")

    def _connected(
        self, client: Client, data: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        client.subscribe(self._topic, qos=1)

    def _received(self, client: Client, data: object, message: MQTTMessage) -> None:
        with self._lock:
            self.messages.append((message.topic.removeprefix(f"{PATH}/"), bytes(message.payload), message.retain))
            self._lock.notify_all()

    def of(self, topic: str) -> list[dict[str, Any]]:
        """What came on a topic, as documents."""
        with self._lock:
            return [json.loads(payload) for name, payload, _ in self.messages if name == topic]

    def wait(self, topic: str, right: Callable[[dict[str, Any]], object] = lambda document: True) -> dict[str, Any]:
        """The first document on a topic that is right, be it there or to come. Raises `InputError` where none comes."""
        seen = 0
        until_s = time.monotonic() + PATIENCE_S
        while True:
            documents = self.of(topic)
            for document in documents[seen:]:
                if right(document):
                    return document
            seen = len(documents)
            with self._lock:
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    raise InputError(f"nothing of the kind came on {topic}: {documents[-3:]}")
                self._lock.wait(min(left_s, 0.1))

    def send(self, document: object, retain: bool = False) -> None:
        """A command, or bytes in its place."""
        payload = document if isinstance(document, bytes) else json.dumps(document)
        self.client.publish(f"{PATH}/command", payload, qos=1, retain=retain).wait_for_publish(PATIENCE_S)

    def ask(self, name: str, id: str, **values: object) -> dict[str, Any]:
        """The answer to a command."""
        self.send({"command": name, "id": id, "sent_at_ms": now_ms(), **values})
        return self.wait("answer", lambda each: each["id"] == id)

    def close(self) -> None:
        """Leave the broker."""
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def peer(broker: Broker, **options: Any) -> Iterator[Peer]:
    """One that leaves at the end."""
    found = Peer(broker, **options)
    try:
        yield found
    finally:
        found.close()
