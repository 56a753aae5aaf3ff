"""Lines of a GPIO chip as the runtime uses them, whatever the driver: levels out, levels and edges in.

A driver is a module with `open_inputs` and `open_outputs`, and a row in `DRIVERS`. What is active and what is inactive
is logical: the driver turns it into levels. Outputs are inactive when they are opened, and before they are given up.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from runtime.errors import InputError
from runtime.line.gpio_config import GpioConfig

DRIVERS = {"gpiod": "runtime.line.gpio_chip", "jetson": "runtime.line.gpio_jetson"}
CONSUMER = "proctor"  # whom other programs see as the holder of a line


@dataclass(frozen=True)
class Edge:
    """An input that changed."""

    name: str  # of `runtime.line.gpio_config.INPUTS`
    active: bool
    at_s: float  # monotonic clock
    number: int  # of this input's edges, those that were lost counted


class InputLines(Protocol):
    """Inputs that are held. For one thread. All raise `LineError` where the chip is gone."""

    def wait(self, timeout_s: float) -> list[Edge]:
        """The edges that came, in order; none where none came in time."""

    def is_active(self, name: str) -> bool:
        """The level now."""

    def close(self) -> None:
        """Give them up. Never raises."""


class OutputLines(Protocol):
    """Outputs that are held. For one thread. Raises `LineError` where the chip is gone."""

    def set(self, name: str, active: bool) -> None:
        """Drive one."""

    def close(self) -> None:
        """Drive all to their inactive level, and give them up. Never raises."""


class Driver(Protocol):
    """A way to a chip. Both raise `InputError` where the lines cannot be had."""

    def open_inputs(self, config: GpioConfig) -> InputLines:
        """Hold the inputs; edges are told from now on."""

    def open_outputs(self, config: GpioConfig) -> OutputLines:
        """Hold the outputs, inactive."""


def driver_of(config: GpioConfig) -> Driver:
    """The driver that a configuration names. Raises `InputError` where it refuses this machine."""
    try:
        return cast(Driver, import_module(DRIVERS[config.chip.driver]))
    except ImportError:
        raise
    except Exception as error:  # Jetson.GPIO refuses to be imported on another machine
        raise InputError(
            f"the driver {config.chip.driver} cannot be used here ({error}); see driver in {config.path}"
        ) from error
