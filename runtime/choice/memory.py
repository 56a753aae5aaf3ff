"""What was chosen and for what: one small JSON file beside the detector. A memory of anything else is stale."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.machine import Machine
from runtime.typed import build
from runtime.versions import now as this_moment

SCHEMA = 1


@dataclass(frozen=True)
class Circumstances:
    """What a choice holds for."""

    subject_sha256: str  # of what was computed: a detector's graph, or the files of a run
    alternatives: dict[str, str]  # by name, with what identifies each beyond its library's version
    machine: Machine

    def difference(self, now: "Circumstances") -> str | None:
        """Why a choice made in these circumstances does not hold `now`, or None."""
        if self.subject_sha256 != now.subject_sha256:
            return "it is of another detector"
        if set(self.alternatives) != set(now.alternatives):
            return f"it compared {', '.join(self.alternatives)}, and here are {', '.join(now.alternatives)}"
        exchanged = [name for name, identity in self.alternatives.items() if now.alternatives[name] != identity]
        if exchanged:
            return f"it was measured with another {', '.join(exchanged)}"
        changed = self.machine.difference(now.machine)
        return f"the machine has changed: {changed}" if changed else None


@dataclass(frozen=True)
class Choice:
    """A choice and what was measured for it."""

    circumstances: Circumstances
    chosen: str
    ratios: dict[str, float]  # median time, of that of the first alternative
    left_out: dict[str, str]  # alternatives that could not be chosen, with the reason
    created: str = field(default_factory=this_moment)  # ISO 8601
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.chosen not in self.ratios:
            raise InputError(f"chosen is {self.chosen!r}, which has no ratio; expected one of those in ratios")

    def words(self) -> str:
        """The choice and its reason, in one line for people."""
        reference, ratio = next(iter(self.ratios)), self.ratios[self.chosen]
        if self.chosen != reference:
            text = f"{self.chosen} takes {ratio:.2f} of the time of {reference}"
        else:
            others = [
                f"{name} takes {other:.2f} of its time" for name, other in self.ratios.items() if name != reference
            ]
            text = f"{self.chosen}; {', '.join(others) or 'nothing else can run it'}"
        left_out = [f"; {name} is left out: {reason}" for name, reason in self.left_out.items()]
        return f"{text}, measured on this machine {self.created[:10]}{''.join(left_out)}"


def remember(path: Path, choice: Choice) -> str | None:
    """Write a choice to `path`. What stands in the way is returned as a sentence, since it need not stop anything."""
    try:
        write_atomically(path, json.dumps(asdict(choice), indent=1).encode() + b"\n")
    except InputError as error:
        return f"the choice is not remembered: {error}"
    return None


def read_choice(path: Path) -> Choice | None:
    """The choice in `path`, or None where there is none. Raises `InputError` for a file that is damaged."""
    try:
        document = json.loads(path.read_text())
        return build(Choice, document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError, InputError) as error:
        raise InputError(f"{path} is damaged ({error}); delete it, so that the choice is measured anew") from error


def recall(path: Path, now: Circumstances) -> tuple[Choice | None, str | None]:
    """The choice in `path` if it holds `now`; otherwise why it does not, or None twice where there is none."""
    try:
        choice = read_choice(path)
    except InputError as error:
        return None, str(error)
    if choice is None:
        return None, None
    if choice.schema != SCHEMA:
        return None, f"{path} was written by another version"
    reason = choice.circumstances.difference(now)
    return (None, f"{path} does not hold any more: {reason}") if reason else (choice, None)
