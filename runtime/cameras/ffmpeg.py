"""FFmpeg's containers by PyAV: opened with finite timeouts, without noise, or with one sentence of what is wrong."""

import logging
import time
from functools import cache
from typing import TypeAlias

import av

from runtime.cameras.capture import without_password
from runtime.errors import SourceError

VideoPacket: TypeAlias = "av.Packet[av.VideoStream]"
# decoders that notice damage within a picture, by structure or by checksum (see README.md for how much of it)
TELLING = {"mjpeg", "h264", "mpeg4", "mpeg2video", "mpeg1video", "ffv1", "png"}
log = logging.getLogger(__name__)
OPEN_TIMEOUT_S, READ_TIMEOUT_S = 3.0, 2.0


def open_container(
    url: str, options: dict[str, str] | None = None, shown: str | None = None
) -> "av.container.InputContainer":
    """A file or stream by its address. Raises `SourceError` when it cannot be opened or holds no video, which names it
    as `shown`."""
    shown = shown or without_password(url)
    started_s = time.monotonic()
    try:
        container = av.open(url, options=options or {}, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"{shown} cannot be opened as video ({_reason(error, time.monotonic() - started_s)}"
        ) from error
    if not container.streams.video:
        container.close()
        raise SourceError(f"{shown} holds no video; check the address and that it plays")
    return container


def _reason(error: Exception, took_s: float) -> str:
    """Why FFmpeg did not open something, with what to do, to follow an opening parenthesis."""
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return "it answers 401); give the right user and password, as rtsp://user:password@host/…"
    if isinstance(error, av.error.HTTPNotFoundError):
        return "it answers 404); check what stands behind the host in the address"
    if took_s >= OPEN_TIMEOUT_S:  # FFmpeg then calls it invalid data, or an exit
        return f"no answer within {OPEN_TIMEOUT_S:g} s); check that it is on, and that this machine reaches it"
    said = getattr(error, "strerror", None) or type(error).__name__
    return f"{said}); check the address and that it plays"


def video_stream(container: "av.container.InputContainer", shown: str) -> av.VideoStream:
    """Its first video stream. Closes it and raises `SourceError` for a codec that this installation lacks."""
    stream = container.streams.video[0]
    if stream.codec_context is None:
        container.close()
        raise SourceError(
            f"{shown} holds a codec which this installation cannot decode; "
            f"convert it to H.264, e.g. ffmpeg -i {shown} -c:v libx264 -crf 12 converted.mp4"
        )
    codec = stream.codec_context.codec.name
    if codec not in TELLING:
        _warn(shown, "AV1" if codec == "libdav1d" else codec.upper())
    return stream


@cache
def _warn(shown: str, codec: str) -> None:
    """Once for each source, however often it is opened again."""
    log.warning("%s holds %s: damage within its pictures goes mostly unnoticed; prefer MJPEG or H.264", shown, codec)
