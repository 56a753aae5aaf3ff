"""The course of a teacher's pretraining, from the log of its run folder."""

import json
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import InputError

LOSSES = ("distillation", "triplet", "compactness")
HELD_OUT = ("held_out_error", "held_out_triplet_loss", "held_out_triplets_confused")


@dataclass(frozen=True)
class Curve:
    """A run's logged values by name; all lists have the length of `iterations`, and what was not logged is absent."""

    name: str
    iterations: tuple[int, ...]
    values: dict[str, tuple[float, ...]]


def read_curve(run: Path) -> Curve:
    """The curve of a run folder, of a run that still goes on too.

    A run that was killed repeats the steps since its last checkpoint: what it logged later counts. Raises `InputError`
    for a folder without a log, a line that is no log entry, and one of another command.
    """
    path = run / "log.jsonl"
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read; give run folders of python -m train.teacher") from error
    entries: dict[int, dict[str, object]] = {}
    lines = text.split("\n")[:-1]  # a line without its end is still being written
    for number, line in enumerate(lines, 1):
        entry = _entry(line, f"{path}, line {number},")
        entries[int(str(entry["iteration"]))] = entry
    if not entries:
        raise InputError(f"{path} holds nothing yet; wait for its first evaluation")
    ordered = [entries[iteration] for iteration in sorted(entries)]
    return Curve(run.name, tuple(sorted(entries)), _columns(ordered))


def _entry(line: str, where: str) -> dict[str, object]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where} is not JSON; remove the line or train again") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("iteration"), int):
        raise InputError(f"{where} names no iteration; give run folders of python -m train.teacher")
    return entry


def _columns(entries: list[dict[str, object]]) -> dict[str, tuple[float, ...]]:
    columns = {}
    for name in LOSSES + HELD_OUT:
        values = [entry.get(name) for entry in entries]
        if any(isinstance(value, int | float) for value in values):
            # what only a part of the run logged is missing elsewhere, not zero
            columns[name] = tuple(float(v) if isinstance(v, int | float) else float("nan") for v in values)
    return columns
