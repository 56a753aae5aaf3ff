"""The sessions of an OPC UA server before one line's registers: one controls, the others look on.

The session that first writes a register or calls a method controls the line, until it ends or its connection breaks.
Then its parts are forgotten, as those of any controller that is gone: the next one begins with nothing, and no pass of
before turns up. Only the controlling session sees results.

This layer takes values as they come from outside and answers with names of OPC UA's status codes; it knows no library.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from runtime.line.handshake import BUFFER, Acquisition, Handshake, Refusal, State
from runtime.line.levels import Levels
from runtime.line.opcua.nodes import RESULT_VALUES, RESULTS, TYPES, Method, registers
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, Register, values_of, words_of
from runtime.line.results import LARGEST_U32, LONGEST_TEXT, Code, Mode, Part, Result

GOOD, UNCERTAIN, LAST_VALUE = "Good", "UncertainInitialValue", "UncertainLastUsableValue"
MISMATCH, OUT_OF_RANGE, NOT_WRITABLE, DENIED = (
    "BadTypeMismatch",
    "BadOutOfRange",
    "BadNotWritable",
    "BadUserAccessDenied",
)
LARGEST = {"u16": 2**16 - 1, "u32": LARGEST_U32}
CONTROL_BITS = [each for each in TO_RUNTIME if each.kind == "bit"]
RESULT_BITS = sum(1 << (each.bit or 0) for each in FROM_RUNTIME if each.kind == "bit" and each.name in RESULTS)
_NODES = registers()
_BY_NAME = {each.name: each for each in TO_RUNTIME}


class Given(NamedTuple):
    """A value from outside, with the name of its OPC UA type."""

    type: str
    value: Any
    is_array: bool = False


@dataclass(frozen=True)
class Looked:
    """The registers from the runtime at one moment, as one session may see them."""

    values: dict[str, Any]
    result: Result | None  # that `values` tell of
    at_s: float  # wall clock

    def with_result_of(self, other: "Looked | None") -> "Looked":
        """These registers, with the result of another moment."""
        if other is None:
            return self
        results = {name: other.values[name] for name in RESULTS - {"status"}}
        word = self.values["status"] & ~RESULT_BITS | other.values["status"] & RESULT_BITS
        return Looked(self.values | results | {"status": word}, other.result, self.at_s)

    def status(self, name: str) -> str:
        """Of one register: uncertain where no result is there, and for a heartbeat that stands still."""
        if name in RESULT_VALUES and not self.values["results_valid"]:
            return UNCERTAIN
        return LAST_VALUE if name == "heartbeat" and self.values["state"] == State.NOT_READY else GOOD

    def made_s(self, name: str) -> float:
        """When the value was made, by the wall clock: of a result, when it was finished."""
        if name not in RESULT_VALUES or self.result is None:
            return self.at_s
        return self.at_s - max(0.0, time.monotonic() - self.result.finished_s)


class Control:
    """Who controls, and what was written. For one thread, but for what a `Listener` does."""

    def __init__(self, levels: Levels, allowed: bool = True) -> None:
        """Without `allowed` no session controls: a controller of another protocol does."""
        self.levels, self.allowed = levels, allowed
        self._owner: Hashable | None = None
        self._values: dict[str, Any] = values_of(TO_RUNTIME, words_of(TO_RUNTIME, {"trigger_enable": True}))
        self._told: OrderedDict[int, Result] = OrderedDict()
        self._givens = self._acts = 0
        self.shown: Result | None = None  # that the controlling session was given last

    @property
    def handshake(self) -> Handshake:
        """Of the registers."""
        return self.levels.handshake

    @property
    def version(self) -> tuple[int, int]:
        """Another one whenever the controlling session may see another result."""
        return self._givens, self._acts

    def given(self, result: Result) -> None:
        """See `Listener`."""
        if result.mode is not Mode.DRY_RUN:  # nobody fetches those, and they would push out what waits
            self._told[result.inspection_id] = result
        while len(self._told) > 2 * BUFFER:
            self._told.popitem(last=False)
        self._givens += 1

    def controls(self, session: Hashable) -> bool:
        """Whether this session controls the line."""
        return self._owner == session and session is not None

    def claim(self, session: Hashable) -> str:
        """Control the line, where nobody else does; a status."""
        if not self.allowed:
            return NOT_WRITABLE
        if self._owner is None:
            self._owner = session
            self._acts += 1
        return GOOD if self._owner == session else DENIED

    def leave(self, session: Hashable) -> bool:
        """The session is gone. Whether it was the controlling one, whose parts are forgotten then."""
        if self._owner is None or self._owner != session:
            return False
        self._owner = None
        self.handshake.forget()
        gone = dict.fromkeys(("trigger", "results_acknowledge", "switch_recipe"), False)
        self._put(gone | {"part_id": 0, "serial": "", "order": "", "challenge": 0, "recipe": ""})
        return True

    def look(self, session: Hashable | None, sees: bool = True) -> Looked:
        """The registers from the runtime now. The controlling session sees the result, if it is to."""
        values = values_of(FROM_RUNTIME, self.levels.read(sees and self.controls(session)))
        result = self._told.get(values["inspection_id"]) if values["results_valid"] else None
        self.shown = result or self.shown
        return Looked(values, result, time.time())

    def written(self, name: str) -> Any:
        """The value of a register to the runtime."""
        return self._control_word() if name == "control" else self._values[name]

    def write(self, session: Hashable, identifier: str, given: Given) -> str:
        """Write one register by its node's identifier; a status. What is not good has changed nothing."""
        table, register = _NODES[identifier]
        if table is not TO_RUNTIME:
            return NOT_WRITABLE
        status, value = checked(register, given)
        if status == GOOD:
            status = self.claim(session)
        if status == GOOD:
            self._put(_bits(value) if register.name == "control" else {register.name: value})
        return status

    def trigger(self, part: Part) -> Acquisition | Refusal:
        """A part stands before the camera. For the controlling session."""
        return self.handshake.trigger(part)

    def next_result(self, session: Hashable) -> Result | None:
        """The oldest result, seen now, or None where there is none, or this session sees none."""
        return self.look(session).result

    def acknowledge(self, inspection_id: int) -> bool:
        """Whether that was the oldest result, and had been seen. For the controlling session."""
        done = self.handshake.acknowledge(inspection_id)
        self._acts += 1
        return done

    def switch_recipe(self, name: str | None) -> None:
        """Ask for a recipe; None takes the question back. For the controlling session."""
        self._put({"switch_recipe": False})
        if name is not None:
            self._put({"recipe": name})
            self._put({"switch_recipe": True})

    def _put(self, changed: dict[str, Any]) -> None:
        self._values |= changed
        self.levels.write(words_of(TO_RUNTIME, self._values | {"control": 0}))
        self._acts += 1

    def _control_word(self) -> int:
        return sum(bool(self._values[each.name]) << (each.bit or 0) for each in CONTROL_BITS)


