"""Which picture is of which trigger: for certain, or not at all.

The argument. Triggers are sent one at a time: the next is refused (an overrun) until the one before has had its picture
or was given up. While no trigger was given up since the last picture that was paired, a picture can only be of the one
that waits. Once one was given up, three things may have happened to it: the camera ignored it, though it acknowledged
it, so that there is no picture; the picture was lost on the way; or it is delayed, and comes while a later trigger
waits. A picture that comes then is of the waiting trigger only if it can be of no other that is *open*, which is every
trigger sent after the last picture that was seen. What excludes an open trigger:

- The frame counter. It goes up by one with each exposure, and exposures come in the order of triggers. A picture whose
  counter is j above the last one seen is the j-th exposure since, so it is of the j-th open trigger or of a later one.
  It is that of the last, which waits, for certain where j is the number of open triggers: none was then ignored.
- The time stamp. `CameraClock` bounds the moment of exposure. A trigger is excluded where the camera would have had to
  expose before it was sent, or later than `exposes_within_s` after it was acknowledged.
- Silence. No picture arrives later than `settle_s` after its trigger. A trigger is excluded once nothing waited to be
  taken that long after it: this is observed, not computed from clocks, since a program that was held up may find a
  picture late that came long ago.

Where these leave more than one, the picture is thrown away. It may have been the waiting trigger's, so a later picture
is taken for that only if it can be of no other in turn; where none comes, the part is rejected and nothing is
triggered until the camera has been quiet for `settle_s` (`is_draining`). The same holds for a picture that can be of
no trigger at all: then somebody else triggers the camera, or its counter or clock was set anew, and what was known of
both is dropped.

A picture with the counter (else the time stamp) of the last one seen is that one, sent twice; one with a lower is an
earlier one, delayed. Both are thrown away. The first picture after opening, or after a drain, is of the trigger that
waits: by then nothing else can be under way.

What is assumed: the camera exposes for its triggers alone, in their order, once each at most; its counter and time
stamp are of the exposure; no picture is delayed beyond `settle_s`. Where the last does not hold, a counter still tells
lost pictures from delayed ones, and a time stamp still decides; a counter alone may then be wrong about a picture that
comes later than that after a trigger that another one was ignored after.
"""

from dataclasses import dataclass
from enum import Enum

from runtime.cameras.camera_clock import CameraClock

REMEMBERED_GAPS = 64  # numbers of pictures that did not come, and may come late


class Match(Enum):
    """What a picture is of."""

    TAKEN = "taken"  # the trigger that waits
    DOUBLED = "doubled"  # a picture that came already
    STALE = "stale"  # an earlier trigger
    AMBIGUOUS = "ambiguous"  # the trigger that waits, or another
    FOREIGN = "foreign"  # no trigger


@dataclass(eq=False)
class Sent:
    """A trigger that was sent. Times are of the monotonic clock."""

    sent_s: float
    acknowledged_s: float | None = None  # when the camera, asked for it, had answered
    is_over: bool = False  # its picture cannot come any more


