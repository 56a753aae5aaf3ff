"""What commands do to the registers: each is a controller's program for one step of the handshake."""

import logging
import threading
import time
from collections import OrderedDict
from typing import Any

from runtime.line.levels import Levels
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, values_of, words_of
from runtime.line.reporter import Reporter
from runtime.line.results import Cause, Code, Mode
from runtime.publishing.commands import Command, NoCommand, command_of
from runtime.publishing.documents import Document, Writer, now_ms
from runtime.publishing.messages import ANSWER, LONGEST_REASON

log = logging.getLogger("proctor.line")

REMEMBERED = 1_000  # commands, so that a repeated one is not done again
SWITCH_S = 60.0  # for a recipe to be in force


class Commander:
    """The one controller of a line, by commands. From any thread."""

    def __init__(self, levels: Levels, writer: Writer, reporter: Reporter, age_ms: float) -> None:
        """Commands that were sent longer than `age_ms` ago, or are from the future by more, are refused."""
        self._levels, self._writer, self._reporter, self._age_ms = levels, writer, reporter, age_ms
        self._lock = threading.Lock()
        self._registers: dict[str, object] = {"trigger_enable": True}  # as this controller leaves them
        self._answers: OrderedDict[str, tuple[bytes, Document | None]] = OrderedDict()
        self._switch: tuple[Command, float] | None = None  # under way, until when

    def answer(self, data: bytes, retained: bool) -> Document | None:
        """Do what a command says, and the answer; None where it follows from `late_answers`."""
        with self._lock:
            try:
                command = command_of(data)
            except NoCommand as error:
                return self._said(error.id, error.name, str(error))
            known = self._answers.get(command.id)
            if known is not None and known[0] == data and not retained:
                return known[1]
            refused = self._refused(command, retained, known is not None)
            if refused is not None:
                log.warning("the command %s is refused: %s", command.name, refused)
                return self._said(command.id, command.name, refused)
            answer = getattr(self, f"_{command.name}")(command)
            self._answers[command.id] = data, answer
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
            return answer  # type: ignore[no-any-return]

    def late_answers(self) -> list[Document]:
        """Answers that are known by now, to commands that take a while."""
        with self._lock:
            if self._switch is None:
                return []
            command, until_s = self._switch
            seen = self._seen()
            if seen["recipe_acknowledge"]:
                answer = self._done(command)
            elif seen["recipe_refused"]:
                why = self._levels.handshake.view(sees=False).error_text
                answer = self._said(command.id, command.name, f"the recipe is refused: {why}")
            elif time.monotonic() > until_s:
                answer = self._said(command.id, command.name, f"the recipe was not in force within {SWITCH_S:g} s")
            else:
                return []
            self._switch = None
            self._answers[command.id] = self._answers.get(command.id, (b"", None))[0], answer
            self._registers |= {"switch_recipe": False}
            self._write()
            return [answer]

    def _refused(self, command: Command, retained: bool, is_known: bool) -> str | None:
        """Why a command is not done, or None."""
        if retained:
            return "it was retained by the broker: its part may be gone; send it without the retain flag"
        if is_known:
            return f"the id {command.id} was another command's; give each one its own"
        age_ms = now_ms() - command.sent_at_ms
        if abs(age_ms) > self._age_ms:
            when = f"{age_ms} ms old" if age_ms > 0 else f"{-age_ms} ms from the future"
            return f"it is {when}, {self._age_ms:g} ms are allowed: its part may be gone, or the clocks differ"
        return None

    def _trigger(self, command: Command) -> Document:
        values = command.values
        part = {name: values[name] for name in ("part_id", "serial", "order") if name in values}
        self._reporter.last_refusal = None
        self._write(trigger=True, challenge=Code[values.get("challenge", "NONE")], **part)
        seen = self._seen()
        self._write()
        if seen["trigger_acknowledge"]:
            return self._done(command, seen["acquisition_id"])
        refusal = self._reporter.last_refusal
        cause, reason = (Cause.NOT_READY, "refused") if refusal is None else (refusal.cause, refusal.reason)
        return self._said(command.id, command.name, reason, cause)

    def _acknowledge(self, command: Command) -> Document:
        seen, asked = self._seen(sees=True), command.values["verdict"]
        waits = self._reporter.verdict_id(seen["inspection_id"]) if seen["results_valid"] else None
        if waits != asked:
            oldest = "none waits" if waits is None else f"the oldest that waits is {waits}"
            return self._said(command.id, command.name, f"the verdict {asked} cannot be acknowledged: {oldest}")
        self._write(results_acknowledge=True)
        self._write()
        return self._done(command)

    def _set_offline(self, command: Command) -> Document:
        self._registers["set_offline"] = command.values["offline"]
        self._write()
        return self._done(command)

    def _mode(self, command: Command) -> Document:
        self._registers["mode"] = Mode[command.values["mode"]]
        self._write()
        return self._done(command)

    def _switch_recipe(self, command: Command) -> Document | None:
        if self._switch is not None:
            return self._said(command.id, command.name, f"the switch of the command {self._switch[0].id} is under way")
        self._registers |= {"switch_recipe": True, "recipe": command.values["recipe"]}
        self._switch = command, time.monotonic() + SWITCH_S
        self._write()
        return None

    def _write(self, **values: object) -> None:
        self._levels.write(words_of(TO_RUNTIME, self._registers | values))

    def _seen(self, sees: bool = False) -> dict[str, Any]:
        return values_of(FROM_RUNTIME, self._levels.read(sees))

    def _done(self, command: Command, acquisition_id: int | None = None) -> Document:
        return self._answer(command.id, command.name, True, Cause.NONE, "", acquisition_id)

    def _said(self, id: str | None, name: str | None, reason: str, cause: Cause = Cause.BAD_INPUT) -> Document:
        return self._answer(id, name, False, cause, reason, None)

    def _answer(
        self, id: str | None, name: str | None, done: bool, cause: Cause, reason: str, acquisition_id: int | None
    ) -> Document:
        return self._writer.head(ANSWER) | {
            "id": id,
            "command": name,
            "done": done,
            "cause": cause.name,
            "reason": reason[:LONGEST_REASON],
            "acquisition_id": acquisition_id,
        }
