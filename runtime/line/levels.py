"""The handshake over registers: what a controller writes are levels, and each side waits for the other's.

Trigger: the controller sets ``trigger``, with the part's registers written before or with it; the runtime sets
``trigger_acknowledge`` or ``missed_acquisition``; the controller clears ``trigger``, and then the acknowledgement
falls. Results: the runtime sets ``results_valid`` with the oldest result; the controller sets ``results_acknowledge``;
``results_valid`` falls; the controller clears it, and the next result appears. Recipe: the controller writes its name
and sets ``switch_recipe``; from then on triggers are refused until ``recipe_acknowledge``. Nobody has to see an edge in
time, so a controller may poll as slowly as it likes.
"""

import threading
import time
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, TypeVar

from runtime.errors import InputError
from runtime.line.handshake import Acquisition, Handshake
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, WORDS, addresses, status_of, values_of, words_of
from runtime.line.results import Code, Mode, Part

E = TypeVar("E", bound=IntEnum)

_PLACES = addresses(TO_RUNTIME)
_CONTROL = _PLACES["control"]
_TRIGGER = next(1 << (each.bit or 0) for each in TO_RUNTIME if each.name == "trigger")
_TEXTS = tuple(each for each in TO_RUNTIME if each.kind == "text")
_OF_PART = ("part_id", "serial", "order", "challenge")
_STOOD = "the trigger stood before the connection"


class PartlyRead(list[int]):
    """Registers of which a binding could not read all, for this `reason`: in their place are bytes that are no text."""

    def __init__(self, words: Sequence[int], reason: str) -> None:
        super().__init__(words)
        self.reason = reason


