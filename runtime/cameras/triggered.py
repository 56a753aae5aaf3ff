"""A triggered camera: each trigger ends in exactly one frame, with the picture of its part or with a problem.

Never another part's picture: `runtime.cameras.pairing` has the argument for triggers that are sent by this program, and
`runtime.cameras.counted` the one for a camera that its own input triggers. This module keeps the books around them.
What it promises, and by what:

- One result a trigger. A trigger is at most one of these at a time: refused (its frame with a problem is handed out at
  once), waiting (`_waiting`, one at most), or answered. Waiting ends in one place, under one lock: with its picture,
  when its time is over, or when the camera is lost.
- No silence about an overrun. A trigger that comes while another waits, while a picture waits for the engine, or while
  the camera is lost or resynchronized, is refused by a frame with that problem, for its part.
- No wait without end. The time of a waiting trigger is looked at by whoever reads, not by the thread that waits for
  pictures: a driver that hangs delays no reject, and is noticed.
- No end by an error. Whatever is raised while pictures are taken is a loss of the camera, and whatever a trigger raises
  is a refusal of that trigger.
- A camera that is silent is asked whether it is there, every second: between two triggers silence is normal. One that
  is not, or that ignores ten triggers in a row, is opened again; triggers meanwhile are refused.

The problems begin with what a summary counts them by (`PROBLEMS` in `runtime.frames`).
"""

import itertools
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Condition, Event, Lock, Thread

from runtime.cameras.base import HARDWARE, SOFTWARE
from runtime.cameras.capture import Damaged, Shot, TriggeredCapture
from runtime.cameras.counted import CountedParts
from runtime.cameras.pairing import Match, Pairing, Sent
from runtime.cameras.reopening import FIRST_BACKOFF_S, Reopening, cause_of
from runtime.cameras.resolution import FirstSize
from runtime.closing import Closing
from runtime.errors import SourceError, SourceTimeout
from runtime.frames import Frame, missing_frame

log = logging.getLogger("proctor.cameras")

DEADLINE_S = 1.0  # from trigger to verdict
PICTURE_SHARE = 0.75  # of the deadline, in which the picture must be there; the rest is for the engine, or a reject
SETTLE_S = 1.0  # no picture is delayed longer than this, or twice the time that it is waited for if that is more
POLL_S = 0.05  # how long a capture is waited for at once
HEARTBEAT_S = 1.0  # between two questions to a silent camera
HANG_S = 5.0  # after which a driver that neither delivers nor returns is said to hang; it is asked for POLL_S
IGNORED_IN_A_ROW = 10  # triggers that bring nothing, after which a camera that answers is opened again all the same
MOST_WAITING = 1000  # frames that nobody reads, after which a trigger raises
CLOSE_TIMEOUT_S = 15.0


class TooManyWait(SourceError):
    """A trigger is not taken, since nobody reads what those before it brought. Later ones are, once somebody does."""


@dataclass(eq=False)
class _Waiting:
    """The trigger whose picture is waited for."""

    part_id: str
    triggered_s: float
    over_s: float  # when it is given up
    sent: Sent


