"""Lines by the kernel's character device: libgpiod 2.

The kernel debounces, takes the time of each edge, and numbers edges, so that one that was lost is noticed.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import gpiod
from gpiod.line import Bias, Clock, Direction, Drive, Edge, Value

from runtime.errors import InputError, LineError
from runtime.line.gpio_config import GpioConfig, Input, Output, Wired
from runtime.line.gpio_lines import CONSUMER
from runtime.line.gpio_lines import Edge as SeenEdge

EVENT_BUFFER = 256  # edges that the kernel keeps; of those beyond it the oldest are lost, and noticed
BIASES = {
    "as-is": Bias.AS_IS, "disabled": Bias.DISABLED, "pull-up": Bias.PULL_UP, "pull-down": Bias.PULL_DOWN,
}  # fmt: skip
DRIVES = {"push-pull": Drive.PUSH_PULL, "open-drain": Drive.OPEN_DRAIN, "open-source": Drive.OPEN_SOURCE}
FAILURES = (OSError, ValueError, gpiod.ChipClosedError, gpiod.RequestReleasedError)


class ChipInputs:
    """See `runtime.line.gpio_lines.InputLines`."""

    def __init__(self, config: GpioConfig) -> None:
        self._lines = config.inputs
        self._request, self._names = _requested(config, config.inputs, input_settings, EVENT_BUFFER)

    def wait(self, timeout_s: float) -> list[SeenEdge]:
        """See `InputLines`."""
        with _gone():
            if not self._request.wait_edge_events(timeout_s):
                return []
            events = self._request.read_edge_events()
        return [
            SeenEdge(
                self._names[event.line_offset],
                event.event_type is gpiod.EdgeEvent.Type.RISING_EDGE,
                event.timestamp_ns / 1e9,
                event.line_seqno,
            )
            for event in events
        ]

    def is_active(self, name: str) -> bool:
        """See `InputLines`."""
        with _gone():
            return self._request.get_value(self._lines[name].line) is Value.ACTIVE

    def close(self) -> None:
        """See `InputLines`."""
        with suppress(*FAILURES):
            self._request.release()


class ChipOutputs:
    """See `runtime.line.gpio_lines.OutputLines`."""

    def __init__(self, config: GpioConfig) -> None:
        self._lines = config.outputs
        self._request, _ = _requested(config, config.outputs, output_settings)

    def set(self, name: str, active: bool) -> None:
        """See `OutputLines`."""
        with _gone():
            self._request.set_value(self._lines[name].line, Value.ACTIVE if active else Value.INACTIVE)

    def close(self) -> None:
        """See `OutputLines`."""
        with suppress(*FAILURES):
            self._request.set_values({wired.line: Value.INACTIVE for wired in self._lines.values()})
        with suppress(*FAILURES):
            self._request.release()


def open_inputs(config: GpioConfig) -> ChipInputs:
    """Raises `InputError` where the lines cannot be had."""
    return ChipInputs(config)


def open_outputs(config: GpioConfig) -> ChipOutputs:
    """Raises `InputError` where the lines cannot be had."""
    return ChipOutputs(config)


def input_settings(name: str, wired: Input) -> Any:
    """How the kernel is asked for an input: of the trigger one edge counts, of another both."""
    return gpiod.LineSettings(
        direction=Direction.INPUT,
        edge_detection=Edge.RISING if name == "trigger" else Edge.BOTH,
        bias=BIASES[wired.bias],
        active_low=wired.active_low,
        debounce_period=timedelta(milliseconds=wired.debounce_ms),
        event_clock=Clock.MONOTONIC,
    )


def output_settings(name: str, wired: Output) -> Any:
    """How the kernel is asked for an output: driven to its inactive level from the first moment."""
    return gpiod.LineSettings(
        direction=Direction.OUTPUT,
        drive=DRIVES[wired.drive],
        active_low=wired.active_low,
        output_value=Value.INACTIVE,
    )


def _requested(
    config: GpioConfig,
    lines: Mapping[str, Any],
    settings: Callable[[str, Any], Any],
    event_buffer: int | None = None,
) -> tuple[Any, dict[int, str]]:
    """The lines, held, and their names by their numbers on the chip."""
    path = config.chip.chip
    try:
        with gpiod.Chip(path) as chip:
            names = {_number(chip, path, wired): name for name, wired in lines.items()}
            if len(names) < len(lines):
                raise InputError(f"{config.path}: two names are of one line of {path}; each has one meaning")
            asked = {wired.line: settings(name, wired) for name, wired in lines.items()}
            try:
                return chip.request_lines(asked, CONSUMER, event_buffer), names
            except FAILURES as error:
                raise InputError(f"{_holders(chip, lines)} of {path} cannot be had ({error})") from error
    except FAILURES as error:
        raise InputError(
            f"{path} is no GPIO chip that can be used ({error}); check chip in {config.path}, and that this user may "
            "open it"
        ) from error


def _number(chip: Any, path: str, wired: Wired) -> int:
    try:
        return int(chip.line_offset_from_id(wired.line))
    except FAILURES as error:
        raise InputError(f"{path} has no line {wired.line} ({error}); gpioinfo lists its lines") from error


def _holders(chip: Any, lines: Mapping[str, Wired]) -> str:
    """The lines that somebody has, with whom; where nobody has one, all."""
    held = []
    for wired in lines.values():
        with suppress(*FAILURES):
            info = chip.get_line_info(wired.line)
            held += [f"line {wired.line}, which {info.consumer or 'the kernel'} has,"] if info.used else []
    return " and ".join(held) or f"lines {', '.join(str(wired.line) for wired in lines.values())}"


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise LineError(f"the GPIO chip is gone ({error})") from error
