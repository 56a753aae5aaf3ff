"""The import benchmark, on small modules whose answer is known; and the promise about the runtime itself."""

import json
from pathlib import Path

import pytest

from benchmarks.stream import imports
from runtime.errors import InputError, ProctorError


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "slow.py").write_text("import time; time.sleep(0.2)")
    (tmp_path / "onnx.py").write_text("")
    (tmp_path / "heavy.py").write_text("import onnx")
    (tmp_path / "broken.py").write_text("raise ValueError('on purpose')")
    return tmp_path


def test_the_runtime_loads_neither_torch_nor_onnx_nor_scipy() -> None:
    assert imports.measure(imports.MODULE, repeats=1).unwanted == ()


def test_the_cost_is_the_time_over_bare_python(modules: Path) -> None:
    assert 0.1 < imports.measure("slow", repeats=3).cost_s < 2  # sleeps 0.2 s


def test_an_unwanted_module_is_named(modules: Path) -> None:
    assert imports.measure("heavy", repeats=1).unwanted == ("onnx",)


def test_a_module_that_fails_is_refused(modules: Path) -> None:
    with pytest.raises(InputError, match="ValueError: on purpose"):
        imports.measure("broken", repeats=1)


def test_no_repeats_are_refused() -> None:
    with pytest.raises(InputError, match="0 repeats; expected 1 or more"):
        imports.measure("sys", repeats=0)


def test_the_command_prints_and_writes_the_same_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imports.main(["--repeats", "1", "--json", str(tmp_path / "imports.json")])
    document = json.loads((tmp_path / "imports.json").read_text())
    printed = capsys.readouterr().out
    assert document["cost_s"] == document["importing_s"] - document["bare_s"] > 0
    assert f"{document['cost_s']:.3f} s" in printed
    assert document["environment"]["cpu"] in printed
    assert document["unwanted"] == []


def test_the_command_fails_when_the_runtime_loads_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = imports.ImportCost("runtime", 1, 0.01, 0.1, ("torch",))
    monkeypatch.setattr(imports, "measure", lambda module, repeats: cost)
    with pytest.raises(ProctorError, match="import runtime loads torch"):
        imports.main([])


def test_a_cost_over_the_target_is_called_so() -> None:
    assert "over the target of 0.3 s" in imports.report(imports.ImportCost("runtime", 1, 0.01, 0.4, ()))
    assert "within the target of 0.3 s" in imports.report(imports.ImportCost("runtime", 1, 0.01, 0.3, ()))
