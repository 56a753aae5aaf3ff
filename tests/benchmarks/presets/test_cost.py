"""What is found against what it takes: means over sets and seeds beside times, from what other benchmarks wrote."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.presets import cost
from benchmarks.presets.report import Result
from runtime.errors import InputError

TIMES = {"edge": 0.1, "fast": 0.05, "padim": 0.12, "efficientad-s": 1.0}


def result(preset: str, category: str, seed: int, auroc: float) -> Result:
    return Result(preset, category, seed, 10**9, auroc / 2, None, auroc, {})


RESULTS = [
    result("edge", "tile", 0, 0.8),
    result("edge", "tile", 1, 0.9),
    result("edge", "screw", 0, 1.0),
    result("fast", "tile", 0, 0.7),  # not measured on the other set
    result("paper", "tile", 0, 0.7),  # not timed
    result("paper", "screw", 0, 0.7),
]


def table(path: Path, *categories: str) -> Path:
    lines = [f"PaDiM,{each},0,{measure},0.5" for each in categories for measure in ("image_auroc", "au_pro_30")]
    path.write_text("\n".join(["method,category,seed,measure,value", *lines, "1-NN,tile,0,image_auroc,0.4"]))
    return path


def test_a_point_is_the_mean_over_sets_of_the_mean_over_seeds(tmp_path: Path) -> None:
    padim, edge = sorted(cost.points(RESULTS, table(tmp_path / "t.csv", "tile", "screw"), TIMES), key=lambda p: p.name)
    assert (edge.name, edge.time, edge.found["image_auroc"]) == ("edge", 0.1, pytest.approx((0.85 + 1) / 2))
    assert edge.found["au_pro_30"] == pytest.approx((0.85 + 1) / 4)
    assert (padim.name, padim.time, padim.found) == ("PaDiM", 0.12, {"image_auroc": 0.5, "au_pro_30": 0.5})


def test_what_was_not_measured_on_all_sets_is_no_point(tmp_path: Path) -> None:
    assert [p.name for p in cost.points(RESULTS, table(tmp_path / "t.csv", "tile"), TIMES)] == ["edge"]
    assert [p.name for p in cost.points(RESULTS, None, TIMES)] == ["edge"]


def test_the_command_draws_and_refuses_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    presets, times = tmp_path / "presets.json", tmp_path / "times.json"
    presets.write_text(json.dumps({"results": [asdict(each) for each in RESULTS]}))
    times.write_text(json.dumps({"rows": [{"name": n, "latency_ratio": {"p50": t}} for n, t in TIMES.items()]}))
    cost.main([str(presets), "--times", str(times), "--out", str(tmp_path / "cost.svg")])
    assert "edge: 0.100, image AUROC 0.925" in capsys.readouterr().out
    assert "EfficientAD-S" in (tmp_path / "cost.svg").read_text()
    times.write_text(json.dumps({"rows": [{"name": "other", "latency_ratio": {"p50": 1}}]}))
    with pytest.raises(InputError, match=r"no row of .* was timed"):
        cost.main([str(presets), "--times", str(times), "--out", str(tmp_path / "cost.svg")])
    with pytest.raises(InputError, match=r"holds no rows of benchmarks\.throughput"):
        cost.main([str(presets), "--times", str(presets), "--out", str(tmp_path / "cost.svg")])
    with pytest.raises(InputError, match=r"is no table\.csv"):
        cost.points(RESULTS, presets, TIMES)