class Levels:
    """One controller's registers. From any thread."""

    def __init__(self, handshake: Handshake) -> None:
        self.handshake = handshake
        self._lock = threading.Lock()
        self._trigger = self._acknowledges = self._switches = False  # the controller's levels, as last written
        self._accepted = False  # the trigger that is set
        self._part: Part | None = None  # its part, where that can be read
        self._recipe: str | None = None  # that was asked for last
        self._shown: int | None = None  # inspection id of the result that the controller may acknowledge
        self._written_s = time.monotonic()  # when the controller wrote last

    @property
    def shown(self) -> int | None:
        """Inspection id of the result that whoever read last saw, and that is not acknowledged."""
        with self._lock:
            return self._shown

    def write(self, words: Sequence[int]) -> None:
        """The registers to the runtime, all of them, as the controller left them. Called after each change.

        What cannot be read is told to the controller by a refused trigger. All else is done all the same: an encoder
        that stood still meanwhile would have the reject gate open for other parts. A mode that is none changes nothing,
        and a recipe is switched to once its name can be read.
        """
        with self._lock:
            self._apply(words)

    def begin(self, words: Sequence[int]) -> None:
        """The registers to the runtime as a connection finds them. A trigger that stands there is of a part that may be
        gone, and is refused, unless it is that of the very part that was triggered before; a recipe that is asked for
        there is switched to, unless it was asked for before."""
        with self._lock:
            self.handshake.was_away()
            self._apply(words, anew=True, found=True)

    def write_anew(self, words: Sequence[int]) -> None:
        """As `write`, of a controller that comes back: a trigger that stood before and is of another part now fell and
        rose while nobody was there, and is refused, since that part may be gone; likewise a recipe is asked for. One
        that connects for each request was away where it wrote nothing for longer than a part's deadline."""
        with self._lock:
            if time.monotonic() - self._written_s > self.handshake.deadline_s:
                self.handshake.was_away()
            self._apply(words, anew=True)

    def unreadable(self, triggers: bool, reason: str) -> None:
        """Where the registers to the runtime should be is something else; a trigger in it is refused."""
        with self._lock:
            self._refuse(triggers, reason)

    def read(self, sees: bool = True) -> list[int]:
        """The registers from the runtime, as they are now. Without `sees` nobody looks at the result: it is not there,
        and is not seen. Nor is the next one while the acknowledgement of the one before stands: it is hidden until
        then, and a pass in it grows old."""
        with self._lock:
            sees = sees and not self._acknowledges
            view = self.handshake.view(sees)
            if sees:
                self._shown = None if view.result is None else view.result.inspection_id
            switched = self._switches and view.inspected.asked is None and not view.inspected.refused
            return words_of(FROM_RUNTIME, status_of(view, self._accepted, view.result is not None, switched))

    def _apply(self, words: Sequence[int], anew: bool = False, found: bool = False) -> None:
        self._written_s = time.monotonic()
        try:
            values, problem = _readable(words)
        except InputError as error:  # another number of registers
            self._refuse(bool(words[_CONTROL] & _TRIGGER), str(error))
            return
        self.handshake.enable(values["trigger_enable"])
        self.handshake.set_offline(values["set_offline"])
        if "mode" in values:
            self.handshake.set_mode(values["mode"])
        self.handshake.move(values["encoder"])
        self._acknowledge(values["results_acknowledge"])
        self._switch(values, anew)
        self._pull(values, problem, anew, found)

    def _acknowledge(self, level: bool) -> None:
        rises, self._acknowledges = level and not self._acknowledges, level
        if rises and self._shown is not None:
            self.handshake.acknowledge(self._shown)
            self._shown = None

    def _switch(self, values: dict[str, Any], anew: bool) -> None:
        level: bool = values["switch_recipe"]
        name: str | None = values.get("recipe")
        if level and name is None:
            return  # its level rises once it is known which
        rises = level and (not self._switches or (anew and name != self._recipe))
        self._switches = level
        if rises and name is not None:
            self._recipe = name
            self.handshake.ask_recipe(name)

    def _pull(self, values: dict[str, Any], problem: str, anew: bool, found: bool) -> None:
        level: bool = values["trigger"]
        part = Part(*(values[name] for name in _OF_PART)) if all(name in values for name in _OF_PART) else None
        is_other = anew and level and self._trigger and part != self._part
        if is_other:
            self._trigger = False  # that one fell while nobody was connected
        if part is None or problem or found or is_other:
            self._refuse(level, problem or _STOOD, part)
            return
        rises, self._trigger = level and not self._trigger, level
        if rises:
            self._part, self._accepted = part, isinstance(self.handshake.trigger(part), Acquisition)
        elif not level:
            self._accepted = False

    def _refuse(self, level: bool, reason: str, part: Part | None = None) -> None:
        rises, self._trigger = level and not self._trigger, level
        if rises:
            self._part = part
            self.handshake.refuse(reason)
        if rises or not level:
            self._accepted = False


def _readable(words: Sequence[int]) -> tuple[dict[str, Any], str]:
    """What can be read of the registers to the runtime, and why the rest cannot; empty where all can.

    Raises `InputError` for another number of registers.
    """
    problems = []
    try:
        values = values_of(TO_RUNTIME, words)
    except InputError as error:
        values = _without_broken_texts(words)
        problems.append(words.reason if isinstance(words, PartlyRead) else str(error))
    for name, kind in (("mode", Mode), ("challenge", Code)):
        try:
            values[name] = _one_of(kind, values, name)
        except InputError as error:
            problems.append(str(error))
            del values[name]
    return values, "; ".join(problems)


def _without_broken_texts(words: Sequence[int]) -> dict[str, Any]:
    """Raises `InputError` where that is not all that is wrong."""
    kept, broken = list(words), set[str]()
    for each in _TEXTS:
        at, size = _PLACES[each.name], WORDS[each.kind]
        try:
            values_of((each,), words[at : at + size])
        except InputError:
            broken.add(each.name)
            kept[at : at + size] = [0] * len(kept[at : at + size])
    return {name: value for name, value in values_of(TO_RUNTIME, kept).items() if name not in broken}


def _one_of(kind: type[E], values: dict[str, Any], name: str) -> E:
    try:
        return kind(values[name])
    except ValueError as error:
        raise InputError(f"{name} is {values[name]}; expected 0 to {max(kind)}") from error
