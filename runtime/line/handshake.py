"""The handshake with a line controller: one state machine, to which every protocol is bound.

The vocabulary is that of established sensors (trigger ready, trigger acknowledge, missed acquisition, results valid,
results acknowledge, buffer overrun). Its rules:

- **A trigger is accepted or refused, at once.** An accepted one gets an acquisition id and ends in exactly one result.
  A refused one gets its cause at once, and no result: the controller rejects that part, as it rejects any part of which
  no pass arrives in time.
- **A result is never lost.** A trigger is accepted only while there is a place for its result: parts under way and
  results that nobody acknowledged are `BUFFER` together at most.
- **No pass after its deadline.** A part without a result at its deadline gets ``LATE``; what the detector says of it
  afterwards is counted and dropped. A pass that waited behind others until its deadline turns into ``LATE`` before
  anybody sees it. A result that was shown once does not change.
- **Nothing is replayed.** A start draws a new session id and counts from 1. A controller that comes after another sees
  nothing of it: `forget` drops what was its, and the ids count on.
- **The heartbeat is the inference loop's.** `beat` is called with each of its passes, idle ones included, by nothing
  else. While the line is held, it stands still; while somebody has paused it, it goes on, for nothing is wrong with it.

Time is looked at whenever anybody asks, so that a controller that polls slowly sees no pass that is out of date.
"""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

from runtime.bounds import check_above_zero, check_between
from runtime.line.challenge import Challenge
from runtime.line.gate import MOST_PARTS, AtGate, RejectGate
from runtime.line.results import LARGEST_U32, UNINSPECTED, Cause, Code, Mode, Outcome, Part, Result
from runtime.pause import PAUSED

BUFFER = 8  # results and parts under way together
UNREADABLE = Part(0)
HEARTBEAT_MODULUS = 2**16


class State(IntEnum):
    """What the runtime is doing, for people and for controllers that show it. A controller acts on the bits."""

    OFFLINE = 0
    NOT_READY = 1
    READY = 2
    ACQUIRING = 3
    INSPECTING = 4
    RESULT = 5


@dataclass(frozen=True)
class Acquisition:
    """An accepted trigger under way."""

    acquisition_id: int
    part: Part
    mode: Mode
    triggered_s: float  # monotonic clock
    deadline_s: float  # monotonic clock
    acquired: bool = False


@dataclass(frozen=True)
class Refusal:
    """A trigger that gets no result. The part is to be rejected."""

    part: Part
    cause: Cause
    reason: str


@dataclass(frozen=True)
class Inspected:
    """By what parts are inspected, and what the controller wants in its place."""

    recipe: str = ""  # in force, by name; empty where the runtime was given a file
    version: int = 0
    asked: str | None = None  # that is being put in force
    refused: bool = False  # what was asked for last


@dataclass(frozen=True)
class View:
    """All that a controller can see at one moment."""

    state: State
    session_id: int
    heartbeat: int
    mode: Mode
    online: bool
    trigger_ready: bool
    acquiring: bool
    inspecting: bool
    missed_acquisition: bool  # the last trigger was refused
    buffer_overrun: bool  # the last trigger was refused since no result was acknowledged
    challenge_due: bool  # triggers of challenge parts alone are accepted
    error: Cause
    error_text: str
    acquisition_id: int  # of the last accepted trigger; 0 before the first
    accepted: int  # triggers of this session
    missed: int
    missed_part_id: int  # of the last refused trigger; 0 where it has none that is in range
    missed_cause: Cause  # of the last refused trigger
    too_late: int  # answers of the detector that came after the deadline, and were dropped
    waiting: int  # results that nobody acknowledged
    result: Result | None  # the oldest of them
    inspected: Inspected
    gate: AtGate  # where there is no gate, nothing came to it


class Listener(Protocol):
    """Who is told of each result and refusal: records, and who publishes them. Called with the handshake locked: it
    must neither wait nor raise."""

    def given(self, result: Result) -> None:
        """A result; once more where a pass is taken back before anybody saw it."""

    def missed(self, refusal: Refusal) -> None:
        """A trigger that gets no result."""


