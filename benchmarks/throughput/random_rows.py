"""Rows of detectors that nobody trained: a preset and options over it become a file with random weights."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.presets.cells import checked_config
from benchmarks.throughput.onnx_subjects import subject_of_detector
from benchmarks.throughput.untrained import shipped_or_file, untrained
from runtime.errors import InputError

if TYPE_CHECKING:
    from benchmarks.throughput.subject import Subject
    from train.options import StudentsConfig


@dataclass(frozen=True)
class RandomRow:
    """What one argument of ``--random`` asks for."""

    name: str
    settings: str  # PRESET[:OPTION=VALUE…]
    config: "StudentsConfig"

    def write(self, path: Path, half: bool) -> None:
        """Write the detector with real teachers, and random students and statistics; `half`: FP16 convolutions."""

        path.write_bytes(
            untrained(self.config, [shipped_or_file(name) for name in self.config.teachers]).detector(half)
        )

    def subject(self, name: str, path: Path, engine: str, threads: int) -> "Subject":
        """The row `name` of what `write` wrote; it says that its weights are random."""

        return replace(subject_of_detector(name, path, engine, threads), random=self.settings)


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
