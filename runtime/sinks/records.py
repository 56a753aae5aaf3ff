"""Records of a stream, as a sink."""

import re
from collections.abc import Iterable
from pathlib import Path

from runtime.errors import InputError
from runtime.frames import Frame
from runtime.query import with_options
from runtime.records.images import ImageBounds
from runtime.records.record import record_of
from runtime.records.retention import Retention
from runtime.records.store import RecordStore
from runtime.sinks.base import Sink
from runtime.verdict import Verdict

EXPECTED = "expected a folder, or as in records?days=365&bytes=2GB&images=10GB&thumbnails=1GB&ok_every=20"
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
NAMES = ("days", "bytes", "images", "thumbnails", "ok_every")


class RecordsSink:
    """Adds each verdict to a `RecordStore`, which never waits for the disk and counts itself what it loses."""

    name, essential = "records", True  # called at once, and never raises what a disk does

    def __init__(self, asked: str) -> None:
        """``FOLDER``, or ``FOLDER?days=365&bytes=2GB&…``. Raises `InputError` for what cannot be used."""
        folder, retention, images = parsed(asked)
        self.store = RecordStore(folder, retention, images)

    def write(self, frame: Frame, verdict: Verdict) -> None:
        """See `Sink.write`."""
        self.store.add(record_of(verdict, verdict.camera), None if frame.problem else frame.image)

    @property
    def lost(self) -> int:
        """See `LosingSink`."""
        return self.store.lost

    def close(self) -> None:
        """Write what waits."""
        self.store.close()


def records_of(sinks: Iterable[Sink]) -> RecordStore | None:
    """The store that one of these sinks writes to; None where none does."""
    return next((sink.store for sink in sinks if isinstance(sink, RecordsSink)), None)


def parsed(asked: str) -> tuple[Path, Retention, ImageBounds]:
    """What ``--records`` asks for. Raises `InputError` for a name that is not known, and a value out of range."""
    place, given = with_options("--records", asked, NAMES, EXPECTED)
    if not place.strip():
        raise InputError(f"--records is {asked!r}; {EXPECTED}")
    default = ImageBounds()
    retention = Retention(
        days=_number("days", given["days"]) if "days" in given else None,
        bytes=_bytes("bytes", given["bytes"]) if "bytes" in given else None,
    )
    images = ImageBounds(
        bytes=_bytes("images", given["images"]) if "images" in given else default.bytes,
        thumbnail_bytes=_bytes("thumbnails", given["thumbnails"]) if "thumbnails" in given else default.thumbnail_bytes,
        ok_every=int(_number("ok_every", given["ok_every"])) if "ok_every" in given else default.ok_every,
    )
    return Path(place), retention, images


def _bytes(name: str, text: str) -> int:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([kmgt]?)i?b?", text.lower())
    if match is None:
        raise InputError(f"{name} of --records is {text!r}; expected bytes, as 500MB or 10GB")
    return round(float(match[1]) * UNITS[match[2]])


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{name} of --records is {text!r}; expected a number") from error
