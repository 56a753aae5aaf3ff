"""What a fault did, or why it cannot be made on this machine."""

from dataclasses import dataclass

from runtime.errors import InputError


class Absent(InputError):
    """The fault cannot be made on this machine: what its other side is made of is missing."""


@dataclass(frozen=True)
class Seen:
    """What a fault did."""

    parts: tuple[str, ...]  # what the controller was told of each part that it met: code and cause, refused, or nothing
    counters: dict[str, int]  # of the runtime, the records or the other side, by name
    recovery_s: float  # see the fault's `until`
