"""Verdicts of a stream to an MQTT broker and to a webhook, as sinks."""

import itertools
import threading

from runtime.frames import Frame
from runtime.publishing.documents import Writer
from runtime.publishing.publisher import Publisher
from runtime.verdict import Verdict


class PublishedSink:
    """Hands each verdict to a `Publisher`, which never waits for its peer and counts itself what it loses."""

    essential = True  # called at once, and never raises what a network does

    def __init__(self, name: str, writer: Writer, publisher: Publisher) -> None:
        self.name = name
        self._writer, self._publisher = writer, publisher
        self._numbers, self._lock = itertools.count(1), threading.Lock()

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """See `Sink.write`."""
        with self._lock:
            self._publisher.add(self._writer.verdict(verdict, next(self._numbers)))

    @property
    def lost(self) -> int:
        """See `LosingSink`."""
        return self._publisher.outbox.dropped

    def close(self) -> None:
        """Send what waits, for seconds at most."""
        self._publisher.close()
