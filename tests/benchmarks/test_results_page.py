"""The page of results: its commands can be run as they stand, and its times are those that were kept."""

import importlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from benchmarks.presets.cells import checked_config
from benchmarks.throughput.random_rows import random_row
from train.preset import REPLACED

RESULTS = Path(__file__).parents[2] / "benchmarks"
PAGE = (RESULTS / "RESULTS.md").read_text()
WORDS = " ".join(PAGE.split())
NOW = {
    "fast": "fast", "edge": "edge", "edge-int8": "`edge`, INT8", "accurate": "accurate",
    "edge-lite0": "`edge` over Lite0", "edge-resnet18": "`edge` over ResNet-18", "students": "students",
    "patchcore-resnet18": "PatchCore, ResNet-18, 4,000, as our graph", "efficientad-s": "EfficientAD-S",
    "stfpm": "STFPM, ResNet-18", "padim": "PaDiM, ResNet-18", "patchcore": "PatchCore, Wide ResNet-50",
}  # fmt: skip
THEN = {
    "edge": "students", "edge-int8": "`students`, INT8", "fast": "former `fast`", "balanced": "former `balanced`",
    "edge-separable": "`students`, separable student", "edge-separable-int8": "the same, INT8",
    "edge-stride-8": "`students`, every 8th position", "edge-256": "`students` on larger frames",
    "fast-256": "former `fast` on larger frames", "p33": "p = 33, every position, one student",
    "p65": "p = 65, every position, one student", "paper": "paper", "efficientad-s": "EfficientAD-S",
    "efficientad-m": "EfficientAD-M", "stfpm": "STFPM, ResNet-18", "padim": "PaDiM, ResNet-18",
    "patchcore": "PatchCore, Wide ResNet-50",
}  # fmt: skip


def commands(module: str) -> list[list[str]]:
    """The arguments of each command on the page that no … stands in for."""
    found = re.findall(rf"`python\s-m\s{re.escape(module)}\s([^`]*)`", PAGE)
    return [shlex.split(each) for each in found if not each.endswith("…")]


@pytest.mark.parametrize("arguments", commands("benchmarks.throughput"), ids=str)
def test_every_row_of_random_weights_can_be_made(arguments: list[str]) -> None:
    options = importlib.import_module("benchmarks.throughput.__main__")._parser().parse_args(arguments)
    for text in options.random:
        row = random_row(text)
        assert row.settings.partition(":")[0] not in REPLACED


@pytest.mark.parametrize("arguments", commands("benchmarks.presets"), ids=str)
def test_every_preset_with_its_options_can_be_made(arguments: list[str]) -> None:
    options = importlib.import_module("benchmarks.presets.__main__")._parser().parse_args(arguments)
    over: dict[str, object] = dict(text.split("=", 1) for text in options.set or [])
    for name in options.presets.split(","):
        assert name not in REPLACED
        checked_config(name, over)


@pytest.mark.parametrize(("file", "labels"), [("throughput.json", NOW), ("throughput-patch.json", THEN)])
def test_times_are_medians_and_the_longest_of_so_many_calls_beside_a_load(file: str, labels: dict[str, str]) -> None:
    document = json.loads((RESULTS / "results" / file).read_text())
    assert {row["name"] for row in document["rows"]} == set(labels)
    usual = document["turns"]["repeats"]
    section = next(part for part in re.split(r"\n##+ ", PAGE) if f"results/{file})" in part and "longest of" in part)
    assert f"(median, longest of {usual})" in section
    assert f"load {document['load_before']:.1f}" in " ".join(section.split())
    for row in document["rows"]:
        cells = cells_of(section, labels[row["name"]])
        ratio = row["latency_ratio"]
        calls = "" if ratio["samples"] == usual else f" of {ratio['samples']}"
        decimals = len(cells[3].partition(",")[0].partition(".")[2])
        assert cells[3] == f"{ratio['p50']:.{decimals}f}, {ratio['max']:.{decimals}f}{calls}"
        assert cells[2] == f"{row['multiply_adds'] / 1e9:,.{1 if row['multiply_adds'] < 1e12 else 0}f} G"


def cells_of(section: str, label: str) -> list[str]:
    (line,) = [line for line in section.splitlines() if line.startswith((f"| {label} |", f"| `{label}` |"))]
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_what_int8_gains_is_what_the_file_says() -> None:
    document = json.loads((RESULTS / "results" / "throughput.json").read_text())
    ratios: dict[str, Any] = {row["name"]: row["latency_ratio"] for row in document["rows"]}
    int8, fp32 = ratios["edge-int8"], ratios["edge"]
    assert f"`edge` on bottle: {fp32['p50'] / int8['p50']:.1f} times the speed of FP32" in WORDS
    assert f"at the median of {int8['samples']} calls ({int8['p50']:.3f} and {fp32['p50']:.3f} of" in WORDS
    assert f"the longest is {int8['max']:.3f} and {fp32['max']:.3f}" in WORDS


def test_the_overload_over_modbus_is_what_the_file_says() -> None:
    found = json.loads((RESULTS / "results" / "line-load.json").read_text())
    for way in found.values():
        if isinstance(way, dict) and "offered" in way:
            judged = sum(way["results"].get(name, 0) for name in ("OK NONE", "NG JUDGED")) / way["seconds"]
            times = way["offered"] / max(way["rate"], judged)
            assert f"{way['triggers']:,} triggers in 60 s" in WORDS
            assert f"{judged:.1f}" in WORDS
            assert f"{times:.1f} times" in WORDS or f"{times:.2f} times" in WORDS
