"""A video file as a source."""

import math
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import av

from runtime.cameras.base import FreeRun
from runtime.cameras.capture import Damaged, Picture
from runtime.cameras.decoding import Decoded, PictureDecoder
from runtime.cameras.ffmpeg import VideoPacket, open_container, video_stream
from runtime.cameras.resolution import FirstSize
from runtime.errors import SourceError
from runtime.frames import Frame, missing_frame
from runtime.printable import printable

COUNTED = {".avi", ".m4v", ".mov", ".mp4"}  # say how many frames they hold; of others it is guessed by their length
GUESS_TOLERANCE = 2  # frames
FAILED_READS = 250  # in a row after which the rest of a file is given up


class VideoFileSource(FreeRun):
    """The frames of a video file in order, each once. `read` waits for the disk and never times out.

    A frame that is damaged or missing, or refers to one that is, is a frame with a `problem`, and so are one of another
    size than the first and the end of a file that was cut short.
    """

    live, drops, lost, reconnects = False, 0, 0, 0

    def __init__(self, path: Path) -> None:
        """Raises `SourceError` for a file that is no video, or one in a codec that cannot be decoded here."""
        self._path = path
        self._container = open_container(str(path.absolute()))  # FFmpeg takes 10:30.avi for an address
        self._stream = video_stream(self._container, str(path))
        self._size = FirstSize("the video")
        self._end: int | None = None  # the latest time stamp, in the stream's unit
        self._failure: str | None = None
        self._frames = self._numbered()
        self._closed = False
        self._lock = Lock()

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`. Raises `SourceError` for a video without a single frame."""
        with self._lock:
            return None if self._closed else next(self._frames, None)

    def _numbered(self) -> Iterator[Frame]:
        number = -1
        for number, decoded in enumerate(self._decoded()):
            yield self._frame(number, decoded.picture())
        frames = number + 1
        if frames == 0:
            raise SourceError(f"{self._path} holds no frame that can be decoded; copy or record it again")
        name, announced = self._path.name, self._announced(frames)
        shown, damage = printable(name), "it was cut short or is damaged; copy or record it again"
        if announced > frames:
            yield missing_frame(frames, f"{shown} ends after {frames} of {announced} frames: {damage}", name=name)
        elif self._failure:
            yield missing_frame(frames, f"{shown} ends after {frames} frames ({self._failure}): {damage}", name=name)

    def _frame(self, number: int, picture: Picture) -> Frame:
        name = self._path.name
        if isinstance(picture, Damaged):
            reason = f"frame {number} of {printable(name)} is damaged and cannot be decoded ({picture.cause})"
            return missing_frame(number, f"damaged picture: {reason}", name=name)
        problem = self._size.problem(picture)
        return missing_frame(number, problem, name=name) if problem else Frame(picture, number, name=name)

    def _decoded(self) -> Iterator[Decoded]:
        decoder = PictureDecoder(self._stream, timed=True)
        for packet in self._packets():
            if packet.pts is not None:
                self._end = max(packet.pts, self._end or 0)
            yield from decoder.decode(packet)
        yield from decoder.end()

    def _packets(self) -> Iterator[VideoPacket]:
        packets, failed = self._container.demux(self._stream), 0
        while failed <= FAILED_READS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError as error:
                self._failure, failed = error.strerror, failed + 1
                packets = self._container.demux(self._stream)
                continue
            failed = 0
            yield packet

    def _announced(self, frames: int) -> int:
        """The frames the file should hold, if neither their number nor the time of the last one shows that all came.

        `frames` came. 0 where they all did or it cannot be known.
        """
        rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        start, unit = self._stream.start_time or 0, float(self._stream.time_base or 0)
        expected = self._stream.frames or self._duration_s() * rate
        by_time = math.inf if self._end is None else (self._end - start) * unit * rate + 1
        tolerance = 0 if self._path.suffix.lower() in COUNTED else GUESS_TOLERANCE
        return round(expected) if expected > max(frames, by_time) + tolerance + 0.5 else 0

    def _duration_s(self) -> float:
        if self._stream.duration is not None:
            return float(self._stream.duration * (self._stream.time_base or 0))
        return (self._container.duration or 0) / av.time_base

    def close(self) -> None:
        """See `Source.close`."""
        with self._lock:  # FFmpeg may be reading in another thread
            self._closed = True
            self._container.close()
