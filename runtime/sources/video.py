"""A video file as a source."""

from pathlib import Path
from types import TracebackType

from runtime.errors import SourceError
from runtime.frames import Frame
from runtime.sources.capture import open_ffmpeg


class VideoFileSource:
    """The frames of a video file in order, each once. `read` waits for the disk and never times out."""

    live, drops, reconnects = False, 0, 0

    def __init__(self, path: Path) -> None:
        """Raises `SourceError` for a file that is no video."""
        self._path = path
        self._capture = open_ffmpeg(str(path))
        self._next = 0
        self._closed = False

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`. Raises `SourceError` for a video without a single frame that can be decoded."""
        image = None if self._closed else self._capture.read()
        if image is None:
            if self._next == 0 and not self._closed:
                raise SourceError(f"{self._path} holds no frame that can be decoded; record it again")
            return None
        frame = Frame(image, self._next, name=self._path.name)
        self._next += 1
        return frame

    def close(self) -> None:
        """See `Source.close`."""
        self._closed = True
        self._capture.release()

    def __enter__(self) -> "VideoFileSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
