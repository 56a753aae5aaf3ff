"""What a camera's capture delivers: pictures as they were sent, or word of those that were not whole."""

import re
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DamagedImage, ImageError
from runtime.frames import Frame
from runtime.pictures.jpeg import decode_jpeg

OWN_KINDS = r"demo(\?|$)|(csi|watch):"  # of camera addresses whose queries are options of ours


@dataclass(frozen=True)
class Damaged:
    """The place of a picture that did not arrive whole, or whose decoder would have had to guess."""

    cause: str


Picture: TypeAlias = NDArray[np.uint8] | Damaged  # pixels are [H, W, 3], BGR


@dataclass(frozen=True)
class Shot:
    """A picture with what its camera says of it, from a camera that says something."""

    picture: Picture
    captured_s: float  # monotonic clock of this machine
    captured_at: float  # wall clock, seconds since 1970 UTC
    counter: int | None = None  # the camera's own number of the frame; a gap is a frame lost on the way
    camera_ns: int | None = None  # the camera's own time stamp of the exposure, nanoseconds on its clock
    defective: bool | None = None  # ground truth, where the camera knows it
    sent_as: str | None = None  # how the camera sent it, such as BGR8; None where it does not say

    def on(self, frame: Frame) -> Frame:
        """The frame that was made of the picture, with what the camera says of it."""
        return replace(
            frame,
            captured_s=self.captured_s,
            captured_at=self.captured_at,
            counter=self.counter,
            camera_ns=self.camera_ns,
            defective=self.defective,
        )


class Capture(Protocol):
    """An open camera. For one thread at a time.

    One that knows how its camera sends pictures says so in each `Shot`, or of bare pictures in one attribute more:
    ``sent_as: str | None``, such as ``MJPG``, ``h264`` or ``NV12``, of the picture that was read last.
    """

    @property
    def drops(self) -> int:
        """Pictures that were left out because they came too late."""

    def read(self) -> "Picture | Shot | None":
        """The next picture, as it was sent or as `Damaged`; None when the capture ended or failed, for good.

        Raises `SourceError` instead where there is more to say about the failure.
        """

    def release(self) -> None:
        """Close it."""


class TriggeredCapture(Protocol):
    """A camera that takes a picture when it is told to, and of each picture tells by `pairs_by` which trigger it is of.

    For two threads: one that triggers, one that waits, asks `is_alive` and releases; it releases only once no `trigger`
    is under way. Nothing from before it was opened is delivered.
    """

    @property
    def pairs_by(self) -> str:
        """What tells which picture belongs to which trigger: ``frame counter``, ``time stamp`` or ``chunk data``.

        A counter goes up by one with each exposure, also where its picture is lost on the way, and never wraps. Chunk
        data are a counter or a time stamp, or both, that travel within the picture.
        """

    def trigger(self) -> None:
        """Ask for one exposure and return at once. Raises `SourceError` where the camera refuses or is gone.

        A camera whose own input triggers it is opened for that, and not asked.
        """

    def wait(self, timeout_s: float) -> Shot | None:
        """The next picture, or None where none came in time, which is normal between two triggers.

        None says that no picture waited here when it was called. Raises `SourceError` when the camera failed, for good.
        """

    def is_alive(self) -> bool:
        """Whether the camera answers on its control channel, within a second: a waiting camera does, a dead one not."""

    def release(self) -> None:
        """Close it."""


def as_picture(jpeg: bytes) -> Picture:
    """One JPEG of a camera or video, decoded if it is whole; an end marker is part of that."""
    try:
        return decode_jpeg(jpeg)
    except DamagedImage as error:
        return Damaged(error.reason)
    except ImageError as error:
        return Damaged(str(error))


def without_password(url: str) -> str:
    """A URL fit for messages and logs: ``rtsp://user:secret@host/video?pwd=secret`` as ``rtsp://user@host/video?…``.

    In a GStreamer pipeline, what looks like one; none in an address of a kind that takes no password, so that it can be
    typed again as it is shown. A password may hold a ``/`` that should have been escaped: where an
    ``@`` follows it, rather too much is left out.
    """
    if re.match(OWN_KINDS, url) and "//" not in url:
        return url
    if url.startswith("gst:"):
        return re.sub(r"//[^\s\"']*@|(?<=pw=)\S+|(?<=password=)\S+|(?<=passwd=)\S+", "…", url)
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*:/+)?([^/?#]*)(.*)", url, re.DOTALL)
    assert match is not None  # it matches anything
    scheme, authority, rest = match[1] or "", match[2], match[3]
    if "@" not in authority and ":" in authority and "@" in rest:
        authority, rest = authority + rest, ""
    credentials, at, host = authority.rpartition("@")
    user = credentials.partition(":")[0]
    place, mark, _ = f"{host}{rest}".partition("?")
    return f"{scheme}{user}{at}{place}{mark and '?…'}"
