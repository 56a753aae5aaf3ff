"""A video file as a source."""

import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2

from runtime.errors import SourceError
from runtime.frames import Frame, missing_frame
from runtime.sources.capture import open_ffmpeg

LONGEST_DAMAGE = 250  # failed reads in a row after which the rest of a file is given up: FFmpeg never says "the end"
COUNTED = {".avi", ".m4v", ".mov", ".mp4"}  # say how many frames they hold; of others FFmpeg guesses it by their length
GUESS_TOLERANCE = 2  # frames


class VideoFileSource:
    """The frames of a video file in order, each once. `read` waits for the disk and never times out.

    A frame that cannot be decoded is a frame with a `problem`, and so is the end of a file that was cut short.
    """

    live, drops, reconnects = False, 0, 0

    def __init__(self, path: Path) -> None:
        """Raises `SourceError` for a file that is no video."""
        self._path = path
        # FFmpeg takes 10:30.avi for an address; not so /videos/10:30.avi
        self._capture = open_ffmpeg(str(path.absolute()))
        self._frames = self._decoded()
        self._closed = False

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`. Raises `SourceError` for a video without a single frame that can be decoded."""
        return None if self._closed else next(self._frames, None)

    def _decoded(self) -> Iterator[Frame]:
        """All frames. Failed reads are damaged frames if a picture follows them, and else the end of the file."""
        name, number, failed, end_ms = self._path.name, 0, 0, 0.0
        while failed <= LONGEST_DAMAGE:
            image = self._capture.read()
            if image is None:
                failed += 1
                continue
            end_ms = max(end_ms, self._capture.get(cv2.CAP_PROP_POS_MSEC))
            for damaged in range(number, number + failed):
                yield missing_frame(damaged, f"frame {damaged} of {name} is damaged and cannot be decoded", name=name)
            number, failed = number + failed, 0
            yield Frame(image, number, name=name)
            number += 1
        if number == 0:
            raise SourceError(f"{self._path} holds no frame that can be decoded; record it again")
        announced = self._announced(number, end_ms)
        if announced > number:
            damage = "it was cut short or is damaged; copy or record it again"
            yield missing_frame(number, f"{name} ends after {number} of {announced} frames: {damage}", name=name)

    def _announced(self, number: int, end_ms: float) -> int:
        """The frames the file should hold, if neither their number nor the time of the last one shows that all came.

        `number` frames came, the last of them with the time `end_ms`. 0 where they all did or it cannot be known.
        """
        frames, fps = self._capture.get(cv2.CAP_PROP_FRAME_COUNT), self._capture.get(cv2.CAP_PROP_FPS)
        by_time = end_ms * fps / 1000 + 1 if end_ms > 0 or number == 1 else math.inf
        tolerance = 0 if self._path.suffix.lower() in COUNTED else GUESS_TOLERANCE
        return round(frames) if frames > max(number, by_time) + tolerance + 0.5 else 0

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
