"""Rows of detectors that nobody trained: a preset and options over it become a file with random weights."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.presets.cells import checked_config
from benchmarks.throughput.onnx_subjects import subject_of_detector
from benchmarks.throughput.untrained import (
    Untrained,
    shipped_or_file,
    untrained,
    untrained_backbone_students,
    untrained_memory_bank,
)
from runtime.errors import InputError
from train.options import BackboneStudentsConfig, MemoryBankConfig, StudentsConfig

if TYPE_CHECKING:
    from benchmarks.throughput.subject import Subject


@dataclass(frozen=True)
class RandomRow:
    """What one argument of ``--random`` asks for."""

    name: str
    settings: str  # PRESET[:OPTION=VALUE…]
    config: StudentsConfig | MemoryBankConfig | BackboneStudentsConfig

    def write(self, path: Path, half: bool) -> None:
        """Write the detector with real pretrained networks, all else random; `half`: FP16 convolutions."""
        path.write_bytes(self.untrained().detector(half))

    def untrained(self) -> Untrained:
        """The run with real pretrained networks, all else random."""
        config = self.config
        if isinstance(config, StudentsConfig):
            return untrained(config, [shipped_or_file(name) for name in config.teachers])
        if isinstance(config, BackboneStudentsConfig):
            return untrained_backbone_students(config)
        return untrained_memory_bank(config)

    def subject(self, name: str, path: Path, engine: str, threads: int) -> "Subject":
        """The row `name` of what `write` wrote; it says that its weights are random."""

        return replace(subject_of_detector(name, path, engine, threads), random=self.settings)


def random_row(text: str) -> RandomRow:
    """Parse ``[NAME=]PRESET[:OPTION=VALUE]…``, options being those of ``python -m train``; the name may be left out.

    Frames are square where no size is given: there is no picture to take their shape from. Raises `InputError` for
    another form, and for whatever such a training would be refused for.
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
        config = checked_config(preset_name, over)
        size_hw = config.size_hw or (config.side, config.side)
        return RandomRow(name or settings, settings, replace(config, size_hw=size_hw))
    except InputError as error:
        raise InputError(f"--random is {text!r}: {error}") from error
