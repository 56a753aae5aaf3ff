"""Lines by NVIDIA's Jetson.GPIO, for its names of pins. It knows no active level, no time of an edge and no lost one.

Where the kernel has ``/dev/gpiochip0``, the driver gpiod is the better one, on a Jetson too.
"""

import queue
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from Jetson import GPIO

from runtime.errors import InputError, LineError
from runtime.line.gpio_config import GpioConfig, Wired
from runtime.line.gpio_lines import CONSUMER, Edge

FAILURES = (OSError, ValueError, RuntimeError, TypeError)


class JetsonInputs:
    """See `runtime.line.gpio_lines.InputLines`."""

    def __init__(self, config: GpioConfig) -> None:
        self._lines = config.inputs
        self._seen: queue.SimpleQueue[Edge] = queue.SimpleQueue()
        self._counts = dict.fromkeys(self._lines, 0)
        with _had(config, self._lines):
            for name, wired in self._lines.items():
                GPIO.setup(wired.line, GPIO.IN, consumer=CONSUMER)
                edge = GPIO.BOTH if name != "trigger" else GPIO.FALLING if wired.active_low else GPIO.RISING
                GPIO.add_event_detect(wired.line, edge, self._callback(name), round(wired.debounce_ms))

    def wait(self, timeout_s: float) -> list[Edge]:
        """See `InputLines`."""
        try:
            return [self._seen.get(timeout=timeout_s)]
        except queue.Empty:
            return []

    def is_active(self, name: str) -> bool:
        """See `InputLines`."""
        wired = self._lines[name]
        with _gone():
            return bool(GPIO.input(wired.line)) is not wired.active_low

    def close(self) -> None:
        """See `InputLines`."""
        _given_up(self._lines)

    def _callback(self, name: str) -> Callable[[object], None]:
        return partial(self._changed, name)

    def _changed(self, name: str, channel: object) -> None:
        """Called by the library's thread."""
        now_s = time.monotonic()
        self._counts[name] += 1
        active = name == "trigger"
        if not active:
            with suppress(LineError):
                active = self.is_active(name)
        self._seen.put(Edge(name, active, now_s, self._counts[name]))


class JetsonOutputs:
    """See `runtime.line.gpio_lines.OutputLines`."""

    def __init__(self, config: GpioConfig) -> None:
        self._lines = config.outputs
        with _had(config, self._lines):
            for wired in self._lines.values():
                GPIO.setup(wired.line, GPIO.OUT, initial=_level(wired, False), consumer=CONSUMER)

    def set(self, name: str, active: bool) -> None:
        """See `OutputLines`."""
        with _gone():
            GPIO.output(self._lines[name].line, _level(self._lines[name], active))

    def close(self) -> None:
        """See `OutputLines`."""
        for name in self._lines:
            with suppress(LineError):
                self.set(name, False)
        _given_up(self._lines)


def open_inputs(config: GpioConfig) -> JetsonInputs:
    """Raises `InputError` where the lines cannot be had."""
    return JetsonInputs(config)


def open_outputs(config: GpioConfig) -> JetsonOutputs:
    """Raises `InputError` where the lines cannot be had."""
    return JetsonOutputs(config)


def _level(wired: Wired, active: bool) -> Any:
    return GPIO.HIGH if active is not wired.active_low else GPIO.LOW


def _given_up(lines: Mapping[str, Wired]) -> None:
    with suppress(*FAILURES):
        GPIO.cleanup([wired.line for wired in lines.values()])


@contextmanager
def _had(config: GpioConfig, lines: Mapping[str, Wired]) -> Iterator[None]:
    try:
        GPIO.setmode(getattr(GPIO, config.chip.numbering))
        yield
    except FAILURES as error:
        _given_up(lines)
        raise InputError(
            f"lines {', '.join(str(wired.line) for wired in lines.values())} cannot be had of Jetson.GPIO ({error}); "
            f"check {config.path}"
        ) from error


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise LineError(f"Jetson.GPIO failed ({error})") from error
