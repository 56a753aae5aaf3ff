"""Which station speaks: the names in its topics and in everything that it publishes."""

import re
from dataclasses import dataclass

from runtime.errors import InputError

ROOT = "proctor"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # in a topic: no level of its own, and no wildcard


@dataclass(frozen=True)
class Place:
    """A station by its names. Two that run at once must not have the same."""

    site: str
    line: str
    station: str

    def __post_init__(self) -> None:
        for name, value in self.names.items():
            if not NAME.fullmatch(value):
                raise InputError(
                    f"{name} is {value[:70]!r}; expected 1 to 64 letters, digits, and . _ - after the first"
                )

    @property
    def names(self) -> dict[str, str]:
        """All of them, from the largest."""
        return {"site": self.site, "line": self.line, "station": self.station}

    @property
    def path(self) -> str:
        """What its topics begin with. Also its client id: a broker has one of it at a time."""
        return "/".join((ROOT, *self.names.values()))

    def topic(self, name: str) -> str:
        """``proctor/<site>/<line>/<station>/<name>``."""
        return f"{self.path}/{name}"
