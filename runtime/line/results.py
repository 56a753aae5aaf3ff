"""What a controller gives with a trigger, and what it gets back: exactly one result for each."""

from dataclasses import dataclass
from enum import IntEnum

from runtime.verdict import Decision

LONGEST_TEXT = 32  # bytes in UTF-8 of a serial number, an order or a recipe's name
LARGEST_U32 = 2**32 - 1


class Code(IntEnum):
    """A result in a register. 0, which registers hold before anything was written to them, is never a pass."""

    NONE = 0
    OK = 1
    NG = 2
    NO_DECISION = 3


CODES = {Decision.OK: Code.OK, Decision.NG: Code.NG, Decision.NO_DECISION: Code.NO_DECISION}


class Cause(IntEnum):
    """Why there is no pass, and why a trigger is refused; for a controller, which reads no sentences."""

    NONE = 0
    JUDGED = 1  # the detector rejects the part, or cannot judge its picture
    LATE = 2  # no result before the part's deadline
    NO_FRAME = 3  # the camera delivered no picture of the part
    ENGINE = 4  # the engine failed
    CAMERA = 5  # the camera is gone
    NOT_READY = 6  # refused: warming up, or the runtime is not ready
    OFFLINE = 7  # refused: set offline
    DISABLED = 8  # refused: trigger enable is off
    OVERRUN = 9  # refused: as many parts are under way as can be
    UNACKNOWLEDGED = 10  # refused: all places for results hold ones that nobody acknowledged
    HELD = 11  # the line is held: a self-test or a challenge part failed, or somebody paused it
    CHALLENGE = 12  # refused: challenge parts are due; of a result: a known bad part was judged OK
    STOPPED = 13  # the runtime was stopped while the part was under way
    BAD_INPUT = 14  # refused: part id, text or mode out of range


class Mode(IntEnum):
    """How results are given. Each result says in which mode it was made."""

    RUN = 0
    FORCED_OK = 1  # commissioning: see `UNINSPECTED`
    FORCED_NG = 2
    FORCED_NO_DECISION = 3
    DRY_RUN = 4  # verdicts are recorded, and none is given: an older system decides
    BYPASS = 5  # every part passes uninspected, and every register and record says so


# the modes that ask neither camera nor detector, and are there when both are gone: what every part gets, and why
UNINSPECTED = {
    Mode.FORCED_OK: (Code.OK, "forced OK"),
    Mode.FORCED_NG: (Code.NG, "forced NG"),
    Mode.FORCED_NO_DECISION: (Code.NO_DECISION, "forced NO_DECISION"),
    Mode.BYPASS: (Code.OK, "BYPASS: passed uninspected"),
}


@dataclass(frozen=True)
class Part:
    """What the controller says of a part with its trigger. It goes into every record as it came."""

    part_id: int  # 0 to 4,294,967,295; the controller's own, need not be unique
    serial: str = ""  # 32 bytes of UTF-8 at most
    order: str = ""  # order or batch; likewise
    challenge: Code = Code.NONE  # of a challenge part the verdict it must get, OK or NG; of any other NONE

    @property
    def problem(self) -> str | None:
        """What is out of range, in words, or None."""
        if not 0 <= self.part_id <= LARGEST_U32:
            return f"part id {self.part_id} is not from 0 to {LARGEST_U32:,}"
        if self.challenge is Code.NO_DECISION:
            return "a challenge part must be judged OK or NG; no part must be judged NO_DECISION"
        for name, text in (("serial number", self.serial), ("order", self.order)):
            if len(text.encode()) > LONGEST_TEXT:
                return f"the {name} has {len(text.encode())} bytes; expected {LONGEST_TEXT} at most"
        return None


@dataclass(frozen=True)
class Outcome:
    """What the detector made of a part, before the handshake decides what the controller is told."""

    code: Code
    cause: Cause
    reason: str
    score: float | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Result:
    """The one result of one accepted trigger."""

    inspection_id: int  # 1 and up, each once in a session
    acquisition_id: int  # of the trigger, 1 and up, each once in a session
    part: Part
    code: Code
    cause: Cause
    reason: str
    mode: Mode
    triggered_s: float  # monotonic clock
    finished_s: float  # monotonic clock
    score: float | None = None
    threshold: float | None = None

    @property
    def passes(self) -> bool:
        """Whether the part passes."""
        return self.code is Code.OK

    @property
    def took_ms(self) -> float:
        """From trigger to result."""
        return (self.finished_s - self.triggered_s) * 1e3
