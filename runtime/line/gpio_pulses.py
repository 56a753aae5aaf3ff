"""What outputs do and when: pulses of bounded length that begin at their time or not at all.

A part that does not pass ends a pulse, too, at its time: the gate is then that part's. Where more is to come than there
is place for, no pulse to come is given; nor is one that is taken back before it begins. All times are of the monotonic
clock, in seconds.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

MOST = 1_000  # that may be to come


@dataclass(order=True)
class _Event:
    due_s: float
    order: int
    name: str = field(compare=False)
    begins: bool = field(compare=False)  # a pulse, else the line rests
    length_s: float = field(compare=False, default=0.0)
    latest_s: float | None = field(compare=False, default=None)
    inspected: bool = field(compare=False, default=True)


class Pulses:
    """The outputs of one chip. For one thread."""

    def __init__(self, set_line: Callable[[str, bool], None]) -> None:
        self._set = set_line
        self._to_come: list[_Event] = []
        self._order = count()
        self._ends: dict[str, float] = {}  # of the pulses that are on
        self.counts: Counter[str] = Counter(given=0, late=0, dropped=0, taken_back=0)

    def pulse(self, name: str, due_s: float, length_s: float, latest_s: float | None, inspected: bool = True) -> None:
        """Active from `due_s` on, for so long. One that begins late ends when it was to end, and where it would begin
        after `latest_s` it is not given. Without that it is given however late, and is of full length then.
        `inspected` says what `take_back` goes by."""
        self._add(_Event(due_s, next(self._order), name, True, length_s, latest_s, inspected))

    def rest(self, name: str, due_s: float) -> None:
        """Inactive at `due_s`, whatever pulse is on then."""
        self._add(_Event(due_s, next(self._order), name, False))

    def take_back(self, name: str, uninspected: bool) -> None:
        """Give no pulse to come of a part that was inspected, and with `uninspected` of any other, either. Such a part
        does not pass: at its time, it ends a pulse that is on. A pulse that has begun goes on."""
        for event in self._to_come:
            if event.name == name and event.begins and (uninspected or event.inspected):
                event.begins = False
                self.counts["taken_back"] += 1

    def level(self, name: str, active: bool) -> None:
        """So until it is told otherwise."""
        self._set(name, active)

    def run(self, now_s: float) -> float | None:
        """Do what is due; when the next is, or None."""
        before = set(self._ends)
        while self._to_come and self._to_come[0].due_s <= now_s:
            self._do(heapq.heappop(self._to_come), now_s)
        for name in [name for name, end_s in self._ends.items() if end_s <= now_s]:
            del self._ends[name]
        for name in before ^ set(self._ends):  # once each: what was over before it was done never was
            self._set(name, name in self._ends)
        times = [*self._ends.values(), *(event.due_s for event in self._to_come[:1])]
        return min(times, default=None)

    def _do(self, event: _Event, now_s: float) -> None:
        if event.begins and (event.latest_s is None or now_s <= event.latest_s):
            self.counts["given"] += 1
            self._ends[event.name] = event.length_s + (now_s if event.latest_s is None else event.due_s)
            return
        self.counts["late"] += event.begins
        self._ends.pop(event.name, None)

    def _add(self, event: _Event) -> None:
        if len(self._to_come) >= MOST:  # nobody knows any more whose place is whose
            self.counts["dropped"] += event.begins + sum(each.begins for each in self._to_come)
            self._to_come = [_Event(event.due_s, next(self._order), name, False) for name in self._ends]
            return
        heapq.heappush(self._to_come, event)
