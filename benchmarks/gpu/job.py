"""What a part is asked to do, and what it has found so far."""

import json
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from runtime.atomic import write_atomically
from runtime.machine import available_cores


@dataclass(frozen=True)
class Job:
    """The options of one part. Paths are texts, None where nothing was given. Its time runs from when it is made."""

    part: str
    device: str  # cpu or cuda
    seconds: float  # from its beginning to the moment when it is asked to end
    folder: str  # for run folders and files
    small: bool = False  # sizes of a rehearsal
    threads: int = field(default_factory=available_cores)  # CPU threads of one inference
    data: str | None = None  # photographs
    category: str | None = None  # good images
    descriptor_weights: str | None = None  # of P, for patches
    presets: tuple[str, ...] = ()
    _began_s: float = field(default_factory=time.monotonic, init=False, repr=False, compare=False)

    @property
    def engine(self) -> str:
        """ONNX Runtime, as `benchmarks.throughput` names it."""
        return f"onnxruntime-{self.device}"

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """The job that `as_json` was of; its time runs from now on."""
        values = json.loads(text)
        return cls(**{**values, "presets": tuple(values["presets"])})

    def as_json(self) -> str:
        """As one process hands it to another."""
        return json.dumps({each.name: getattr(self, each.name) for each in fields(self) if each.init})

    def left_s(self) -> float:
        """Seconds until it is asked to end."""
        return self.seconds - (time.monotonic() - self._began_s)


class Found:
    """The figures of a part by name. Each is on disk as soon as it is there, whatever ends the part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.figures: dict[str, Any] = {}

    def put(self, **figures: Any) -> None:
        """Keep figures by name, in place of those before."""
        self.figures |= figures
        write_atomically(self.path, json.dumps(self.figures).encode())

    def add(self, name: str, figure: Any) -> None:
        """Append to the list `name`."""
        self.put(**{name: [*self.figures.get(name, []), figure]})
