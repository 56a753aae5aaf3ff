"""Rows of detectors that nobody trained: a preset and options over it become a file with random weights."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.presets.cells import checked_config
from benchmarks.throughput.onnx_subjects import subject_of_detector
from benchmarks.throughput.untrained import Untrained, shipped_or_file, untrained
from benchmarks.throughput.untrained_bank import untrained_bank
from runtime.errors import InputError
from train.memory_bank import MemoryBankConfig

if TYPE_CHECKING:
    from benchmarks.throughput.subject import Subject


@dataclass(frozen=True)
class RandomRow:
    """What one argument of ``--random`` asks for."""

    name: str
    settings: str  # PRESET[:OPTION=VALUE…]
    config: Any  # of the preset's method

    def beside(self, names: Collection[str]) -> "RandomRow":
        """This row among others of these names: a preset that was given no name is told from a file of its own."""
        return replace(self, name=f"random {self.name}") if self.name in names and self.name == self.settings else self

    def write(self, path: Path, half: bool) -> None:
        """Write the detector with random weights; `half`: FP16 convolutions.

        Real are the teachers of students, and the backbone of a memory bank.
        """
        path.write_bytes(_untrained(self.config).detector(half))

    def subject(self, name: str, path: Path, engine: str, threads: int) -> "Subject":
        """The row `name` of what `write` wrote; it says that its weights are random."""

        return replace(subject_of_detector(name, path, engine, threads), random=self.settings)


def _untrained(config: Any) -> Untrained:
    if isinstance(config, MemoryBankConfig):
        return untrained_bank(config)
    return untrained(config, [shipped_or_file(name) for name in config.teachers])


def random_row(text: str) -> RandomRow:
    """Parse ``[NAME=]PRESET[:OPTION=VALUE]…``, options being those of ``python -m train``; the name may be left out.

    Raises `InputError` for another form, and for whatever such a training would be refused for.
    """
    head, *options = text.split(":")
    name, given, preset_name = head.rpartition("=")
    pairs = [option.partition("=") for option in options]
    over: dict[str, object] = {key.replace("-", "_"): value for key, _, value in pairs}
    if not preset_name or (given and not name) or not all(equals for _, equals, _ in pairs) or len(over) < len(pairs):
        raise InputError(
            f"--random is {text!r}; expected NAME=PRESET:OPTION=VALUE:OPTION=VALUE…, each option once, "
            "such as edge-256=edge:size_hw=256,256"
        )
    settings = text.removeprefix(f"{name}=") if given else text
    try:
        return RandomRow(name or settings, settings, checked_config(preset_name, over))
    except InputError as error:
        raise InputError(f"--random is {text!r}: {error}") from error
