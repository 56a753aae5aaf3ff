"""What happened, as the documents of `messages`."""

import itertools
import json
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from runtime.line.handshake import Refusal
from runtime.line.inspection_loop import outcome_of
from runtime.line.results import Code, Mode, Part, Result
from runtime.publishing.messages import DROPPED, LONGEST_REASON, REFUSAL, VERDICT, VERSION, Message
from runtime.publishing.place import Place
from runtime.verdict import Verdict

Document = dict[str, Any]


@dataclass(frozen=True)
class Queued:
    """A document that waits for whoever takes it."""

    id: str
    topic: str  # its name, below the station's
    body: bytes  # JSON
    rejects: bool  # it tells of a part that does not pass
    tells: int = 0  # of one that tells how many were dropped: their number so far


def encoded(document: Document) -> bytes:
    """A document as it is sent: JSON in ASCII."""
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


class Writer:
    """Makes one session's documents. From any thread."""

    def __init__(self, place: Place, session_id: int) -> None:
        self.place, self.session_id = place, session_id
        self.started_at_ms = now_ms()
        self._events, self._lock = itertools.count(1), threading.Lock()

    def head(self, message: Message) -> Document:
        """What every document begins with."""
        return {
            "kind": message.kind,
            "version": VERSION,
            **self.place.names,
            "session_id": self.session_id,
            "at_ms": now_ms(),
        }

    def result(self, result: Result, revision: int) -> Queued:
        """A line's verdict; `revision` counts from 0 where a verdict is taken back."""
        number = result.inspection_id
        return self._verdict(
            result.code,
            {
                "id": self.verdict_id(number, revision),
                "replaces": self.verdict_id(number, revision - 1) if revision else None,
                "inspection_id": number,
                "acquisition_id": result.acquisition_id,
                **_part(result.part),
                "code": result.code.name,
                "cause": result.cause.name,
                "reason": result.reason[:LONGEST_REASON],
                "score": _finite(result.score),
                "threshold": _finite(result.threshold),
                "mode": result.mode.name,
                "triggered_at_ms": _wall_ms(result.triggered_s),
                "captured_at_ms": None,
                "decided_at_ms": _wall_ms(result.finished_s),
                "took_ms": round(max(0.0, result.took_ms), 3),
                "camera": None,
                "frame_id": None,
                "recipe_sha256": None,
            },
        )

    def verdict(self, verdict: Verdict, number: int) -> Queued:
        """A stream's verdict, the session's `number`-th."""
        outcome = outcome_of(verdict)
        triggered = verdict.triggered_s
        return self._verdict(
            outcome.code,
            {
                "id": self.verdict_id(number),
                "replaces": None,
                "inspection_id": number,
                "acquisition_id": None,
                "part_id": verdict.part_id,
                "serial": None,
                "order": None,
                "code": outcome.code.name,
                "cause": outcome.cause.name,
                "reason": outcome.reason[:LONGEST_REASON],
                "score": _finite(outcome.score),
                "threshold": _finite(outcome.threshold),
                "mode": Mode.RUN.name,
                "triggered_at_ms": None if triggered is None else _wall_ms(triggered),
                "captured_at_ms": max(0, round(verdict.captured_at * 1e3)),
                "decided_at_ms": max(0, round(verdict.decided_at * 1e3)),
                "took_ms": round(
                    max(0.0, verdict.decided_s - (verdict.captured_s if triggered is None else triggered)) * 1e3, 3
                ),
                "camera": verdict.camera,
                "frame_id": verdict.frame_id,
                "recipe_sha256": verdict.recipe_sha256,
            },
        )

    def refusal(self, refusal: Refusal) -> Queued:
        """A refused trigger."""
        document = self.head(REFUSAL) | {
            "id": self._event_id("refusal"),
            **_part(refusal.part),
            "cause": refusal.cause.name,
            "reason": refusal.reason[:LONGEST_REASON],
        }
        return Queued(document["id"], REFUSAL.topic, encoded(document), True)

    def dropped(self, count: int, total: int) -> Queued:
        """Documents that were dropped since the last of these."""
        document = self.head(DROPPED) | {"id": self._event_id("dropped"), "count": count, "total": total}
        return Queued(document["id"], DROPPED.topic, encoded(document), True, total)

    def verdict_id(self, inspection_id: int, revision: int = 0) -> str:
        """Of a verdict: session and inspection, and which one it is where the first was taken back."""
        return f"{self.session_id:08x}-{inspection_id}{f'.{revision}' if revision else ''}"

    def _event_id(self, kind: str) -> str:
        with self._lock:
            return f"{self.session_id:08x}-{kind}-{next(self._events)}"

    def _verdict(self, code: Code, values: Document) -> Queued:
        document = self.head(VERDICT) | values
        return Queued(document["id"], VERDICT.topic, encoded(document), code is not Code.OK)


def now_ms() -> int:
    """The wall clock, milliseconds since 1970 UTC."""
    return max(0, time.time_ns() // 1_000_000)


def _wall_ms(monotonic_s: float) -> int:
    return max(0, round((time.time() - (time.monotonic() - monotonic_s)) * 1e3))


def _part(part: Part) -> Document:
    return {"part_id": str(part.part_id), "serial": part.serial or None, "order": part.order or None}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
