"""What the page's process knows: the newest state, verdicts and pictures that the stream sent, in bounded memory."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.web.drawing import as_jpeg, heat_png

PICTURES = 3  # of a camera, so that a browser finds the picture of the number that it was just told
VERDICTS = 300
SCORES = 2000  # of a camera
SCORED = ("score", "part_id", "frame_id", "decision", "recipe")  # what is kept of each
STALE_S = 3.0  # a stream that hangs sends no state


class Picture:
    """One picture with its verdict; encoded when somebody looks, and once."""

    def __init__(
        self,
        number: int,
        shown: dict[str, Any],
        image: NDArray[np.uint8],
        values: NDArray[np.float32],
        terms: Sequence[NDArray[np.float32]],
    ) -> None:
        self.number, self.shown = number, shown
        self.has_heat = values.size > 0
        self._image: NDArray[np.uint8] | None = image
        self._values: NDArray[np.float32] | None = values
        self._terms: list[NDArray[np.float32] | bytes] = list(terms)  # as PNG once somebody looked
        self._encoded: tuple[bytes, bytes | None] | None = None
        self._lock = threading.Lock()

    def encoded(self) -> tuple[bytes, bytes | None]:
        """JPEG, and PNG of the heat map where there is one. From any thread."""
        with self._lock:
            if self._encoded is None:
                assert self._image is not None
                assert self._values is not None
                heat = heat_png(self._values, self.shown["threshold"]) if self._values.size else None
                self._encoded = as_jpeg(self._image), heat
                self._image = self._values = None
            return self._encoded

    def term(self, index: int) -> bytes | None:
        """PNG of the heat map of one term of the map, in the order of `shown["kinds"]`; None where there is none of
        this number. From any thread."""
        with self._lock:
            if not 0 <= index < len(self._terms):
                return None
            found = self._terms[index]
            if not isinstance(found, bytes):
                found = self._terms[index] = heat_png(found, self.shown["threshold"])
            return found

    def encode(self) -> None:
        """All of it, which takes a twentieth of the memory then."""
        self.encoded()
        for index in range(len(self._terms)):
            self.term(index)


@dataclass(frozen=True)
class Hello:
    """What the stream said of itself at the start."""

    cameras: dict[str, dict[str, Any]]
    records: str | None
    session: int | None


class Board:
    """Filled by the thread that reads from the stream, read by the server."""

    def __init__(self, hello: Hello, rejects: int) -> None:
        self.hello = hello
        self.state: dict[str, Any] = {}
        self.state_s = -float("inf")  # monotonic clock
        self.changes = 0  # counts up with each message
        self._lock = threading.Lock()
        self._numbers = 0
        self._verdicts: deque[dict[str, Any]] = deque(maxlen=VERDICTS)
        self._pictures: dict[str, deque[Picture]] = {}
        self._scores: dict[str, deque[dict[str, Any]]] = {}
        self._rejects: deque[Picture] = deque(maxlen=rejects)

    @property
    def is_fresh(self) -> bool:
        """Whether the stream sent its state just now."""
        return time.monotonic() - self.state_s < STALE_S

    def take(self, message: dict[str, Any], pixels: bytes) -> None:
        """A message of the stream's."""
        kind = message.pop("kind")
        if kind == "state":
            self.state, self.state_s = message, time.monotonic()
        elif kind == "cameras":  # another detector judges
            self.hello = replace(self.hello, cameras=message["cameras"])
        elif kind == "verdicts":
            self._take_verdicts(message["verdicts"])
        else:
            self._take_picture(kind, message, pixels)
        self.changes += 1

    def _take_verdicts(self, verdicts: list[dict[str, Any]]) -> None:
        with self._lock:
            for verdict in verdicts:
                self._numbers += 1
                self._verdicts.append({"number": self._numbers, **verdict})
                if verdict["score"] is not None:
                    kept = self._scores.setdefault(verdict["camera"], deque(maxlen=SCORES))
                    kept.append({key: verdict[key] for key in SCORED})

    def _take_picture(self, kind: str, message: dict[str, Any], pixels: bytes) -> None:
        height, width = message.pop("size_hw")
        map_hw, terms_hw = message.pop("map_hw"), message.pop("terms_hw")
        image = np.frombuffer(pixels, np.uint8, height * width * 3).reshape(height, width, 3)
        maps = np.frombuffer(memoryview(pixels)[image.size :], np.float32)
        values, terms = np.split(maps, [map_hw[0] * map_hw[1]])
        with self._lock:
            self._numbers += 1
            of_kinds = terms.reshape(len(message["kinds"]), *terms_hw)
            picture = Picture(self._numbers, message, image, values.reshape(map_hw), list(of_kinds))
        if kind == "reject":
            picture.encode()
            self._rejects.append(picture)
        else:
            self._pictures.setdefault(message["camera"], deque(maxlen=PICTURES)).append(picture)

    def verdicts_after(self, number: int) -> list[dict[str, Any]]:
        """Those that came since, the oldest first."""
        with self._lock:
            return [each for each in self._verdicts if each["number"] > number]

    def newest(self) -> dict[str, Picture]:
        """The newest picture of each camera that has one."""
        return {camera: kept[-1] for camera, kept in list(self._pictures.items()) if kept}

    def picture(self, camera: str, number: int) -> Picture | None:
        """That picture, where it is still there."""
        return next((each for each in list(self._pictures.get(camera, ())) if each.number == number), None)

    def rejects(self) -> list[Picture]:
        """The last ones, the newest first."""
        return list(self._rejects)[::-1]

    def scores(self, camera: str, recipe: str) -> list[dict[str, Any]]:
        """The last ones by a recipe, the oldest first: another one's are on another scale."""
        with self._lock:
            return [each for each in self._scores.get(camera, ()) if each["recipe"] == recipe]
