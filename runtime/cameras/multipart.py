"""JPEG pictures taken out of a stream of parts, each from its own start marker to its own end marker."""

import re

from runtime.pictures.jpeg import START

END = b"\xff\xd9"
LARGEST_PICTURE = 64 * 2**20  # bytes without a start or an end: no camera's picture
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # no stuffing (00), restart (d0 to d7) or fill (ff)
_LENGTH = re.compile(rb"content-length: *([0-9]{1,9})\b", re.IGNORECASE)
_FREE = {*range(0xE0, 0xF0), 0xFE}  # applications' segments and comments may hold pictures
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA


class JpegParts:
    """Splits bytes into pictures as they arrive. A picture that another follows before its end is handed out as it is.

    Whatever stands between two pictures is skipped: boundaries, headers, padding. The picture's own markers say where
    it ends, at once and without waiting for the next, since cameras state wrong lengths. Where one that lost its own
    end ends, the next boundary says, or the stated length if a line ends there.
    """

    def __init__(self, boundary: str) -> None:
        """`boundary` as the content type names it; empty where parts have none."""
        self._name = boundary.strip("-").encode("latin-1", "replace")
        self._boundary = b"\n--" + self._name if boundary else b""
        self._data = bytearray()
        self._stated = 0  # bytes of the picture, as its header says
        self._inside = False  # `_data` begins with a start marker
        self._at, self._in_scan = 0, False  # what was examined of it, and whether that ended within coded pixels

    def feed(self, data: bytes) -> list[bytes]:
        """The pictures that these bytes completed, whole or cut. Raises `ValueError` for one without an end."""
        self._data += data
        pictures = []
        while (picture := self._next()) is not None:
            pictures.append(picture)
        if len(self._data) > LARGEST_PICTURE:
            raise ValueError(f"{len(self._data)} bytes without a whole picture")
        return pictures

    def _next(self) -> bytes | None:
        if not self._inside and not self._skip_to_start():
            return None
        seen = self._at
        limit = self._boundary_after(seen)
        end = self._end_of_picture(len(self._data) if limit < 0 else limit)
        if end is None and limit >= 0:
            end = limit
        elif end is None and self._stated and self._data[self._stated : self._stated + 2] == b"\r\n":
            end = self._stated
        return None if end is None else self._take(end)

    def _skip_to_start(self) -> bool:
        start = self._data.find(START)
        if start < 0:
            return False
        between = bytes(self._data[:start])
        self._learn_boundary(between)
        lengths = _LENGTH.findall(between)
        self._stated = int(lengths[-1]) if lengths else 0
        del self._data[:start]
        self._inside, self._at, self._in_scan = True, len(START), False
        return True

    def _learn_boundary(self, between: bytes) -> None:
        """Cameras disagree with their own content type on the dashes before a boundary."""
        first_line = next((line for line in between.splitlines() if line), b"")
        if self._name and first_line.strip(b"- ") == self._name:
            self._boundary = b"\n" + first_line

    def _boundary_after(self, at: int) -> int:
        if not self._boundary:
            return -1
        return self._data.find(self._boundary, max(0, at - len(self._boundary)))

    def _take(self, end: int) -> bytes:
        picture = bytes(self._data[:end])
        del self._data[:end]
        self._inside = False
        return picture

    def _end_of_picture(self, limit: int) -> int | None:
        """Where the picture ends, if that is before `limit`: after its end marker, or before another's start."""
        data = self._data
        while True:
            if self._in_scan:
                found = _MARKER.search(data, self._at, limit)
                if found is None:
                    self._at = max(self._at, limit - 1)
                    return None
                self._at, self._in_scan = found.start(), False
            if self._at + 2 > limit:
                return None
            if data[self._at] != 0xFF:  # damage, or an end: coded pixels are searched for the next marker
                self._in_scan = True
                continue
            marker = data[self._at + 1]
            if marker == _END:
                return self._at + 2
            if marker == _START:
                return self._at
            if not self._passed(marker, limit):
                return None

    def _passed(self, marker: int, limit: int) -> bool:
        """Go on after a marker and its segment; False while that is not all there."""
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD7:
            self._at += 1 if marker == 0xFF else 2
            return True
        if self._at + 4 > limit:
            return False
        end = self._at + 2 + int.from_bytes(self._data[self._at + 2 : self._at + 4], "big")
        if marker not in _FREE:
            start = self._data.find(START, self._at + 4, min(end, limit))
            if start >= 0:  # the segment is cut, and another picture begins
                self._at = start
                return True
        if end > limit:
            return False
        self._at, self._in_scan = end, marker == _SCAN
        return True
