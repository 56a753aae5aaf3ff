"""Records of a line: what the controller was told of each part, with what the detector saw of it."""

import threading
import time
from collections import OrderedDict

from runtime.frames import Frame
from runtime.line.handshake import BUFFER, Refusal
from runtime.line.results import Code, Mode, Part, Result
from runtime.recipe import Recipe
from runtime.records.record import Record, details_of
from runtime.records.store import RecordStore
from runtime.verdict import Verdict

MOST_TAKEN_BACK = 1000  # parts between camera and reject gate whose passes may still be taken back


class Recorder:
    """A `Listener` of the handshake that writes records. From any thread; it never waits for the disk."""

    def __init__(self, store: RecordStore, recipe: Recipe) -> None:
        self.store = store
        self.follow(recipe)
        self._seen: OrderedDict[int, tuple[Frame, Verdict]] = OrderedDict()
        self._by: OrderedDict[int, tuple[str, float]] = OrderedDict()  # hash and threshold of the recipe that inspected
        self._lock = threading.Lock()

    def follow(self, recipe: Recipe) -> None:
        """Parts are inspected by this recipe from now on."""
        self._recipe, self._threshold = recipe.sha256, recipe.threshold.value

    def inspected(self, acquisition_id: int, frame: Frame, verdict: Verdict) -> None:
        """What the detector says of a part, before the handshake is told."""
        with self._lock:
            self._seen[acquisition_id] = frame, verdict
            while len(self._seen) > 2 * BUFFER:  # of results that were late
                self._seen.popitem(last=False)
            self._by[acquisition_id] = verdict.recipe_sha256, verdict.threshold
            while len(self._by) > MOST_TAKEN_BACK:
                self._by.popitem(last=False)

    def given(self, result: Result) -> None:
        """See `Listener`."""
        with self._lock:
            frame, verdict = self._seen.pop(result.acquisition_id, (None, None))
            by = self._by.get(result.acquisition_id)  # a pass that is taken back was another recipe's, perhaps
        plain = result.passes and result.mode is Mode.RUN and (verdict is None or not verdict.passed_as_small)
        self.store.add(
            self._record(
                result.part,
                result.code,
                None if plain else result.reason,
                since_s=result.triggered_s,
                took_ms=result.took_ms,
                number=result.acquisition_id,
                score=result.score,
                mode=result.mode,
                details=None if verdict is None else details_of(verdict),
                by=by,
            ),
            None if frame is None or frame.problem else frame.image,
        )

    def missed(self, refusal: Refusal) -> None:
        """See `Listener`."""
        self.store.add(
            self._record(
                refusal.part,
                Code.NO_DECISION,
                f"trigger refused, {refusal.cause.name}: {refusal.reason}",
                since_s=time.monotonic(),
            )
        )

    def _record(
        self,
        part: Part,
        code: Code,
        reason: str | None,
        since_s: float,
        took_ms: float = 0.0,
        number: int = 0,
        score: float | None = None,
        mode: Mode = Mode.RUN,
        details: str | None = None,
        by: tuple[str, float] | None = None,
    ) -> Record:
        recipe, threshold = by or (self._recipe, self._threshold)
        now_ns, age_s = time.time_ns(), time.monotonic() - since_s
        return Record(
            frame_id=number,
            part_id=str(part.part_id),
            decided_ns=now_ns,
            captured_ns=now_ns - round(age_s * 1e9),
            latency_us=round(took_ms * 1e3),
            decision=code,
            score=score,
            threshold=threshold,
            reason=reason,
            details=details,
            recipe=recipe,
            batch=part.order or None,
            serial=part.serial or None,
            mode=mode,
        )