def new_session_id() -> int:
    """Another one after each start, never 0."""
    return 1 + secrets.randbelow(LARGEST_U32)


class Handshake:
    """One camera's handshake. From any thread."""

    def __init__(
        self,
        deadline_s: float,
        at_once: int = 1,
        clock: Callable[[], float] = time.monotonic,
        session_id: int | None = None,
        challenge: Challenge | None = None,
        gate: RejectGate | None = None,
    ) -> None:
        """`deadline_s` from trigger to result; `at_once` parts may be under way. Begins not ready, online, and with
        the `challenge` parts due.

        Raises `InputError` for a deadline that is none, and for `at_once` outside 1 to `BUFFER`.
        """
        check_above_zero("the deadline of a part", deadline_s)
        check_between("the number of parts under way at once", at_once, 1, BUFFER)
        self.session_id = new_session_id() if session_id is None else session_id
        self.deadline_s, self.at_once, self._clock = deadline_s, at_once, clock
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)  # a trigger was accepted
        self._resulted = threading.Condition(self._lock)  # there is a result, or one less
        self._under_way: dict[int, Acquisition] = {}
        self._new: deque[Acquisition] = deque()  # accepted, not taken yet
        self._results: deque[Result] = deque()
        self._deadlines: dict[int, float] = {}  # of results that nobody saw, by inspection id
        self._listeners: list[Listener] = []
        self._gate = gate
        self._challenge = challenge or Challenge(0, 0)
        self._challenge.begin("the runtime was started")
        self._ready, self._offline, self._enabled = False, False, True
        self._held: tuple[Cause, str] | None = None
        self._paused_by: str | None = None
        self._not_ready: tuple[Cause, str] = (Cause.NOT_READY, "warming up")
        self._mode = Mode.RUN
        self._inspected = Inspected()
        self._beats = self._accepted = self._missed = self._too_late = self._inspections = 0
        self._refused: Refusal | None = None  # the last trigger, where it was refused
        self._refusal = ""  # why the recipe that the controller wanted last could not be had
        self._missed_part_id, self._missed_cause = 0, Cause.NONE
        self._controllers = 0  # that are gone
        self._forgotten = 0  # acquisitions up to this one are of controllers that are gone

    def listen(self, listener: Listener) -> None:
        """Tell one more of each result and refusal from now on."""
        with self._lock:
            self._listeners.append(listener)

    # the runtime's side

    def ready(self) -> None:
        """The detector is warm and the camera open: accept triggers, unless the controller wants another recipe, or
        wanted one that it could not have."""
        with self._lock:
            if self._inspected.refused:
                self._not_ready = (Cause.NOT_READY, self._refusal)
            elif self._inspected.asked is None:
                self._ready, self._not_ready = True, (Cause.NONE, "")

    def not_ready(self, cause: Cause, reason: str) -> None:
        """Refuse triggers until `ready`; parts under way end at their deadlines, or with what `finish` says."""
        with self._lock:
            self._ready, self._not_ready = False, (cause, reason)

    def hold(self, cause: Cause, reason: str) -> None:
        """Hold the line: triggers are refused, passes that nobody saw and those before the gate become rejects, the
        heartbeat stands still."""
        with self._lock:
            self._held = (cause, reason)
            if self._gate is not None:
                self._gate.take_back()
            self._take_back_unseen()

    def release(self) -> None:
        """End a `hold`."""
        with self._lock:
            self._held = None

    @property
    def is_held(self) -> bool:
        """Whether a `hold` stands, whatever else refuses triggers."""
        with self._lock:
            return self._held is not None

    @property
    def paused_by(self) -> str | None:
        """Who paused the line; None while nobody did."""
        with self._lock:
            return self._paused_by

    def pause(self, by: str) -> None:
        """Hold the line at reject for somebody, in every mode: triggers are refused, and passes that nobody saw become
        rejects. Beside `hold`, so that neither ends the other; the heartbeat goes on."""
        with self._lock:
            self._paused_by = by
            if self._gate is not None:
                self._gate.take_back(uninspected=True)
            self._take_back_unseen()

    def resume(self) -> None:
        """End a `pause`."""
        with self._lock:
            self._paused_by = None

    def begin_challenge(self, reason: str) -> None:
        """Have the challenge parts due: a shift begins, the recipe was changed, or somebody asks."""
        with self._lock:
            self._challenge.begin(reason)

    def set_recipe(self, name: str, version: int, asked: str | None = None) -> None:
        """A recipe is in force; with `asked` because the controller wanted it by that name. `ready` follows. Anything
        else that the controller wants, or was refused, stays as it is: this is no answer to it."""
        with self._lock:
            is_answer = asked is not None and self._inspected.asked == asked
            self._inspected = (
                Inspected(name, version) if is_answer else replace(self._inspected, recipe=name, version=version)
            )

    def refuse_recipe(self, asked: str, reason: str) -> None:
        """What the controller wanted by the name `asked` cannot be put in force. Its next parts are other ones than
        before, so triggers are refused until it wants one that can; it may want that by now."""
        with self._lock:
            if self._inspected.asked == asked:
                self._inspected, self._refusal = replace(self._inspected, asked=None, refused=True), reason
                self.not_ready(Cause.NOT_READY, reason)

    @property
    def asked_recipe(self) -> str | None:
        """What the controller wants and nobody has answered."""
        with self._lock:
            return self._inspected.asked

    def beat(self) -> None:
        """A pass of the inference loop. Also sees to deadlines, so that they pass while nobody asks."""
        with self._lock:
            self._advance()
            if self._held is None:
                self._beats = (self._beats + 1) % HEARTBEAT_MODULUS

    def take(self, timeout_s: float | None = None) -> Acquisition | None:
        """The next accepted trigger, for whoever takes the picture; None when none came within `timeout_s`.

        One whose deadline has passed meanwhile is not given out: it has its result.
        """
        with self._lock:
            self._arrived.wait_for(lambda: self._new, timeout_s)
            self._advance()
            return self._new.popleft() if self._new else None

    def acquired(self, acquisition_id: int) -> None:
        """The picture of a part is there; the part itself may move on."""
        with self._lock:
            if (one := self._under_way.get(acquisition_id)) is not None:
                self._under_way[acquisition_id] = replace(one, acquired=True)

    def finish(self, acquisition_id: int, outcome: Outcome) -> Result | None:
        """The detector's answer for a part: the result that the controller gets, or None where it has one already."""
        with self._lock:
            self._advance()
            one = self._under_way.pop(acquisition_id, None)
            if one is None:
                self._too_late += self._forgotten < acquisition_id <= self._accepted
                return None
            return self._give(one, self._challenged(one.part, self._allowed(outcome)))

    def drain(self, timeout_s: float) -> bool:
        """Refuse triggers and wait until no part is under way and no result waits; whether that came in time."""
        with self._lock:
            self.not_ready(Cause.STOPPED, "the runtime is being stopped")
            return self._wait_while(lambda: bool(self._under_way or self._results), timeout_s)

    def finish_parts(self, cause: Cause, reason: str, timeout_s: float) -> bool:
        """Refuse triggers and wait until no part is under way; whether that came in time."""
        with self._lock:
            self.not_ready(cause, reason)
            return self._wait_while(lambda: bool(self._under_way), timeout_s)

    def stop(self) -> None:
        """Refuse triggers for good and end what is under way: each part gets its reject."""
        with self._lock:
            self._ready, self._not_ready = False, (Cause.STOPPED, "the runtime was stopped")
            self._new.clear()
            for number in list(self._under_way):
                one = self._under_way.pop(number)
                self._give(one, Outcome(Code.NO_DECISION, Cause.STOPPED, "the runtime was stopped"))

    @property
    def heartbeat(self) -> int:
        """As a controller sees it, for whoever watches the runtime: no result is seen by asking."""
        with self._lock:
            return self._beats

    # the controller's side

    def enable(self, enabled: bool) -> None:
        """Trigger enable."""
        with self._lock:
            self._enabled = enabled

    def set_offline(self, offline: bool) -> None:
        """Take the runtime offline, or back: triggers are refused, parts under way are finished."""
        with self._lock:
            self._offline = offline

    def set_mode(self, mode: Mode) -> None:
        """The mode of the triggers that follow."""
        with self._lock:
            self._mode = mode

    def trigger(self, part: Part) -> Acquisition | Refusal:
        """A part stands before the camera."""
        with self._lock:
            now_s = self._advance()
            cause, reason = self._refusing(part)
            if cause is not Cause.NONE:
                return self._missed_trigger(Refusal(part, cause, reason))
            self._refused = None
            self._accepted += 1
            one = Acquisition(self._accepted, part, self._mode, now_s, now_s + self.deadline_s)
            if self._gate is not None:
                self._gate.triggered(one.acquisition_id, part)
            if one.mode in UNINSPECTED:
                code, reason = UNINSPECTED[one.mode]
                self._give(one, Outcome(code, Cause.NONE, reason))
            else:
                self._under_way[one.acquisition_id] = one
                self._new.append(one)
                self._arrived.notify()
            return one

    def move(self, encoder: int) -> None:
        """The count of the line's encoder, 0 to 2³² − 1, for a reject gate that goes by it."""
        with self._lock:
            if self._gate is not None:
                self._gate.moved(encoder)

    def refuse(self, reason: str, part: Part = UNREADABLE) -> Refusal:
        """A trigger whose part cannot even be read, or whose picture cannot be what it says."""
        with self._lock:
            return self._missed_trigger(Refusal(part, Cause.BAD_INPUT, reason))

    def acknowledge(self, inspection_id: int) -> bool:
        """The controller has the oldest result; it is forgotten. False where that is another, or was never seen."""
        with self._lock:
            if not self._results or self._results[0].inspection_id != inspection_id:
                return False
            if inspection_id in self._deadlines:  # nobody saw it, so nobody can have it
                return False
            self._results.popleft()
            self._resulted.notify_all()
            return True

    def view(self, sees: bool = True) -> View:
        """What a controller sees now. The oldest result has been seen after it, and does not change any more; without
        `sees` it is not shown, and a pass in it grows old."""
        with self._lock:
            self._advance()
            return self._view(sees)

    def unsee(self) -> None:
        """The oldest result may not have reached the controller: as long as it is not acknowledged, it was not seen."""
        with self._lock:
            if self._results:
                oldest = self._results[0]
                self._deadlines.setdefault(oldest.inspection_id, oldest.triggered_s + self.deadline_s)

    def wait_for_result(self, timeout_s: float) -> Result | None:
        """The oldest result, seen, or None when there is none within `timeout_s` or before the controller is gone."""
        with self._lock:
            until_s, controllers = time.monotonic() + timeout_s, self._controllers
            while not self._results and controllers == self._controllers:
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    break
                self._resulted.wait(min(left_s, self._until_deadline_s()))
                self._advance()
            self._advance()
            return self._seen()

    def forget(self) -> list[Part]:
        """The controller is gone: its parts under way and its results are dropped, and nobody sees them any more. Those
        before a gate that counts parts are rejected.

        Their parts are returned, results first. What the detector still says of them is dropped and not counted. Mode,
        trigger enable and offline stay as they are.
        """
        with self._lock:
            self._advance()
            parts = [result.part for result in self._results] + [one.part for one in self._under_way.values()]
            for kept in (self._results, self._deadlines, self._under_way, self._new):
                kept.clear()
            self._forgotten, self._refused = self._accepted, None
            self.was_away()
            self._controllers += 1
            self._resulted.notify_all()
            return parts

    def was_away(self) -> None:
        """The controller may have let parts by while it was not connected, or none was: see `RejectGate`."""
        with self._lock:
            if self._gate is not None:
                self._gate.missed_parts()

    def ask_recipe(self, name: str) -> None:
        """The parts that follow want another recipe: triggers are refused until it is in force."""
        with self._lock:
            self._inspected = replace(self._inspected, asked=name, refused=False)
            self.not_ready(Cause.NOT_READY, f"the recipe {name!r} is being put in force")

    # inside

    def _wait_while(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Whether results came until it holds no longer, in time."""
        until_s = time.monotonic() + timeout_s
        while holds():
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            self._resulted.wait(min(left_s, self._until_deadline_s()))
            self._advance()
        return True

    def _advance(self) -> float:
        """Let deadlines pass; the time now."""
        now_s = self._clock()
        late = [number for number, one in self._under_way.items() if now_s > one.deadline_s]
        for number in late:
            one = self._under_way.pop(number)
            self._new = deque(each for each in self._new if each.acquisition_id != number)
            reason = f"no result within {self.deadline_s * 1e3:.0f} ms"
            self._give(one, self._challenged(one.part, Outcome(Code.NO_DECISION, Cause.LATE, reason)))
        return now_s

    def _until_deadline_s(self) -> float:
        """How long nobody has to look: until the next deadline, be it that of a trigger that comes right now."""
        now_s = self._clock()
        left_s = (one.deadline_s - now_s for one in self._under_way.values())
        return max(0.001, min(left_s, default=self.deadline_s))

    def _missed_trigger(self, refusal: Refusal) -> Refusal:
        self._refused = refusal
        self._missed += 1
        self._missed_part_id = refusal.part.part_id if 0 <= refusal.part.part_id <= LARGEST_U32 else 0
        self._missed_cause = refusal.cause
        if self._gate is not None and not self._gate.is_full:
            self._gate.triggered(None, replace(refusal.part, part_id=self._missed_part_id))
        for listener in self._listeners:
            listener.missed(refusal)
        return refusal

    def _refusing(self, part: Part | None) -> tuple[Cause, str]:
        """Why a trigger would be refused now; `Cause.NONE` where it would not."""
        if part is not None and (problem := part.problem) is not None:
            return Cause.BAD_INPUT, problem
        if self._offline:
            return Cause.OFFLINE, "set offline"
        if not self._enabled:
            return Cause.DISABLED, "trigger enable is off"
        if self._gate is not None and self._gate.is_full:
            return Cause.BAD_INPUT, f"{MOST_PARTS:,} parts are before the reject gate: the encoder does not count"
        if self._paused_by is not None:
            return self._pause_in_words()
        if self._mode not in UNINSPECTED and not self._ready:
            return self._not_ready
        if self._mode not in UNINSPECTED and self._held is not None:
            return self._held
        is_other = part is None or part.challenge is Code.NONE
        if self._mode not in UNINSPECTED and self._challenge.is_due and is_other:
            return Cause.CHALLENGE, f"challenge parts are due: {self._challenge.in_words()}"
        if len(self._under_way) >= self.at_once:
            return Cause.OVERRUN, f"{len(self._under_way)} parts are under way, {self.at_once} can be"
        if len(self._under_way) + len(self._results) >= BUFFER:
            return Cause.UNACKNOWLEDGED, f"{len(self._results)} results wait to be acknowledged"
        return Cause.NONE, ""

    def _pause_in_words(self) -> tuple[Cause, str]:
        return Cause.HELD, f"{PAUSED} {self._paused_by}"

    def _allowed(self, outcome: Outcome) -> Outcome:
        """The outcome as a hold leaves it."""
        if (self._held is None and self._paused_by is None) or outcome.code is not Code.OK:
            return outcome
        cause, reason = self._held or self._pause_in_words()
        return replace(outcome, code=Code.NO_DECISION, cause=cause, reason=f"the line is held: {reason}")

    def _challenged(self, part: Part, outcome: Outcome) -> Outcome:
        """The outcome of a challenge part as it may be given: a known bad part never passes."""
        if part.challenge is Code.NONE:
            return outcome
        wrong = self._challenge.judged(part.challenge, outcome.code, outcome.reason)
        if wrong is None or outcome.code is not Code.OK:
            return outcome
        return replace(outcome, code=Code.NO_DECISION, cause=Cause.CHALLENGE, reason=wrong)

    def _give(self, one: Acquisition, outcome: Outcome) -> Result:
        self._inspections += 1
        result = Result(
            self._inspections, one.acquisition_id, one.part, outcome.code, outcome.cause, outcome.reason, one.mode,
            one.triggered_s, self._clock(), outcome.score, outcome.threshold,
        )  # fmt: skip
        if one.mode is not Mode.DRY_RUN:
            self._results.append(result)
            self._deadlines[result.inspection_id] = one.deadline_s
        self._resulted.notify_all()
        self._tell(result)
        return result

    def _seen(self) -> Result | None:
        """The oldest result. From now on it is seen; a pass that is out of date by now is none."""
        if not self._results:
            return None
        oldest = self._results[0]
        deadline_s = self._deadlines.pop(oldest.inspection_id, None)
        if deadline_s is None or not oldest.passes:
            return oldest
        if (held := self._holding(oldest)) is not None:
            self._take_back(0, *held)
        elif self._clock() > deadline_s:
            reason = f"a pass that nobody took within {self.deadline_s * 1e3:.0f} ms of the trigger"
            self._take_back(0, Cause.LATE, reason)
        return self._results[0]

    def _holding(self, result: Result) -> tuple[Cause, str] | None:
        """Why no pass of this result's mode is given now; None where it is."""
        if self._paused_by is None and (self._held is None or result.mode in UNINSPECTED):
            return None
        cause, why = self._held or self._pause_in_words()
        return cause, f"the line is held: {why}"

    def _take_back_unseen(self) -> None:
        """Passes that nobody saw become rejects, whoever looks at them when."""
        for index, each in enumerate(self._results):
            held = self._holding(each)
            if each.passes and each.inspection_id in self._deadlines and held is not None:
                self._take_back(index, *held)

    def _take_back(self, index: int, cause: Cause, reason: str) -> None:
        self._results[index] = replace(self._results[index], code=Code.NO_DECISION, cause=cause, reason=reason)
        self._tell(self._results[index])

    def _tell(self, result: Result) -> None:
        if self._gate is not None:
            self._gate.judged(result)
        for listener in self._listeners:
            listener.given(result)

    def _view(self, sees: bool) -> View:
        cause, reason = self._refusing(None)
        ready = cause is Cause.NONE
        result = self._seen() if sees else None
        acquiring = any(not one.acquired for one in self._under_way.values())
        inspecting = any(one.acquired for one in self._under_way.values())
        lasting = cause not in (Cause.OVERRUN, Cause.DISABLED, Cause.OFFLINE)
        return View(
            state=self._state(acquiring, inspecting, bool(self._results)),
            session_id=self.session_id,
            heartbeat=self._beats,
            mode=self._mode,
            online=not self._offline,
            trigger_ready=ready,
            acquiring=acquiring,
            inspecting=inspecting,
            missed_acquisition=self._refused is not None,
            buffer_overrun=self._refused is not None and self._refused.cause is Cause.UNACKNOWLEDGED,
            challenge_due=self._challenge.is_due,
            error=cause if lasting else Cause.NONE,
            error_text=reason if lasting else "",
            acquisition_id=self._accepted,
            accepted=self._accepted,
            missed=self._missed,
            missed_part_id=self._missed_part_id,
            missed_cause=self._missed_cause,
            too_late=self._too_late,
            waiting=len(self._results),
            result=result,
            inspected=self._inspected,
            gate=AtGate() if self._gate is None else self._gate.seen,
        )

    def _state(self, acquiring: bool, inspecting: bool, has_result: bool) -> State:
        if self._offline:
            return State.OFFLINE
        if not self._ready or self._held is not None or self._paused_by is not None:
            return State.NOT_READY
        if acquiring:
            return State.ACQUIRING
        if inspecting:
            return State.INSPECTING
        return State.RESULT if has_result else State.READY
