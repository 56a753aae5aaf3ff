"""Growth: real detectors of random weights, each in a process of its own."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.growth import __main__ as growth
from benchmarks.growth import child
from benchmarks.growth import plots as growth_plots
from benchmarks.growth.configuration import Configuration, Grid, exported
from runtime import cli
from runtime.errors import EngineError, InputError


def run(command: Any, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    try:
        cli.run(command.main)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_one_thing_is_varied_at_a_time_and_the_base_is_measured_once() -> None:
    grid = Grid((64, 128), (1, 3), (65, 33), (1, 2))
    base = Configuration(64, 1, (65,), 1, 8)
    by_axis = grid.configurations()
    assert all(chosen[0] == base for chosen in by_axis.values())
    assert [c.side for c in by_axis["side"]] == [64, 128]
    assert [c.students for c in by_axis["students"]] == [1, 3]
    assert [c.patch_sizes for c in by_axis["scales"]] == [(65,), (65, 33)]
    assert [c.batch for c in by_axis["batch"]] == [1, 2]
    assert len(grid.all()) == 5
    assert len({c.graph for c in grid.all()}) == 4  # a batch needs no graph of its own


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sides": ()}, r"--sides is \[\]; expected different numbers"),
        ({"patch_sizes": (33, 33)}, r"--patch-sizes is \[33, 33\]; expected different numbers"),
    ],
)
def test_a_grid_without_values_or_with_one_twice_is_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Grid(**fields)


def test_a_stride_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(InputError, match="--stride is 3; expected one of 1, 2, 4, 8"):
        exported(Configuration(64, 1, (65,), 1, 3))


def test_growth_is_measured_written_and_plotted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result, plot, again = (tmp_path / name for name in ("growth.json", "growth.svg", "again.svg"))
    arguments = ["--sides", 64, "--students", 1, "--patch-sizes", 65, "--width", 0.125, "--batches", 1, 2, 16]
    arguments += ["--threads", 1, "--rounds", 1, "--repeats", 1, "--json", result, "--plot", plot]
    assert run(growth, *arguments, monkeypatch=monkeypatch) == 0
    document = json.loads(result.read_text())
    assert document["axes"] == {"side": [0], "students": [0], "scales": [0], "batch": [0, 1, 2]}
    one, two, many = document["measured"]
    assert one["ratio"] == 1.0
    assert (two["multiply_adds"], many["multiply_adds"]) == (2 * one["multiply_adds"], 16 * one["multiply_adds"])
    assert one["peak_mib"] > one["loaded_mib"] > 20
    assert many["peak_mib"] > two["peak_mib"]
    assert "64×64, M=1, p=65, batch 16" in capsys.readouterr().out
    assert str(tmp_path) not in result.read_text()
    assert run(growth_plots, result, "--out", again, monkeypatch=monkeypatch) == 0
    assert again.read_bytes() == plot.read_bytes()


def test_peak_memory_outlives_what_needed_it() -> None:
    large = np.ones(200 << 20, np.uint8)
    held = child.resident_mib("VmRSS")
    del large
    assert child.resident_mib("VmRSS") < held - 150
    assert child.resident_mib("VmHWM") > held - 10  # the kernel counts in strides


def test_a_system_without_proc_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "STATUS", tmp_path / "status")
    with pytest.raises(InputError, match="which this system does not have; run it on Linux"):
        child.resident_mib("VmHWM")


def test_a_configuration_that_cannot_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(EngineError, match=r"64×64, M=1, p=65, batch 2 could not be run \(ONNX Runtime cannot load"):
        growth._in_child(tmp_path / "broken.onnx", Configuration(64, 1, (65,), 2, 8), 1, "cpu", 1)


def test_a_straight_line_is_found_with_what_it_explains() -> None:
    fitted = growth_plots.straight_line([1, 2, 4], [5, 8, 14])
    assert (fitted.slope, fitted.constant, fitted.explained) == pytest.approx((3, 2, 1))
    assert fitted.at([10]) == pytest.approx([32])
    assert growth_plots.straight_line([1, 2, 3], [1, 3, 2]).explained == pytest.approx(0.25)


def test_axes_show_what_cost_should_be_proportional_to() -> None:
    entry = {"configuration": {"side": 512, "students": 3, "batch": 4}, "multiply_adds": 5e9}
    positions = {axis: growth_plots.position(axis, entry) for axis in ("side", "students", "scales", "batch")}
    assert positions == {"side": 0.262144, "students": 4.0, "scales": 5.0, "batch": 4.0}
    with pytest.raises(InputError, match=r"no result of benchmarks\.growth"):
        growth_plots.growth_plot({"measured": []})
