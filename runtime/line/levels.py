"""The handshake over registers: what a controller writes are levels, and each side waits for the other's.

Trigger: the controller sets ``trigger``, with the part's registers written before or with it; the runtime sets
``trigger_acknowledge`` or ``missed_acquisition``; the controller clears ``trigger``, and then the acknowledgement
falls. Results: the runtime sets ``results_valid`` with the oldest result; the controller sets ``results_acknowledge``;
``results_valid`` falls; the controller clears it, and the next result appears. Recipe: the controller writes its name
and sets ``switch_recipe``; from then on triggers are refused until ``recipe_acknowledge``. Nobody has to see an edge in
time, so a controller may poll as slowly as it likes.
"""

import threading
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, TypeVar

from runtime.errors import InputError
from runtime.line.handshake import Acquisition, Handshake
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, addresses, status_of, values_of, words_of
from runtime.line.results import Code, Mode, Part

E = TypeVar("E", bound=IntEnum)

_CONTROL = addresses(TO_RUNTIME)["control"]
_TRIGGER = next(1 << (each.bit or 0) for each in TO_RUNTIME if each.name == "trigger")


class Levels:
    """One controller's registers. From any thread."""

    def __init__(self, handshake: Handshake) -> None:
        self.handshake = handshake
        self._lock = threading.Lock()
        self._trigger = self._acknowledges = self._switches = False  # the controller's levels, as last written
        self._accepted = False  # the trigger that is set
        self._shown: int | None = None  # inspection id of the result that the controller may acknowledge

    def write(self, words: Sequence[int]) -> None:
        """The registers to the runtime, all of them, as the controller left them. Called after each change.

        What is out of range is told to the controller by a refused trigger; a mode that is none changes nothing.
        """
        with self._lock:
            try:
                values = values_of(TO_RUNTIME, words)
                mode, values["challenge"] = _one_of(Mode, values, "mode"), _one_of(Code, values, "challenge")
            except InputError as error:
                self._refuse(bool(words[_CONTROL] & _TRIGGER), str(error))
                return
            self.handshake.enable(values["trigger_enable"])
            self.handshake.set_offline(values["set_offline"])
            self.handshake.set_mode(mode)
            self.handshake.move(values["encoder"])
            self._acknowledge(values["results_acknowledge"])
            self._switch(values)
            self._pull(values)

    def begin(self, words: Sequence[int]) -> None:
        """The registers to the runtime as a connection finds them. A trigger that stands there is of a part that may be
        gone, and is refused."""
        with self._lock:
            self._refuse(bool(words[_CONTROL] & _TRIGGER), "the trigger stood before the runtime was connected")
        self.write(words)

    def unreadable(self, triggers: bool, reason: str) -> None:
        """Where the registers to the runtime should be is something else; a trigger in it is refused."""
        with self._lock:
            self._refuse(triggers, reason)

    def read(self, sees: bool = True) -> list[int]:
        """The registers from the runtime, as they are now. Without `sees` nobody looks at the result: it is not there,
        and is not seen."""
        with self._lock:
            view = self.handshake.view(sees)
            valid = view.result is not None and not self._acknowledges
            if sees:
                self._shown = view.result.inspection_id if view.result is not None and valid else None
            switched = self._switches and view.inspected.asked is None and not view.inspected.refused
            return words_of(FROM_RUNTIME, status_of(view, self._accepted, valid, switched))

    def _acknowledge(self, level: bool) -> None:
        rises, self._acknowledges = level and not self._acknowledges, level
        if rises and self._shown is not None:
            self.handshake.acknowledge(self._shown)
            self._shown = None

    def _switch(self, values: dict[str, Any]) -> None:
        level: bool = values["switch_recipe"]
        rises, self._switches = level and not self._switches, level
        if rises:
            self.handshake.ask_recipe(values["recipe"])

    def _pull(self, values: dict[str, Any]) -> None:
        level: bool = values["trigger"]
        rises, self._trigger = level and not self._trigger, level
        if rises:
            answer = self.handshake.trigger(
                Part(*(values[name] for name in ("part_id", "serial", "order", "challenge")))
            )
            self._accepted = isinstance(answer, Acquisition)
        elif not level:
            self._accepted = False

    def _refuse(self, level: bool, reason: str) -> None:
        rises, self._trigger = level and not self._trigger, level
        if rises:
            self.handshake.refuse(reason)
        elif not level:
            self._accepted = False


def _one_of(kind: type[E], values: dict[str, Any], name: str) -> E:
    try:
        return kind(values[name])
    except ValueError as error:
        raise InputError(f"{name} is {values[name]}; expected 0 to {max(kind)}") from error
