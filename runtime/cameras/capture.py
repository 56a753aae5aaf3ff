"""What a camera's capture delivers: pictures as they were sent, or word of those that were not whole."""

import re
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DamagedImage, ImageError
from runtime.pictures.jpeg import decode_jpeg


@dataclass(frozen=True)
class Damaged:
    """The place of a picture that did not arrive whole, or whose decoder would have had to guess."""

    cause: str


Picture: TypeAlias = NDArray[np.uint8] | Damaged  # pixels are [H, W, 3], BGR


class Capture(Protocol):
    """An open camera. For one thread at a time."""

    @property
    def drops(self) -> int:
        """Pictures that were left out because they came too late."""

    def read(self) -> Picture | None:
        """The next picture, as it was sent or as `Damaged`; None when the capture ended or failed, for good.

        Raises `SourceError` instead where there is more to say about the failure.
        """

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

    A password may hold a ``/`` that should have been escaped: where an ``@`` follows it, rather too much is left out.
    """
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*:/+)?([^/?#]*)(.*)", url, re.DOTALL)
    assert match is not None  # it matches anything
    scheme, authority, rest = match[1] or "", match[2], match[3]
    if "@" not in authority and ":" in authority and "@" in rest:
        authority, rest = authority + rest, ""
    credentials, at, host = authority.rpartition("@")
    user = credentials.partition(":")[0]
    place, mark, _ = f"{host}{rest}".partition("?")
    return f"{scheme}{user}{at}{place}{mark and '?…'}"
