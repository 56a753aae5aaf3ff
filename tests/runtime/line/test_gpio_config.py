"""Which lines are wired to what: read from YAML, each mistake one sentence with its place."""

from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.line.gpio_config import GateOutput, GpioConfig, Output, TriggerInput, read_config

FULL = """
chip: /dev/gpiochip4
trigger: {line: GPIO17, active: low, bias: pull-up, debounce_ms: 5, late_ms: 30}
offline: {line: 27}
pass: {line: 22, delay_ms: 250, pulse_ms: 40, after: trigger}
reject: {line: 23, active: low}
ready: {line: 24, drive: open-drain}
strobe: {line: 25, pulse_ms: 2}
heartbeat: {line: 26}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "gpio.yaml"
    path.write_text(text)
    return path


def read(folder: Path, text: str) -> GpioConfig:
    return read_config(written(folder, text))


def test_all_that_can_be_wired(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    assert config.chip.chip == "/dev/gpiochip4"
    assert config.trigger == TriggerInput("GPIO17", "low", "pull-up", 5.0, 30.0)
    assert config.gate("pass") == GateOutput(22, "high", "push-pull", 250.0, 40.0, "trigger")
    assert config.outputs["ready"] == Output(24, "high", "open-drain")
    assert list(config.outputs) == ["pass", "reject", "ready", "strobe", "heartbeat"]
    assert list(config.inputs) == ["trigger", "offline"]
    assert config.outputs["reject"].active_low


def test_a_trigger_and_a_pass_are_enough(tmp_path: Path) -> None:
    config = read(tmp_path, "trigger: {line: 0}\npass: {line: 1}\n")
    assert (config.offline, config.chip.driver, config.gate("reject")) == (None, "gpiod", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; expected a mapping"),
        ("- 1", "expected a mapping"),
        ("pass: {line: 1}", "trigger missing"),
        ("trigger: {line: 1}", "pass missing"),
        ("trigger: {line: 1}\npass: 2", "line 2, pass: pass is 2; expected as in"),
        ("trigger: {line: 1}\npass: {line: 1}", "line 2, pass.line: line 1 is trigger already"),
        ("trigger: {line: -1}\npass: {line: 1}", "line is -1"),
        ("trigger: {line: yes}\npass: {line: 1}", "line is True"),
        ("trigger: {line: ''}\npass: {line: 1}", "line is ''"),
        ("trigger: {}\npass: {line: 1}", "line is missing"),
        ("trigger: {line: 0, active: up}\npass: {line: 1}", "expected one of high, low"),
        ("trigger: {line: 0, bias: up}\npass: {line: 1}", "expected one of as-is"),
        ("trigger: {line: 0, debounce_ms: -1}\npass: {line: 1}", "debounce_ms is -1"),
        ("trigger: {line: 0, pulse_ms: 1}\npass: {line: 1}", "unknown option pulse_ms"),
        (
            "trigger: {line: 0}\npass: {line: 1, pulse_ms: 0}",
            "line 2, pass.pulse_ms: pulse_ms is 0; expected 1",
        ),
        ("trigger: {line: 0}\npass: {line: 1, pulse_ms: .nan}", "pulse_ms"),
        ("trigger: {line: 0}\npass: {line: 1, delay_ms: 1e9}", "delay_ms"),
        ("trigger: {line: 0}\npass: {line: 1, after: dinner}", "expected one of result, trigger"),
        ("trigger: {line: 0}\npass: {line: 1}\nfail: {line: 2}", "line 3, fail: unknown key fail"),
        ("driver: sysfs\ntrigger: {line: 0}\npass: {line: 1}", "line 1, driver: driver is sysfs"),
        ("driver: jetson\ntrigger: {line: 0, bias: pull-up}\npass: {line: 1}", "sets neither bias nor drive"),
        ("trigger: {line: 0}\ntrigger: {line: 1}", "stands twice"),
        ("trigger: [", "is no YAML"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as found:
        read(tmp_path, text)
    assert str(found.value).startswith(str(tmp_path / "gpio.yaml"))
    assert "\n" not in str(found.value)
