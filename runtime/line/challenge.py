"""Challenge parts: known good and known bad ones that must get their verdict before the line runs.

They are due when the runtime starts, and again when `Handshake.begin_challenge` asks for them. Until then every
other trigger is refused. A wrong verdict begins them anew: a line that passed a known bad part once is not trusted
because it rejected the next one.
"""

import logging
import re

from runtime.bounds import check_between
from runtime.errors import InputError
from runtime.line.results import Code

log = logging.getLogger("proctor.line")

MOST = 100  # parts of a kind


class Challenge:
    """Which challenge parts are still due. For one thread at a time: the handshake's lock."""

    def __init__(self, good: int, bad: int) -> None:
        """How many of each kind must get their verdict in a row. Raises `InputError` for a number out of range."""
        check_between("the number of good challenge parts", good, 0, MOST)
        check_between("the number of bad challenge parts", bad, 0, MOST)
        self._required = {Code.OK: good, Code.NG: bad}
        self._left = {Code.OK: 0, Code.NG: 0}
        self.failed: str | None = None  # the last wrong verdict, where it still counts

    @property
    def is_due(self) -> bool:
        """Whether parts are still due."""
        return any(self._left.values())

    def begin(self, reason: str) -> None:
        """Have all of them due."""
        self._left = dict(self._required)
        if self.is_due:
            log.warning("challenge parts are due (%s): %s", reason, self.in_words())

    def judged(self, expected: Code, found: Code, reason: str) -> str | None:
        """Take note of a challenge part's verdict; why it is wrong, in words, or None."""
        if found is expected:
            self._left[expected] = max(0, self._left[expected] - 1)
            log.info("a known %s part was judged %s (%s)", _kind(expected), found.name, reason)
            if not self.is_due:
                self.failed = None
            return None
        self.failed = f"a known {_kind(expected)} part was judged {found.name} ({reason})"
        log.error("%s; challenge parts begin anew", self.failed)
        self.begin(self.failed)
        if not self.is_due:  # none are required, and yet one was wrong
            self._left[expected] = 1
        return self.failed

    def in_words(self) -> str:
        """What is still due."""
        due = [f"{count} {_kind(kind)}" for kind, count in self._left.items() if count]
        return f"{' and '.join(due)} in a row" + (f", since {self.failed}" if self.failed else "")


def challenge_of(text: str) -> Challenge:
    """``good=2,bad=1``. Raises `InputError` for anything else."""
    match = re.fullmatch(r"good=(\d+),bad=(\d+)", text)
    if match is None or not any(map(int, match.groups())):
        raise InputError(f"challenge parts are {text!r}; expected how many of each, as in good=1,bad=2")
    return Challenge(*map(int, match.groups()))


def _kind(code: Code) -> str:
    return "good" if code is Code.OK else "bad"
