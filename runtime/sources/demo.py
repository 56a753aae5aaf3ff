"""The rendered demo line as a source."""

from types import TracebackType

from runtime.demo import DemoLine
from runtime.frames import Frame


class DemoSource:
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

    def __enter__(self) -> "DemoSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
