"""Protocols that are bound to a handshake's registers: each a file here and a row.

A binding is given the `Levels` and what its option says, and serves until it is closed. One at most controls: it writes
the registers to the runtime and sees the results. The others observe: `Handshake.listen` tells them of results, and
they read the registers without seeing those.
"""

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from runtime.closing import Closing
from runtime.errors import InputError
from runtime.line.levels import Levels
from runtime.outputs import say


class Binding(Closing):
    """A protocol that serves until it is closed."""

    controls = True  # its peer is the controller
    place: str | None = None  # as it may be shown, where what its option says before a "?" may not


@dataclass(frozen=True)
class BindingRow:
    """A protocol."""

    option: str  # of the command, without the dashes
    metavar: str
    help: str
    opener: str  # module:function of the levels and the option's text
    controls: str | None = ""  # what makes it control, for messages; None where nothing does

    @property
    def attribute(self) -> str:
        """As argparse has the option."""
        return self.option.replace("-", "_")


ROWS = (
    BindingRow(
        "modbus",
        "HOST:PORT",
        "serve the registers by Modbus TCP; with TLS as 0.0.0.0:802?certificate=FILE&key=FILE",
        "runtime.line.modbus_server:open_server",
    ),
    BindingRow(
        "modbus-client",
        "HOST:PORT",
        "poll a controller that is the Modbus server; also as plc:502?to=0&from=100&unit=1&period_ms=10",
        "runtime.line.modbus_client:open_client",
    ),
    BindingRow(
        "s7",
        "HOST:PORT",
        "poll a data block of an S7 controller; also as plc:102?rack=0&slot=1&db=100&to=0&from=200&period_ms=20",
        "runtime.line.s7_client:open_client",
    ),
    BindingRow(
        "gpio",
        "CONFIG",
        "digital inputs and outputs as the controller, wired as this YAML file says",
        "runtime.line.gpio_binding:open_binding",
    ),
    BindingRow(
        "opcua",
        "HOST:PORT",
        "serve the registers, methods and events by OPC UA; as 0.0.0.0:4840?certificate=FILE&key=FILE&users=FILE",
        "runtime.line.opcua.server:open_server",
    ),
    BindingRow(
        "mqtt",
        "HOST:PORT?…",
        "publish verdicts to an MQTT broker; as in broker:1883?site=north&line=3&station=cap, with &commands=yes "
        "take commands from it",
        "runtime.line.mqtt:open_mqtt",
        controls=" with commands=yes",
    ),
    BindingRow(
        "webhook",
        "URL#…",
        "post rejects to a URL; as in https://mes.example/hook#key_file=FILE&site=north&line=3&station=cap",
        "runtime.line.webhook:open_webhook",
        controls=None,
    ),
)

CONTROLLERS = ("--socket", *(f"--{row.option}{row.controls}" for row in ROWS if row.controls is not None))


def add_binding_options(parser: argparse.ArgumentParser) -> None:
    """An option for each."""
    for row in ROWS:
        parser.add_argument(f"--{row.option}", metavar=row.metavar, help=row.help)


def load_bindings(asked: dict[str, Any]) -> None:
    """Load what the bindings that are asked for need, and open none. Raises `ModuleNotFoundError` for an extra that is
    not installed."""
    for row in ROWS:
        if asked.get(row.attribute) is not None:
            import_module(row.opener.partition(":")[0])


def open_bindings(levels: Levels, asked: dict[str, Any]) -> ExitStack:
    """All that are asked for, by option, beside a controller at ``socket``, if that is asked for.

    Raises what opening one raises, and `InputError` unless just one controls; those that are open are closed then.
    """
    controlling = [] if asked.get("socket") is None else ["--socket"]
    with ExitStack() as opened:
        for row in ROWS:
            value = asked.get(row.attribute)
            if value is not None:
                module, _, function = row.opener.partition(":")
                binding: Binding = opened.enter_context(getattr(import_module(module), function)(levels, value))
                controlling += [f"--{row.option}"] if binding.controls else []
                say(f"{row.option} at {binding.place or value.partition('?')[0]}")
        if len(controlling) != 1:
            who = f"{' and '.join(controlling)} would control the line" if controlling else "nobody could trigger parts"
            raise InputError(f"{who}; give one controller: {', '.join(CONTROLLERS)}")
        return opened.pop_all()
