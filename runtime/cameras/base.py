"""The frame source interface."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Protocol

from runtime.closing import Closing
from runtime.errors import SourceError
from runtime.frames import Frame

SOFTWARE, HARDWARE, EXTERNAL = "software", "hardware", "external"  # who triggers: this program, the camera's own input,
TRIGGERS = (SOFTWARE, HARDWARE, EXTERNAL)  # or a controller through this program


@dataclass(frozen=True)
class Found:
    """A camera that this machine has, or why it has none of a kind."""

    uri: str | None  # what --camera takes; None where there is nothing to open
    text: str  # what it is, or what is missing and how to get it


class Source(Protocol):
    """Delivers frames, one after the other. For one thread at a time, but for `close` and `trigger`. A context manager.

    `read` has three outcomes besides a frame: it returns None at the end of the stream, for good; it raises
    `SourceTimeout` when no frame came in time and the next call may bring one; it raises `SourceError` when the source
    broke down and will deliver nothing more. A frame that should have come and did not (an unreadable file, a camera
    lost) is a `Frame` with a `problem`, so that the part it stood for is rejected and not forgotten.

    A source runs free, as `FreeRun`, or is triggered: each trigger is then one frame, with a picture or a `problem`.
    """

    @property
    def live(self) -> bool:
        """Whether frames come at a camera's pace, and are lost when nobody takes them."""

    @property
    def drops(self) -> int:
        """Frames delivered by the camera that nobody took in time."""

    @property
    def lost(self) -> int:
        """Frames that the camera took and that did not arrive, by gaps in its own counter of frames."""

    @property
    def unpaired(self) -> Mapping[str, int]:
        """Frames that were of no trigger that waited for one, by kind; none in free run. They are never scored."""

    @property
    def reconnects(self) -> int:
        """How often a lost camera was opened again."""

    @property
    def pairs_by(self) -> str | None:
        """What tells which frame is of which trigger: ``frame counter``, ``time stamp``, ``chunk data``; None: nothing
        does, and the source runs free."""

    def trigger(self, part_id: str) -> None:
        """Take a picture of a part, now. From any thread.

        It brings exactly one frame of this part to `read`, with a problem where no picture can be had. Raises
        `SourceError` where that will never be: the source runs free, has ended, or its own input triggers it.
        """

    def finish(self) -> None:
        """Take no more triggers: `read` returns None once each has had its frame. Means nothing in free run."""

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """The next frame, or None when there will be none. See the class for what it raises."""

    def close(self) -> None:
        """Free the camera or file. Closing twice is allowed."""

    def __enter__(self) -> "Source": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FreeRun(Closing):
    """What all sources that nobody triggers have in common: they cannot be."""

    unpaired: Mapping[str, int] = MappingProxyType({})
    pairs_by: str | None = None

    @abstractmethod
    def close(self) -> None:
        """See `Source.close`."""

    def trigger(self, part_id: str) -> None:
        """See `Source.trigger`."""
        raise SourceError("this source runs free and cannot be triggered; open a camera that can, with trigger")

    def finish(self) -> None:
        """See `Source.finish`."""
