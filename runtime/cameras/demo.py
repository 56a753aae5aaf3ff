"""The rendered demo line as a source, in free run and triggered."""

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Condition

from runtime.arguments import as_number, as_whole_number
from runtime.cameras.base import HARDWARE, FreeRun, Source
from runtime.cameras.capture import Shot
from runtime.cameras.triggered import TriggeredSource
from runtime.demo import DemoLine, DemoPart
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.query import with_options

EXPECTED = "expected demo, or as in demo?seed=3&defect_rate=0.5&size=256x256"


class DemoSource(FreeRun):
    """The parts of a demo line from number 0 on, without end, each with its ground truth.

    Every part waits until it is asked for, so nothing is dropped; `read` never times out.
    """

    live, drops, lost, reconnects = False, 0, 0, 0

    def __init__(self, line: DemoLine) -> None:
        self._line = line
        self._next = 0
        self._closed = False

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`."""
        if self._closed:
            return None
        number = self._next
        self._next += 1
        part = self._line.part(number)
        return Frame(part.image, number, part_id=str(number), defective=part.defect is not None)

    def close(self) -> None:
        """See `Source.close`."""
        self._closed = True


class DemoCapture:
    """A `TriggeredCapture` of a line's parts by number: each trigger takes a picture of the next, from 0 on."""

    pairs_by = "frame counter"

    def __init__(self, part: Callable[[int], DemoPart]) -> None:
        self._part = part
        self._exposed: deque[tuple[int, float, float]] = deque()  # number, monotonic and wall clock
        self._count = 0
        self._changed = Condition()

    def trigger(self) -> None:
        """See `TriggeredCapture.trigger`."""
        with self._changed:
            self._exposed.append((self._count, time.monotonic(), time.time()))
            self._count += 1
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> Shot | None:
        """See `TriggeredCapture.wait`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._exposed, timeout_s):
                return None
            number, exposed_s, exposed_at = self._exposed.popleft()
        part = self._part(number)
        return Shot(part.image, exposed_s, exposed_at, number, round(exposed_s * 1e9), part.defect is not None)

    def is_alive(self) -> bool:
        """See `TriggeredCapture.is_alive`."""
        return True

    def release(self) -> None:
        """See `TriggeredCapture.release`."""


def open_demo(
    uri: str,
    seed: object = None,
    defect_rate: object = None,
    size_hw: tuple[int, int] | None = None,
    trigger: str | None = None,
    deadline_s: float | None = None,
) -> Source:
    """``demo``, or ``demo?seed=3&defect_rate=0.5&size=256x256&fading=0.1`` (height × width; see `DemoLine`).

    The same options may be given beside the URI, each in one place. With `trigger` it is a line whose camera takes a
    picture when it is told to. Raises `InputError` for an option that is none, out of range, or given twice, and for a
    trigger by hardware, which is not there.
    """
    if trigger == HARDWARE:
        raise InputError("the demo line has no trigger input; give the trigger software, at a pace")
    _, named = with_options("the camera", uri, ("seed", "defect_rate", "size", "fading"), EXPECTED)
    given = {"seed": seed, "defect_rate": defect_rate, "size": size_hw, "fading": None}
    twice = next((name for name in named if given[name] is not None), None)
    if twice is not None:
        raise InputError(f"{twice} is given in the camera {uri!r} and beside it; give it once")
    height, width = _size(given["size"] or named.get("size", (256, 256)))
    seed = _number(named["seed"], int) if "seed" in named else 0 if seed is None else seed
    rate = (
        _number(named["defect_rate"], float) if "defect_rate" in named else 0.3 if defect_rate is None else defect_rate
    )
    fades = _number(named.get("fading", "0"), float)
    number = as_whole_number("the demo line's seed", seed, 0, 2**32 - 1)
    rate, fades = as_number("the demo line's defect rate", rate), as_number("the demo line's fading", fades)
    line = DemoLine(number, (height, width), rate, fades)
    if trigger is None:
        return DemoSource(line)
    return TriggeredSource("the demo line", partial(DemoCapture, line.part), trigger, deadline_s)


def _number(text: str, kind: type[int] | type[float]) -> object:
    """A number in a URI; text that is none stays text, and is refused where its range is checked."""
    try:
        return kind(text)
    except ValueError:
        return text


def _size(size: object) -> tuple[int, int]:
    sides = tuple(_number(side, int) for side in size.split("x")) if isinstance(size, str) else size
    if not isinstance(sides, tuple) or len(sides) != 2:
        raise InputError(f"size_hw is {size!r}; expected height and width, as in (256, 256)")
    height, width = (as_whole_number("a side of size_hw", side, 1, 2**31 - 1) for side in sides)
    return height, width
