"""The frame source interface."""

from types import TracebackType
from typing import Protocol

from runtime.frames import Frame


class Source(Protocol):
    """Delivers frames, one after the other. For one thread at a time, but for `close`. A context manager.

    `read` has three outcomes besides a frame: it returns None at the end of the stream, for good; it raises
    `SourceTimeout` when no frame came in time and the next call may bring one; it raises `SourceError` when the source
    broke down and will deliver nothing more. A frame that should have come and did not (an unreadable file, a camera
    lost) is a `Frame` with a `problem`, so that the part it stood for is rejected and not forgotten.
    """

    @property
    def live(self) -> bool:
        """Whether frames come at a camera's pace, and are lost when nobody takes them."""

    @property
    def drops(self) -> int:
        """Frames delivered by the camera that nobody took in time."""

    @property
    def reconnects(self) -> int:
        """How often a lost camera was opened again."""

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """The next frame, or None when there will be none. See the class for what it raises."""

    def close(self) -> None:
        """Free the camera or file. Closing twice is allowed."""

    def __enter__(self) -> "Source": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
