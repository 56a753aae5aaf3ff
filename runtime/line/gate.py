"""The reject gate: it stands downstream of the camera, and a part reaches it some parts or encoder counts later.

Each triggered part is put into a shift register with a reject beside it. Only a pass that arrives before the part is at
the gate takes the reject away. So whatever breaks, a part is rejected.
"""

import logging
from collections import deque
from dataclasses import dataclass, replace

from runtime.bounds import check_between
from runtime.errors import InputError
from runtime.line.results import UNINSPECTED, Mode, Part, Result

log = logging.getLogger("proctor.line")

COUNT_MODULUS = 2**32  # of the encoder, and of the parts that came to the gate
MOST_PARTS = 10_000  # between camera and gate; more are an encoder that stands still
HISTORY = 16  # parts that came to the gate last


@dataclass(frozen=True)
class AtGate:
    """What the gate did last. Nothing passes before the first part."""

    count: int = 0  # parts that came to the gate
    history: int = 0  # bit n: the part that came n parts before the last one passes
    part_id: int = 0  # of the last one

    @property
    def passes(self) -> bool:
        """Whether the last part passes."""
        return bool(self.history & 1)


@dataclass
class _OnBelt:
    acquisition_id: int | None  # None for a part whose trigger was refused
    part_id: int
    position: int  # of the belt when it was triggered
    passes: bool = False
    inspected: bool = True


class RejectGate:
    """A shift register between trigger and gate. For one thread at a time: the handshake calls it under its lock.

    `distance` is in parts (each trigger moves the belt by one) or, with `by_encoder`, in counts of the line's encoder.
    """

    def __init__(self, distance: int, by_encoder: bool = False) -> None:
        """Raises `InputError` for a distance outside 1 to 2³¹ counts, or 1 to 10,000 parts."""
        most = COUNT_MODULUS // 2 if by_encoder else MOST_PARTS
        check_between("the distance to the reject gate", distance, 1, most)
        self._distance, self._by_encoder = distance, by_encoder
        self._belt: deque[_OnBelt] = deque()
        self._position = 0
        self._last_count: int | None = None
        self.seen = AtGate()

    @property
    def is_full(self) -> bool:
        """Whether no part more can be followed: the encoder stands still while parts are triggered. A belt that parts
        move is never: each that comes lets one leave, once it holds the distance."""
        return self._by_encoder and len(self._belt) >= MOST_PARTS

    def triggered(self, acquisition_id: int | None, part: Part) -> None:
        """A part stands before the camera; without an acquisition its trigger was refused. Not for a full belt."""
        if not self._by_encoder:
            self._position += 1
        self._belt.append(_OnBelt(acquisition_id, part.part_id, self._position))
        if not self._by_encoder:
            self._leave()

    def judged(self, result: Result) -> None:
        """A result, or what became of one. For a part that is past the gate it comes too late.

        In a dry run nothing passes: another system works the gate.
        """
        for each in self._belt:
            if each.acquisition_id == result.acquisition_id:
                each.passes = result.passes and result.mode is not Mode.DRY_RUN
                each.inspected = result.mode not in UNINSPECTED

    def take_back(self, uninspected: bool = False) -> None:
        """Reject what the detector passed and is still on the belt, and with `uninspected` all else, too."""
        for each in self._belt:
            each.passes = each.passes and not each.inspected and not uninspected

    def moved(self, encoder: int) -> None:
        """The encoder's count, 0 to 2³² − 1, which may wrap around. A gate that counts parts does not look at it.

        A belt that runs backwards moves nothing until it is where it was. A count that changes by more than the
        distance at once was set anew, or nobody looked while the parts went by: all that are on the belt are rejected.
        """
        if not self._by_encoder:
            return
        last = encoder if self._last_count is None else self._last_count
        step = (encoder - last) % COUNT_MODULUS
        if step > self._distance:
            if COUNT_MODULUS - step <= self._distance:
                return
            self._lose(f"the encoder went from {last} to {encoder}")
        if step <= self._distance or last < encoder:
            self._position += step
        self._last_count = encoder
        self._leave()

    def missed_parts(self) -> None:
        """Parts may have come by the camera that nobody triggered. Where parts move the belt, nobody knows any more
        where those on it are, so all are rejected; an encoder has counted on."""
        if not self._by_encoder:
            self._lose("no controller was there")

    def _lose(self, why: str) -> None:
        if self._belt:
            log.warning("%s; %d parts before the gate are rejected", why, len(self._belt))
            self.take_back(uninspected=True)

    def _leave(self) -> None:
        while self._belt and self._position - self._belt[0].position >= self._distance:
            part, seen = self._belt.popleft(), self.seen
            self.seen = replace(
                seen,
                count=(seen.count + 1) % COUNT_MODULUS,
                history=(seen.history << 1 | part.passes) % (1 << HISTORY),
                part_id=part.part_id,
            )


def parse_gate(text: str) -> RejectGate:
    """``parts=12`` or ``counts=4800``. Raises `InputError`."""
    unit, _, number = text.partition("=")
    if unit not in ("parts", "counts") or not number.isdecimal():
        raise InputError(f"the reject gate is {text!r}; expected its distance, as in parts=12 or counts=4800")
    return RejectGate(int(number), by_encoder=unit == "counts")
