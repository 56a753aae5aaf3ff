"""A teacher in the time that there is, and what is said of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.gpu import teacher
from benchmarks.gpu.job import Found, Job
from benchmarks.gpu.teacher import Pace, log_of, measure, pace_of, steps_that_fit
from runtime.errors import InputError
from train.device import resolve_precision
from train.files import load_network


def test_a_rehearsal_trains_a_teacher_to_its_end(
    make_job: Callable[..., Job], photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.teacher_training.HELD_OUT_VIEWS", 4)
    monkeypatch.setattr("train.teacher_training.STANDARDIZATION_VIEWS", 8)
    monkeypatch.setattr(teacher, "OF_WHAT_IS_LEFT", 0.02)
    found = Found(tmp_path / "found.json")
    measure(make_job("teacher", data=str(photographs)), found)
    figures = found.figures
    iterations = figures["options"]["iterations"]
    assert figures["steps_done"] == figures["log"][-1]["iteration"] == iterations > 0
    assert figures["precision"] == resolve_precision("auto", "cpu")  # bf16 where the processor has matrix units
    assert figures["views_per_second"] > 0
    assert 0 < figures["held_out_error_before"] != figures["held_out_error_after"] > 0
    first, last = (entry["held_out_error"] for entry in log_of(tmp_path / "teacher-pilot"))
    assert figures["held_out_error_before"] == last == pytest.approx(first, rel=1e-4)  # nothing was learnt
    assert "data" not in figures["options"]
    card = load_network(tmp_path / "teacher" / "teacher-p33.safetensors")[1]
    assert card["held_out_error"] == pytest.approx(figures["held_out_error_after"], rel=1e-4)
    assert card["options"]["schedule"] == "cosine"
    assert "compared" not in figures


def test_the_first_steps_are_part_of_the_set_up() -> None:
    log = [{"iteration": 40, "views_per_second": 64.0}, {"iteration": 80, "views_per_second": 102.4}]
    pace = pace_of(log, 64, 100.0)  # 40 steps by 40 s, 80 by 50 s
    assert pace.step_s == pytest.approx(0.25)
    assert pace.setup_s == pytest.approx(90.0)


def test_steps_that_do_not_fit_are_said_not_to() -> None:
    assert steps_that_fit(Pace(10.0, 0.1), 110.0) == 850
    with pytest.raises(InputError, match="set-up takes 10 s and a step 5 s, and 12 s were left for both; give more"):
        steps_that_fit(Pace(10.0, 5.0), 12.0)