class Pairing:
    """Pairs pictures with the triggers of one opened camera. All times are of the monotonic clock. For one thread at a
    time.

    After `send`, one trigger waits until a picture is TAKEN or FOREIGN, or until `give_up`.
    """

    def __init__(self, exposes_within_s: float, settle_s: float) -> None:
        """See the module for both."""
        self._exposes_within_s, self._settle_s = exposes_within_s, settle_s
        self.lost = 0  # pictures that were exposed and did not arrive, by gaps in the counter
        self.is_draining = False
        self._clock = CameraClock()
        self._open: list[Sent] = []  # in order; the last one may wait
        self._waits = False
        self._is_doubtful = False  # whether a picture was thrown away that may be of the trigger that waits
        self._counter: int | None = None  # of the last picture seen
        self._camera_ns: int | None = None
        self._gaps: list[int] = []
        self._drained_from_s = 0.0

    def drain(self, now_s: float) -> None:
        """Let nothing be sent until the camera has been quiet."""
        self.is_draining, self._drained_from_s = True, now_s

    def send(self, now_s: float) -> Sent:
        """A trigger is sent, now or a moment later: whoever sends it says in it when the camera has answered. None may
        wait, and nothing be drained."""
        assert not self._waits
        assert not self.is_draining
        self._open.append(Sent(now_s))
        self._waits, self._is_doubtful = True, False
        return self._open[-1]

    def give_up(self, now_s: float) -> bool:
        """The trigger waits no longer. Whether a picture came that may have been its own, so that a drain begins."""
        self._waits = False
        if self._is_doubtful:
            self.drain(now_s)
        return self._is_doubtful

    def was_quiet(self, at_s: float) -> None:
        """No picture waited to be taken at this moment."""
        for sent in self._open:
            answered_s = sent.acknowledged_s
            sent.is_over = sent.is_over or (answered_s is not None and at_s >= answered_s + self._settle_s)
        if at_s >= self._drained_from_s + self._settle_s:
            self.is_draining = False

    def match(self, counter: int | None, camera_ns: int | None, now_s: float) -> Match:
        """What a picture is of that has just been taken, with the camera's counter and time stamp."""
        self._drained_from_s = now_s
        if counter is None and camera_ns is None:
            self._is_doubtful = self._waits
            return Match.AMBIGUOUS
        if (seen := self._seen_before(counter, camera_ns)) is not None:
            return seen
        step = 1 if counter is None or self._counter is None else counter - self._counter
        possible = self._possible(step, camera_ns, now_s)
        if not possible or self._went_back(camera_ns):
            return self._foreign(now_s)
        self._note_gaps(counter, step)
        self._counter, self._camera_ns = counter, camera_ns
        last = len(self._open) - 1
        if self._waits and possible == [last]:
            self._take(self._open[last], camera_ns, now_s)
            return Match.TAKEN
        is_ambiguous = self._waits and last in possible
        self._is_doubtful = self._is_doubtful or is_ambiguous
        del self._open[: possible[0] + 1]  # exposures that are still to come are of triggers after this picture's
        return Match.AMBIGUOUS if is_ambiguous else Match.STALE

    def _seen_before(self, counter: int | None, camera_ns: int | None) -> Match | None:
        if counter is not None and self._counter is not None:
            number, last = counter, self._counter
        elif counter is None and camera_ns is not None and self._camera_ns is not None:
            number, last = camera_ns, self._camera_ns
        else:
            return None
        if number > last:
            return None
        if counter in self._gaps:
            self._gaps.remove(counter)
            self.lost -= 1
        return Match.DOUBLED if number == last else Match.STALE

    def _went_back(self, camera_ns: int | None) -> bool:
        """Whether the camera's clock was set, where its counter says that the picture is a new one."""
        return camera_ns is not None and self._camera_ns is not None and camera_ns <= self._camera_ns

    def _possible(self, step: int, camera_ns: int | None, now_s: float) -> list[int]:
        """The places of the open triggers that a picture can be of, the `step`-th exposure since the last seen."""
        exposed = None if camera_ns is None else self._clock.happened(camera_ns, now_s)
        fitting = [at for at in range(step - 1, len(self._open)) if self._fits(self._open[at], exposed, now_s)]
        # what is over is possible only where nothing else is, and its time stamp tells that it is later than can be
        return [at for at in fitting if not self._open[at].is_over] or (fitting if exposed else [])

    def _fits(self, sent: Sent, exposed: tuple[float, float] | None, now_s: float) -> bool:
        if exposed is None:
            return True
        latest_s = now_s if sent.acknowledged_s is None else min(sent.acknowledged_s + self._exposes_within_s, now_s)
        return exposed[1] >= sent.sent_s and exposed[0] <= latest_s

    def _take(self, sent: Sent, camera_ns: int | None, now_s: float) -> None:
        if camera_ns is not None:
            self._clock.learn(camera_ns, sent.sent_s, now_s, now_s)
        self._open.clear()
        self._waits = False

    def _note_gaps(self, counter: int | None, step: int) -> None:
        if counter is not None and step > 1:
            self.lost += step - 1
            self._gaps = [*self._gaps, *range(counter - step + 1, counter)][-REMEMBERED_GAPS:]

    def _foreign(self, now_s: float) -> Match:
        self._waits = False
        self._open.clear()
        self._clock = CameraClock()
        self._counter = self._camera_ns = None
        self.drain(now_s)
        return Match.FOREIGN
