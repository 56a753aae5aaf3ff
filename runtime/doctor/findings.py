"""A finding: one thing the doctor looked at, how it is, and what to do about it."""

from dataclasses import dataclass
from enum import Enum


class Status(str, Enum):
    """How a thing is."""

    OK = "ok"
    ABSENT = "absent"  # not there, which may be as it should be
    BROKEN = "broken"  # there, and does not work


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    area: str
    status: Status
    text: str
    remedy: str = ""  # what to do, where something can be done
    needed: bool = False  # whether the stream cannot run unless this is ok

    @property
    def stops(self) -> bool:
        """Whether the stream cannot run for this."""
        return self.needed and self.status is not Status.OK
