"""Logs of pretraining as curves, those of killed and of running trainings too, and refusals."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.teachers.curves import read_curve
from runtime.errors import InputError


def run_of(folder: Path, *lines: object, end: str = "\n") -> Path:
    run = folder / "p33"
    run.mkdir()
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (run / "log.jsonl").write_text("\n".join(text) + end)
    return run


def entry(iteration: int, **values: float | None) -> dict[str, object]:
    return {"iteration": iteration, "patches_per_second": 50.0, **values}


def test_each_value_logged_is_a_column(tmp_path: Path) -> None:
    first = entry(5, distillation=3.0, held_out_error=0.9, held_out_triplet_loss=None)
    run = run_of(tmp_path, first, entry(10, distillation=2, held_out_error=0.5, held_out_triplet_loss=None))
    curve = read_curve(run)
    assert (curve.name, curve.iterations) == ("p33", (5, 10))
    assert curve.values == {"distillation": (3.0, 2.0), "held_out_error": (0.9, 0.5)}


def test_a_killed_run_is_counted_by_what_it_logged_later(tmp_path: Path) -> None:
    lines = [entry(5, triplet=9.0), entry(10, triplet=8.0), entry(5, triplet=7.0), entry(8, triplet=6.0)]
    curve = read_curve(run_of(tmp_path, *lines))
    assert curve.iterations == (5, 8, 10)
    assert curve.values["triplet"] == (7.0, 6.0, 8.0)


def test_the_line_that_a_running_training_is_writing_is_left_out(tmp_path: Path) -> None:
    assert read_curve(run_of(tmp_path, entry(5, triplet=9.0), '{"iteration": 1', end="")).iterations == (5,)


def test_what_only_a_part_of_a_run_logged_is_missing_elsewhere(tmp_path: Path) -> None:
    run = run_of(tmp_path, entry(5, triplet=1.0), entry(10, triplet=1.0, held_out_triplets_confused=0.25))
    early, late = read_curve(run).values["held_out_triplets_confused"]
    assert math.isnan(early)
    assert late == 0.25


BAD = [
    (["not json"], r"log\.jsonl, line 1, is not JSON; remove the line or train again"),
    ([entry(5), {"step": 3}], r"log\.jsonl, line 2, names no iteration; give run folders of python -m train\.teacher"),
    (["[1]"], r"line 1, names no iteration"),
    ([], r"log\.jsonl holds nothing yet; wait for its first evaluation"),
]


@pytest.mark.parametrize(("lines", "message"), BAD)
def test_a_log_that_is_none_of_a_teachers_is_refused(tmp_path: Path, lines: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_curve(run_of(tmp_path, *lines, end="\n" if lines else ""))


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"log\.jsonl cannot be read; give run folders of python -m train\.teacher"):
        read_curve(tmp_path)
