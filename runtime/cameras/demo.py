"""The rendered demo line as a source."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from runtime.arguments import as_number, as_whole_number
from runtime.closing import Closing
from runtime.demo import DemoLine
from runtime.errors import InputError
from runtime.frames import Frame

EXPECTED = "expected demo, or as in demo?seed=3&defect_rate=0.5&size=256x256"


class DemoSource(Closing):
    """The parts of a demo line from number 0 on, without end, each with its ground truth.

    Every part waits until it is asked for, so nothing is dropped; `read` never times out.
    """

    live, drops, reconnects = False, 0, 0

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


def open_demo(
    uri: str, seed: object = None, defect_rate: object = None, size_hw: tuple[int, int] | None = None
) -> DemoSource:
    """``demo``, or ``demo?seed=3&defect_rate=0.5&size=256x256`` (height × width).

    The same options may be given beside the URI, each in one place. Raises `InputError` for one that is none, out of
    range, or given twice.
    """
    named = _named(uri)
    given = {"seed": seed, "defect_rate": defect_rate, "size": size_hw}
    twice = next((name for name in named if given[name] is not None), None)
    if twice is not None:
        raise InputError(f"{twice} is given in the camera {uri!r} and beside it; give it once")
    height, width = _size(given["size"] or named.get("size", (256, 256)))
    seed = _number(named["seed"], int) if "seed" in named else 0 if seed is None else seed
    rate = (
        _number(named["defect_rate"], float) if "defect_rate" in named else 0.3 if defect_rate is None else defect_rate
    )
    number = as_whole_number("the demo line's seed", seed, 0, 2**32 - 1)
    return DemoSource(DemoLine(number, (height, width), as_number("the demo line's defect rate", rate)))


def _named(uri: str) -> Mapping[str, str]:
    """The options in a URI, as text."""
    _, mark, query = uri.partition("?")
    found = dict(parse_qsl(query, keep_blank_values=True))
    if mark and (not found or set(found) - {"seed", "defect_rate", "size"}):
        raise InputError(f"the camera is {uri!r}; {EXPECTED}")
    return found


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
