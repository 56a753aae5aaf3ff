"""Every name that the drivers of chips use is there in the real packages, and takes what it is given."""

import ast
import inspect
import sys
from dataclasses import fields
from datetime import timedelta
from importlib.metadata import distribution
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import gpiod
import pytest

from runtime.errors import InputError, LineError
from runtime.line import gpio_chip
from runtime.line.gpio_chip import BIASES, DRIVES, input_settings, output_settings
from runtime.line.gpio_config import NUMBERINGS, Input, Output, TriggerInput, read_config

LINE = Path(gpio_chip.__file__).parent


def attributes(path: Path, of: str) -> set[str]:
    """The attributes of a name that a module uses, such as ``gpiod.Chip``."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == of
    }


def test_the_names_of_gpiod_are_there() -> None:
    used = attributes(LINE / "gpio_chip.py", "gpiod")
    assert {"Chip", "LineSettings", "EdgeEvent", "ChipClosedError", "RequestReleasedError"} == used
    assert all(hasattr(gpiod, name) for name in used)
    for kind in ("Direction", "Edge", "Clock", "Value", "Bias", "Drive"):
        for member in attributes(LINE / "gpio_chip.py", kind):
            assert member in getattr(gpiod.line, kind).__members__, f"{kind}.{member}"
    assert {"wait_edge_events", "read_edge_events", "get_value", "set_value", "set_values", "release"} <= set(
        dir(gpiod.LineRequest)
    )
    assert {"line_offset_from_id", "request_lines", "get_line_info"} <= set(dir(gpiod.Chip))
    assert list(inspect.signature(gpiod.Chip.request_lines).parameters)[1:4] == [
        "config",
        "consumer",
        "event_buffer_size",
    ]
    assert {"event_type", "timestamp_ns", "line_offset", "line_seqno"} <= {
        each.name for each in fields(gpiod.EdgeEvent)
    }
    assert {"used", "consumer"} <= {each.name for each in fields(gpiod.LineInfo)}


def test_settings_are_what_the_kernel_is_to_be_asked_for() -> None:
    trigger: Any = input_settings("trigger", TriggerInput(17, "low", "pull-up", 5.0))
    assert trigger == gpiod.LineSettings(
        direction=gpiod.line.Direction.INPUT,
        edge_detection=gpiod.line.Edge.RISING,  # logical: to active
        bias=gpiod.line.Bias.PULL_UP,
        active_low=True,
        debounce_period=timedelta(milliseconds=5),
        event_clock=gpiod.line.Clock.MONOTONIC,
    )
    assert input_settings("offline", Input(27)).edge_detection is gpiod.line.Edge.BOTH
    output: Any = output_settings("pass", Output(22, "low", "open-drain"))
    assert (output.output_value, output.active_low) == (gpiod.line.Value.INACTIVE, True)
    assert output.drive is gpiod.line.Drive.OPEN_DRAIN
    assert set(BIASES) == {"as-is", "disabled", "pull-up", "pull-down"}
    assert set(DRIVES) == {"push-pull", "open-drain", "open-source"}


@pytest.fixture
def jetson() -> dict[str, ast.FunctionDef]:
    """The functions of Jetson.GPIO, by their names, from its source: it refuses to be imported off a Jetson."""
    if find_spec("Jetson") is None:
        pytest.skip("THE NAMES OF JETSON.GPIO ARE NOT TESTED here: pip install --no-deps Jetson.GPIO")
    source = Path(str(distribution("Jetson.GPIO").locate_file("Jetson/GPIO/gpio.py"))).read_text()
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def test_the_names_of_jetson_gpio_are_there_and_take_what_they_are_given(jetson: dict[str, ast.FunctionDef]) -> None:
    constants_file = Path(str(distribution("Jetson.GPIO").locate_file("Jetson/GPIO/constants.py")))
    constants = {
        target.id
        for node in ast.parse(constants_file.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    used = attributes(LINE / "gpio_jetson.py", "GPIO")
    assert used == {name for name in used if name in jetson or name in constants}
    assert set(NUMBERINGS) <= constants
    calls = [
        node
        for node in ast.walk(ast.parse((LINE / "gpio_jetson.py").read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    checked = 0
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "GPIO":
            parameters = [each.arg for each in jetson[call.func.attr].args.args]
            assert len(call.args) <= len(parameters)
            assert {keyword.arg for keyword in call.keywords} <= set(parameters[len(call.args) :])
            checked += 1
    assert checked >= 7


class RecordedJetson(ModuleType):
    """Jetson.GPIO as far as it is used: levels, and edges that a test makes."""

    BOARD, BCM, IN, OUT, LOW, HIGH, RISING, FALLING, BOTH = 10, 11, 1, 0, 0, 1, 31, 32, 33

    def __init__(self) -> None:
        super().__init__("Jetson.GPIO")
        self.levels: dict[object, int] = {}
        self.asked: list[tuple[object, ...]] = []
        self.callbacks: dict[object, Any] = {}
        self.fails = False

    def setmode(self, mode: int) -> None:
        self.asked.append(("setmode", mode))

    def setup(self, channels: object, direction: int, initial: int | None = None, consumer: str = "") -> None:
        if self.fails:
            raise ValueError("Channel 7 is invalid")
        self.asked.append(("setup", channels, direction, initial))
        if initial is not None:
            self.levels[channels] = initial

    def add_event_detect(self, channel: object, edge: int, callback: Any, bouncetime: int) -> None:
        assert isinstance(bouncetime, int)
        self.asked.append(("edge", channel, edge, bouncetime))
        self.callbacks[channel] = callback

    def output(self, channels: object, values: int) -> None:
        if self.fails:
            raise RuntimeError("The GPIO channel has not been set up as an OUTPUT")
        self.levels[channels] = values

    def input(self, channel: object) -> int:
        return self.levels.get(channel, 0)

    def cleanup(self, channel: object) -> None:
        self.asked.append(("cleanup", channel))


def test_a_jetson_drives_levels_and_tells_edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = RecordedJetson()
    parent = ModuleType("Jetson")
    parent.GPIO = recorded  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "Jetson", parent)
    monkeypatch.setitem(sys.modules, "Jetson.GPIO", recorded)
    spec = spec_from_file_location("gpio_jetson_over_recorded", LINE / "gpio_jetson.py")
    assert spec is not None
    assert spec.loader is not None
    driver = module_from_spec(spec)
    spec.loader.exec_module(driver)
    path = tmp_path / "gpio.yaml"
    path.write_text(
        "driver: jetson\nnumbering: BCM\ntrigger: {line: 7, active: low, debounce_ms: 3}\noffline: {line: 11}\n"
        "pass: {line: 13}\nreject: {line: 15, active: low}\n"
    )
    config = read_config(path)
    outputs, inputs = driver.open_outputs(config), driver.open_inputs(config)
    assert recorded.levels == {13: 0, 15: 1}  # inactive, each
    assert ("setmode", recorded.BCM) in recorded.asked
    assert ("edge", 7, recorded.FALLING, 3) in recorded.asked
    assert ("edge", 11, recorded.BOTH, 2) in recorded.asked
    outputs.set("pass", True)
    outputs.set("reject", True)
    assert recorded.levels == {13: 1, 15: 0}
    recorded.callbacks[7](7)
    recorded.callbacks[7](7)
    recorded.levels[11] = 1
    recorded.callbacks[11](11)
    edges = [edge for _ in range(3) for edge in inputs.wait(1.0)]
    assert [(edge.name, edge.active, edge.number) for edge in edges] == [
        ("trigger", True, 1),
        ("trigger", True, 2),
        ("offline", True, 1),
    ]
    assert inputs.wait(0.01) == []
    assert inputs.is_active("offline")
    outputs.close()
    assert (recorded.levels[13], recorded.levels[15]) == (0, 1)
    assert ("cleanup", [13, 15]) in recorded.asked
    inputs.close()
    recorded.fails = True
    with pytest.raises(LineError, match=r"Jetson\.GPIO failed"):
        outputs.set("pass", True)
    with pytest.raises(InputError, match="lines 13, 15 cannot be had"):
        driver.open_outputs(config)
