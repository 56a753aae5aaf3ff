"""What a vendor's driver has to be able to do: features by name, and buffers."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Kind = Literal["integer", "float", "boolean", "enumeration", "string", "command"]
Value = int | float | bool | str


@dataclass(frozen=True)
class Feature:
    """A feature of a camera as it is now, by its name in the GenICam Standard Features Naming Convention."""

    name: str
    kind: Kind
    value: Value | None  # None for a command
    least: float | None = None  # of numbers, where the camera says so
    most: float | None = None
    step: float | None = None
    entries: tuple[str, ...] = ()  # of an enumeration, those that can be had now
    number: int | None = None  # of an enumeration, that of the entry it has
    writable: bool = True


@dataclass(frozen=True)
class Buffer:
    """One buffer as the driver delivered it. Its bytes may change at the next `Device.fetch`."""

    data: NDArray[np.uint8]  # [n]
    height: int
    width: int
    pixel_format: int  # its PFNC code
    row_padding: int = 0  # unused bytes after each row
    counter: int | None = None  # the camera's number of the frame
    camera_ns: int | None = None  # the camera's time stamp, nanoseconds on its clock
    fault: str | None = None  # why it is not whole; only counter and time stamp then mean something


class Device(Protocol):
    """An open camera. For one thread at a time, but for `execute` and `is_alive`, which may be called beside `fetch`.

    Every method but `is_alive` raises `SourceError` where the camera is gone or refuses.
    """

    @property
    def shown(self) -> str:
        """The camera, for messages."""

    @property
    def drops(self) -> int:
        """Pictures that were left out because they came too late."""

    def feature(self, name: str) -> Feature | None:
        """A feature as it is now; None where the camera has none of that name, or not now."""

    def names(self) -> list[str]:
        """The names of all features."""

    def write(self, feature: Feature, value: Value) -> None:
        """Set a feature; `value` is of its kind and in its range."""

    def execute(self, name: str) -> None:
        """Run a command."""

    def start(self, newest_only: bool) -> None:
        """Let pictures come. With `newest_only` a picture that nobody fetched is dropped for the next one."""

    def fetch(self, timeout_s: float) -> Buffer | None:
        """The next buffer, or None where none came in time."""

    def is_alive(self) -> bool:
        """Whether the camera answers on its control channel."""

    def close(self) -> None:
        """Give the camera back."""