class TriggeredSource(Closing):
    """A `Source` over a camera that takes a picture for each trigger. See the module."""

    live, drops = True, 0

    def __init__(
        self,
        name: str,
        open_capture: Callable[[], TriggeredCapture],
        mode: str = SOFTWARE,
        deadline_s: float | None = None,
        reconnect_limit: int | None = None,
        wait: bool = False,
        *,
        frame_timeout_s: float | None = None,
        settle_s: float | None = None,
        first_backoff_s: float = FIRST_BACKOFF_S,
        heartbeat_s: float = HEARTBEAT_S,
        hang_s: float = HANG_S,
    ) -> None:
        """`name` is for messages; `reconnect_limit` and `wait` are as of `LiveSource`.

        `mode`: ``software`` and ``external``, where `trigger` has the camera take a picture and only its callers
        differ; ``hardware``, where the camera's own input does, and its counter numbers the parts. `deadline_s` is from
        a trigger to its verdict (None: 1 s), `frame_timeout_s` from a trigger to its picture (None: 3/4 of it);
        `settle_s` is how late a picture may ever come after its trigger (None: 1 s, or twice `frame_timeout_s` where
        that is more; never less than that).
        Raises `SourceError` where the camera cannot be opened, and where it cannot do what the mode needs.
        """
        self._name, self._mode, self._open = name, mode, open_capture
        self._deadline_s = DEADLINE_S if deadline_s is None else deadline_s
        self._frame_timeout_s = PICTURE_SHARE * self._deadline_s if frame_timeout_s is None else frame_timeout_s
        settle_s = max(SETTLE_S, 2 * self._frame_timeout_s) if settle_s is None else settle_s
        self._settle_s = max(settle_s, self._frame_timeout_s)
        self._heartbeat_s, self._hang_s = heartbeat_s, hang_s
        self._reopening = Reopening(name, reconnect_limit, first_backoff_s)
        self._numbers = itertools.count()
        self._size = FirstSize("the camera")
        self._changed = Condition()  # guards all below
        self._frames: deque[Frame] = deque()
        self._pictures = 0  # among these
        self._waiting: _Waiting | None = None
        self._away: str | None = None  # why there is no camera
        self._lost_before = 0  # by captures before this one
        self._unpaired: Counter[str] = Counter()
        self._given_up_in_a_row = 0
        self._passed_s, self._hangs = time.monotonic(), False  # when the driver last returned; whether it does not
        self._finished = self._ended = False
        self._pairing, self._counted = self._new_pairing(), CountedParts()
        self._control = Lock()  # held while the camera is asked for a picture, and while it is released
        self._closing = Event()
        self.pairs_by = "frame counter"
        self._capture = self._reopening.first(self._fitting_capture, wait)
        if self._capture is None:
            self._away = str(self._reopening.waits_for)
        self._thread = Thread(target=self._grab, args=(self._capture,), name=f"camera {name}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """See `Source.lost`."""
        return self._lost_before + self._pairing.lost + self._counted.lost

    @property
    def unpaired(self) -> Mapping[str, int]:
        """See `Source.unpaired`: ``doubled``, ``stale``, ``ambiguous`` and ``foreign``, as `Match` names them."""
        with self._changed:
            return dict(self._unpaired)

    @property
    def reconnects(self) -> int:
        """See `Source.reconnects`."""
        return self._reopening.reconnects

    @property
    def waits_for(self) -> str | None:
        """Why the camera could not be opened yet, where it may come later."""
        return self._reopening.waits_for

    def trigger(self, part_id: str) -> None:
        """See `Source.trigger`. Raises `TooManyWait` while 1,000 frames wait that nobody reads."""
        with self._changed:
            now_s = time.monotonic()
            self._check_triggers()
            self._give_up_in_time(now_s)
            problem = self._busy()
            if problem is not None:
                self._hand_out(self._missing(part_id, now_s, problem))
                return
            capture, sent = self._capture, self._pairing.send(now_s)
            waiting = self._waiting = _Waiting(part_id, now_s, now_s + self._frame_timeout_s, sent)
            self._changed.notify_all()  # whoever reads looks at the clock for it
        try:
            with self._control:  # not with `_changed`: meanwhile pictures are taken, and this trigger may be given up
                if capture is None or self._capture is not capture:
                    raise SourceError("it was lost meanwhile")
                if self._waiting is not waiting:  # it was held up: now another may wait, whose picture this would take
                    raise SourceError("its time was over before it was sent")
                capture.trigger()
        except Exception as error:  # whoever triggers goes on with the next part
            if not isinstance(error, SourceError):
                log.exception("%s did not take a trigger", self._name)
            self._refuse(waiting, cause_of(error))
        except BaseException as error:
            self._refuse(waiting, type(error).__name__)
            raise
        finally:
            sent.acknowledged_s = time.monotonic()  # one that failed may have reached the camera all the same

    def finish(self) -> None:
        """See `Source.finish`."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`. Frame ids count the frames that are read."""
        until_s = time.monotonic() + timeout_s
        with self._changed:
            while True:
                now_s = time.monotonic()
                self._give_up_in_time(now_s)
                self._notice_a_hang(now_s)
                if self._frames:
                    frame = self._frames.popleft()
                    self._pictures -= frame.problem is None
                    return replace(frame, frame_id=next(self._numbers))
                if self._closing.is_set() or (self._finished and self._waiting is None):
                    return None
                if self._ended:
                    raise self._failure()
                if now_s >= until_s:
                    raise SourceTimeout(
                        f"no frame from {self._name} within {timeout_s:g} s; no part has come, or it still waits"
                    )
                self._changed.wait(max(0.0, min(until_s, self._next_look_s()) - now_s))

    def close(self) -> None:
        """See `Source.close`. Waits until the capture gives up, up to 15 s."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _refuse(self, waiting: _Waiting, reason: str) -> None:
        """Give up a trigger that was not taken, unless its time is over already."""
        with self._changed:
            if self._waiting is waiting:
                self._give_up(f"missed: {self._name} did not take the trigger ({reason})")

    # what follows down to _grab is called with `_changed` held

    def _check_triggers(self) -> None:
        """Raises `SourceError` where a trigger would never have a result, `TooManyWait` where this one would not."""
        if self._mode == HARDWARE:
            raise SourceError(f"{self._name} is triggered by its own input; open it with trigger software or external")
        if self._finished or self._closing.is_set():
            raise SourceError(f"{self._name} takes no more triggers: it is closed, or its stream ends")
        if self._ended:
            raise self._failure()
        if len(self._frames) >= MOST_WAITING:
            waiting = f"{len(self._frames)} frames of {self._name} wait and nobody reads them"
            raise TooManyWait(f"{waiting}; until somebody does, no trigger is taken")

    def _failure(self) -> SourceError:
        return self._reopening.error or SourceError(f"the thread that reads {self._name} ended; start again")

    def _busy(self) -> str | None:
        """Why a trigger cannot be taken now, or None."""
        if self._away is not None:
            return f"missed: {self._name} is away ({self._away})"
        if self._waiting is not None:
            return f"overrun: {self._name} still takes the picture of part {self._waiting.part_id}"
        if self._pictures:
            return "overrun: the picture of a part before still waits for the engine"
        if self._pairing.is_draining:
            return f"overrun: {self._name} is left alone for a while, until no picture of another part can come"
        return None

    def _give_up_in_time(self, now_s: float) -> None:
        """Give up the trigger that waits if its time is over."""
        if self._waiting is not None and now_s >= self._waiting.over_s:
            self._give_up(f"missed: no picture came within {self._frame_timeout_s * 1e3:g} ms of the trigger")

    def _notice_a_hang(self, now_s: float) -> None:
        """Refuse triggers while the driver does not return; nothing can end it from outside."""
        if self._away is not None or now_s - self._passed_s < self._hang_s:
            return
        self._away, self._hangs = "its driver hangs", True
        log.warning("%s: its driver has not returned for %.1f s", self._name, now_s - self._passed_s)
        if self._mode == HARDWARE:
            self._tell_of_unseen(self._away)

    def _next_look_s(self) -> float:
        """When something is to be given up or noticed, should nothing happen until then."""
        over_s = math.inf if self._waiting is None else self._waiting.over_s
        return over_s if self._away is not None else min(over_s, self._passed_s + self._hang_s)

    def _note_pass(self, now_s: float) -> None:
        """The driver has returned."""
        self._passed_s = now_s
        if self._hangs:
            self._away, self._hangs = None, False
            self._pairing.drain(now_s)

    def _tell_of_unseen(self, reason: str) -> None:
        """Parts pass now that nobody counts."""
        problem = f"missed: {self._name} was lost ({reason}); parts may pass unseen until it is back"
        self._hand_out(missing_frame(0, problem, live=True))

    def _give_up(self, problem: str) -> None:
        assert self._waiting is not None
        now_s, waiting = time.monotonic(), self._waiting
        if self._pairing.give_up(now_s):
            problem += ", but for one that may be of another part"
        self._waiting = None
        self._given_up_in_a_row += 1
        self._hand_out(self._missing(waiting.part_id, waiting.triggered_s, problem))

    def _missing(self, part_id: str | None, triggered_s: float, problem: str) -> Frame:
        frame = missing_frame(0, problem, live=True)
        return replace(frame, part_id=part_id, triggered_s=triggered_s, deadline_s=triggered_s + self._deadline_s)

    def _hand_out(self, frame: Frame) -> None:
        self._pictures += frame.problem is None
        self._frames.append(frame)
        self._changed.notify_all()

    def _take(self, shot: Shot, now_s: float) -> None:
        """Hand out the picture of the trigger that waits, or throw it away."""
        self._give_up_in_time(now_s)
        was_draining = self._pairing.is_draining
        match = self._pairing.match(shot.counter, shot.camera_ns, now_s)
        waiting = self._waiting
        if match is Match.TAKEN:
            assert waiting is not None
            frame = self._frame(shot, waiting.part_id, waiting.triggered_s)  # where this fails, it still waits
            self._waiting, self._given_up_in_a_row = None, 0
            self._hand_out(frame)
            return
        self._unpaired[match.value] += 1
        if match is Match.FOREIGN:
            if not was_draining:
                log.warning("%s sent a picture that is of no trigger; it is left alone for a while", self._name)
            if waiting is not None:
                self._give_up("missed: a picture came that is of no trigger")

    def _take_counted(self, shot: Shot, now_s: float) -> None:
        """Hand out the picture of the part that its counter numbers, and the parts before it that have none.

        Raises `SourceError` where the counter makes no sense.
        """
        match, part, missed = self._counted.match(shot.counter)
        triggered_s = min(shot.captured_s, self._counted.exposed_s(shot.camera_ns, now_s))
        for number in missed:
            self._hand_out(self._missing(str(number), triggered_s, "missed: the picture was lost on the way"))
        if match is not Match.TAKEN:
            self._unpaired[match.value] += 1
        elif self._pictures:
            problem = "overrun: the picture of a part before still waits for the engine"
            self._hand_out(self._missing(str(part), triggered_s, problem))
        else:
            self._hand_out(self._frame(shot, str(part), triggered_s))

    def _frame(self, shot: Shot, part_id: str, triggered_s: float) -> Frame:
        picture = shot.picture
        if isinstance(picture, Damaged):
            problem = f"incomplete: {self._name} sent a picture that is not whole ({picture.cause})"
            frame = self._missing(part_id, triggered_s, problem)
        elif (unlike := self._size.problem(picture, shot.sent_as)) is not None:
            frame = self._missing(part_id, triggered_s, unlike)
        else:
            deadline_s = triggered_s + self._deadline_s
            frame = Frame(picture, 0, part_id, live=True, triggered_s=triggered_s, deadline_s=deadline_s)
        return shot.on(frame)

    def _grab(self, first: TriggeredCapture | None) -> None:
        capture = first
        try:
            if capture is None:
                capture = self._reopened()
            while capture is not None:
                try:
                    self._follow(capture)
                except Exception as error:
                    self._lose(error)
                with self._control:
                    self._reopening.let_go(capture)
                capture = self._reopened()
        finally:
            with self._changed:
                self._ended, self._away = True, self._away or "its thread ended"
                if self._waiting is not None:
                    self._give_up(f"missed: {self._name} ended")
                self._changed.notify_all()

    def _follow(self, capture: TriggeredCapture) -> None:
        """Take what the camera delivers until the source is closed. Whatever it raises is a loss of the camera."""
        heard_s = time.monotonic()
        take = self._take_counted if self._mode == HARDWARE else self._take
        while not self._closing.is_set():
            asked_s = time.monotonic()
            shot = capture.wait(min(POLL_S, self._settle_s / 4))
            now_s = time.monotonic()
            with self._changed:
                self._note_pass(now_s)
                if shot is None:
                    self._pairing.was_quiet(asked_s)
                else:
                    take(shot, now_s)
                ignored = self._given_up_in_a_row
            if shot is not None:
                heard_s = now_s
            elif now_s - heard_s >= self._heartbeat_s:
                if not capture.is_alive():
                    raise SourceError("it does not answer any more")
                heard_s = time.monotonic()
            if ignored >= IGNORED_IN_A_ROW:
                raise SourceError(f"it answers, but {ignored} triggers in a row brought no picture")

    def _lose(self, error: Exception) -> None:
        reason = cause_of(error)
        self._reopening.note_loss(reason, error)
        with self._changed:
            self._away, self._capture, self._hangs = reason, None, False
            self._given_up_in_a_row = 0
            if self._waiting is not None:
                self._give_up(f"missed: {self._name} was lost ({reason})")
            elif self._mode == HARDWARE:
                self._tell_of_unseen(reason)

    def _reopened(self) -> TriggeredCapture | None:
        """The camera opened again, with nothing known of its counter and clock; None when there will be none."""
        capture = self._reopening.again(self._fitting_capture, self._closing)
        if capture is not None:
            with self._changed:
                self._lost_before += self._pairing.lost
                self._pairing = self._new_pairing()
                self._pairing.drain(time.monotonic())  # some cameras send on what they took before they were lost
                self._counted.restart()
                self._capture, self._away, self._passed_s = capture, None, time.monotonic()
        return capture

    def _new_pairing(self) -> Pairing:
        return Pairing(exposes_within_s=self._frame_timeout_s / 2, settle_s=self._settle_s)

    def _fitting_capture(self) -> TriggeredCapture:
        """A newly opened capture that answers and can do what the mode needs. Raises `SourceError` for any other."""
        capture = self._open()
        try:
            if not capture.is_alive():
                raise SourceError(f"{self._name} can be opened but does not answer; check the camera")
            if self._mode == HARDWARE and capture.pairs_by == "time stamp":
                raise SourceError(
                    f"{self._name} has time stamps but no counter of frames, so that a lost one would not be noticed "
                    f"with trigger hardware; use trigger software"
                )
            self.pairs_by = capture.pairs_by
        except BaseException:
            self._reopening.let_go(capture)
            raise
        return capture
