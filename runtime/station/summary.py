"""The summary of a line: of each camera, of all of them together, and of the parts that several see."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.printable import printable
from runtime.station.parts import PartsSummary
from runtime.summary import Summary
from runtime.verdict import Decision


@dataclass(frozen=True)
class LineSummary:
    """Adds up a line's cameras."""

    cameras: Mapping[str, Summary]
    failures: Mapping[str, str] = field(default_factory=dict)  # why a camera broke down, by its name
    parts: PartsSummary | None = None
    losses: Mapping[str, int] = field(default_factory=dict)  # what sinks of all cameras could not take, by their name

    @property
    def frames(self) -> int:
        """Verdicts of all cameras."""
        return sum(summary.frames for summary in self.cameras.values())

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain numbers; each camera's as `Summary.as_dict`, with why it broke down or None."""
        return {
            "frames": self.frames,
            **{decision.value: self._total(decision) for decision in Decision},
            "cameras_failed": len(self.failures),
            "not_written": dict(self.losses),
            "parts": self.parts.as_dict() if self.parts else None,
            "cameras": {
                name: {**summary.as_dict(), "failed": self.failures.get(name)} for name, summary in self.cameras.items()
            },
        }

    def to_json(self) -> str:
        """`as_dict` as one line."""
        return json.dumps(self.as_dict())

    def lines(self) -> list[str]:
        """The summary in words; what is said of one camera begins with its name."""
        counts = ", ".join(f"{self._total(decision)} {decision.value}" for decision in Decision)
        count = len(self.cameras)
        lines = [f"{self.frames} frames of {count} camera{'' if count == 1 else 's'}: {counts}"]
        if self.failures:
            lines.append(f"{len(self.failures)} of {count} cameras broke down: {', '.join(self.failures)}")
        lines += [f"{count:,} {name} were NOT written" for name, count in self.losses.items()]
        if self.parts:
            lines += self.parts.lines()
        for name, summary in self.cameras.items():
            if name in self.failures:
                lines.append(printable(f"{name}: broke down: {self.failures[name]}"))
            lines += [f"{name}: {text}" for text in summary.lines()]
        return lines

    def _total(self, decision: Decision) -> int:
        return sum(summary.decisions[decision] for summary in self.cameras.values())