def sees_results(identifiers: Sequence[str]) -> bool:
    """Whether who reads these nodes looks at the result: whoever reads the heartbeat alone does not."""
    return any(
        table is FROM_RUNTIME and register.name in RESULTS for table, register in map(_NODES.__getitem__, identifiers)
    )


def checked(register: Register, given: Given) -> tuple[str, Any]:
    """A status, and the value as it goes into the register."""
    value = given.value
    if given.is_array or given.type != TYPES[register.kind]:
        return MISMATCH, None
    if register.kind == "text":
        value = "" if value is None else value
        return (GOOD, value) if isinstance(value, str) and fits(value) else (OUT_OF_RANGE, None)
    if register.kind == "bit":
        return (GOOD, value) if isinstance(value, bool) else (MISMATCH, None)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST[register.kind]:
        return OUT_OF_RANGE, None
    if register.name == "mode" and value not in {*Mode}:
        return OUT_OF_RANGE, None
    if register.name == "challenge" and value not in {Code.NONE, Code.OK, Code.NG}:
        return OUT_OF_RANGE, None
    return (OUT_OF_RANGE, None) if register.name == "control" and value >> len(CONTROL_BITS) else (GOOD, value)


def fits(text: str) -> bool:
    """Whether a text register holds it as it is."""
    try:
        return len(text.encode()) <= LONGEST_TEXT and "\0" not in text
    except UnicodeEncodeError:  # bytes from outside that were no UTF-8
        return False


def checked_arguments(method: Method, given: Sequence[Given]) -> tuple[str, list[str], list[Any]]:
    """Of a call: a status, one for each argument, and the values. Arguments that are registers are checked as those."""
    if len(given) != len(method.takes):
        return "BadArgumentsMissing" if len(given) < len(method.takes) else "BadTooManyArguments", [], []
    statuses, values = [], []
    for expected, each in zip(method.takes, given, strict=True):
        register = _BY_NAME.get("recipe" if method.name == "SwitchRecipe" else expected.name)
        if register is None:
            register = Register(expected.name, "u32", expected.meaning)
        status, value = checked(register, each)
        statuses.append(status)
        values.append(value)
    status = GOOD if set(statuses) <= {GOOD} else "BadInvalidArgument"
    return status, statuses, values


def _bits(word: int) -> dict[str, Any]:
    return {each.name: bool(word >> (each.bit or 0) & 1) for each in CONTROL_BITS}
