"""Which lines of a chip are wired to what, from a YAML file: ``--gpio gpio.yaml``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from runtime.arguments import described, given_options
from runtime.bounds import check_between
from runtime.errors import InputError, OptionError
from runtime.station.places import Document, read_document
from runtime.typed import build, option

T = TypeVar("T")

LONGEST_PULSE_MS, LONGEST_DELAY_MS, LONGEST_DEBOUNCE_MS = 10_000.0, 600_000.0, 1_000.0
RESULT, TRIGGER = "result", "trigger"  # what a delay is counted from


def _check(name: str, value: float, low: float, high: float) -> None:
    try:
        check_between(name, value, low, high)
    except InputError as error:
        raise OptionError(str(error), name) from error


@dataclass(frozen=True)
class Wired:
    """One line of the chip."""

    line: object  # its number on the chip, or its name
    active: str = option("high", "level that means yes", ("high", "low"))

    def __post_init__(self) -> None:
        is_number = isinstance(self.line, int) and not isinstance(self.line, bool) and self.line >= 0
        if not is_number and not (isinstance(self.line, str) and self.line):
            raise OptionError(f"line is {self.line!r}; expected its number from 0, or its name", "line")

    @property
    def active_low(self) -> bool:
        """Whether the low level means yes."""
        return self.active == "low"


@dataclass(frozen=True)
class Input(Wired):
    """A line that is read."""

    bias: str = option("as-is", "the chip's own resistor", ("as-is", "disabled", "pull-up", "pull-down"))
    debounce_ms: float = 2.0  # a level that does not hold for so long is none

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("debounce_ms", self.debounce_ms, 0.0, LONGEST_DEBOUNCE_MS)


@dataclass(frozen=True)
class TriggerInput(Input):
    """The edge to active says that a part stands before the camera."""

    late_ms: float = 20.0  # an edge that is read later than that after it came is refused: the part has moved on

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("late_ms", self.late_ms, 1.0, 10_000.0)


@dataclass(frozen=True)
class Output(Wired):
    """A line that is driven. Its inactive level is the safe one."""

    drive: str = option("push-pull", "how it is driven", ("push-pull", "open-drain", "open-source"))


@dataclass(frozen=True)
class PulseOutput(Output):
    """A line that is active for a bounded time."""

    delay_ms: float = 0.0
    pulse_ms: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("delay_ms", self.delay_ms, 0.0, LONGEST_DELAY_MS)
        _check("pulse_ms", self.pulse_ms, 1.0, LONGEST_PULSE_MS)


@dataclass(frozen=True)
class GateOutput(PulseOutput):
    """A pulse for a part, when it is where the gate is."""

    after: str = option(RESULT, "what the delay is counted from", (RESULT, TRIGGER))

    @property
    def latest_s(self) -> float:
        """How long after its time a pulse may begin: later it would be for the part behind."""
        return self.pulse_ms / 2e3


INPUTS = {"trigger": TriggerInput, "offline": Input}
OUTPUTS = {"pass": GateOutput, "reject": GateOutput, "ready": Output, "strobe": PulseOutput, "heartbeat": Output}
NEEDED = ("trigger", "pass")
NUMBERINGS = ("BOARD", "BCM", "CVM", "TEGRA_SOC")


@dataclass(frozen=True)
class Chip:
    """Where the lines are."""

    chip: str = "/dev/gpiochip0"
    driver: str = option("gpiod", "by the kernel's character device, or by Jetson.GPIO", ("gpiod", "jetson"))
    numbering: str = option("BOARD", "of Jetson.GPIO", NUMBERINGS)


@dataclass(frozen=True)
class GpioConfig:
    """All of it, as `read_config` checked it."""

    path: Path
    chip: Chip
    trigger: TriggerInput
    offline: Input | None
    outputs: Mapping[str, Output]  # by their names in `OUTPUTS`

    @property
    def inputs(self) -> dict[str, Input]:
        """By their names in `INPUTS`."""
        return {"trigger": self.trigger} | ({} if self.offline is None else {"offline": self.offline})

    def gate(self, name: str) -> GateOutput | None:
        """``pass`` or ``reject``, where it is wired."""
        found = self.outputs.get(name)
        return found if isinstance(found, GateOutput) else None


def read_config(path: Path) -> GpioConfig:
    """Read and check a file. Raises `InputError`, with one sentence that begins with the place in the file."""
    document = read_document(path, "a YAML file of inputs and outputs")
    content = _mapping(document, document.content)
    sections = {**INPUTS, **OUTPUTS}
    chip_names = ("chip", "driver", "numbering")
    unknown = next((name for name in content if name not in (*chip_names, *sections)), None)
    if unknown is not None:
        known = ", ".join((*chip_names, *sections))
        raise InputError(f"{document.place(unknown)}: unknown key {unknown}; known are {known}")
    missing = [name for name in NEEDED if name not in content]
    if missing:
        raise InputError(f"{path}: {' and '.join(missing)} missing; give each as in {missing[0]}: {{line: 17}}")
    with document.at():
        chip = build(Chip, {name: content[name] for name in chip_names if name in content})
    lines: dict[str, Any] = {
        name: _line(document, name, content[name], kind) for name, kind in sections.items() if name in content
    }
    _check_lines(document, chip, lines)
    return GpioConfig(
        path, chip, lines["trigger"], lines.get("offline"), {name: lines[name] for name in OUTPUTS if name in lines}
    )


def _mapping(document: Document, content: Any) -> Mapping[str, Any]:
    if isinstance(content, dict):
        return content
    found = "is empty" if content is None else f"holds {described(content)}"
    raise InputError(f"{document.path} {found}; expected a mapping with {', '.join((*INPUTS, *OUTPUTS))}")


def _line(document: Document, name: str, value: object, kind: type[T]) -> T:
    with document.at(name):
        if not isinstance(value, dict):
            raise InputError(f"{name} is {described(value)}; expected as in {name}: {{line: 17}}")
        return build(kind, given_options(value))


def _check_lines(document: Document, chip: Chip, lines: Mapping[str, Any]) -> None:
    """Raise `InputError` for a line that has two meanings, and for what Jetson.GPIO cannot do."""
    used: dict[object, str] = {}
    for name, wired in lines.items():
        with document.at(name, "line"):
            if wired.line in used:
                raise InputError(f"line {wired.line} is {used[wired.line]} already; each has one meaning")
            used[wired.line] = name
        if chip.driver != "jetson":
            continue
        with document.at(name):
            if getattr(wired, "bias", "as-is") != "as-is" or getattr(wired, "drive", "push-pull") != "push-pull":
                raise InputError("Jetson.GPIO sets neither bias nor drive; wire a resistor, or take the driver gpiod")
