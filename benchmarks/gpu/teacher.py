"""A teacher of p = 33 by dense distillation: as many steps as fit, the learning rate at zero at their end.

A first, short training tells what the set-up and a step take. Its learning rate is too small to change a weight, so
that the error it ends with is that of the beginning.
"""

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.gpu.job import Found, Job
from benchmarks.teachers.material import Counts
from benchmarks.teachers.measure import measure as measure_teachers
from runtime.errors import InputError
from train.config import as_mapping
from train.options import TeacherConfig
from train.run_folder import RunFolder
from train.teacher_training import train_teacher

PILOT_STEPS, PILOT_STEPS_SMALL = 80, 2
NO_CHANGE = 1e-9  # Adam changes no weight by more in a step
OF_WHAT_IS_LEFT = 0.85  # that the steps may take: the held-out error and the file come on top
FULL: dict[str, Any] = {"dense": 128, "start": "p33", "batch_size": 64}
SMALL: dict[str, Any] = {"dense": 96, "start": "p33-quarter", "width": 0.25, "batch_size": 2}
EVALUATIONS = 10
COMPARING_S = 40.0  # kept for comparing with the teacher that training begins with
SMALL_COUNTS = Counts(training=800, held_out=32, triplets=16, views=4, held_out_views=2)


@dataclass(frozen=True)
class Pace:
    """What the pilot tells."""

    setup_s: float
    step_s: float


def measure(job: Job, found: Found) -> None:
    """Train. Raises `InputError` for photographs that cannot be used, and where not one step would fit."""
    config, folder = config_of(job), Path(job.folder)
    steps = PILOT_STEPS_SMALL if job.small else PILOT_STEPS
    began_s = time.monotonic()
    pilot = replace(
        config, iterations=steps, evaluate_every=steps // 2, learning_rate=NO_CHANGE, checkpoint_every=steps
    )
    train_teacher(pilot, folder / "teacher-pilot")
    log = log_of(folder / "teacher-pilot")
    pace = pace_of(log, config.batch_size, time.monotonic() - began_s)
    compared = job.descriptor_weights is not None
    left_s = job.left_s() - (COMPARING_S if compared and not job.small else 0)
    iterations = steps_that_fit(pace, left_s)
    config = replace(config, iterations=iterations, evaluate_every=max(1, iterations // EVALUATIONS))
    found.put(
        options={name: value for name, value in as_mapping(config).items() if name != "data"},
        precision=RunFolder(folder / "teacher-pilot").config(TeacherConfig).precision,
        pace=asdict(pace),
        held_out_error_before=log[-1]["held_out_error"],
    )
    run, path = folder / "teacher", None
    try:
        path = train_teacher(config, run)
    finally:  # also when time is up
        found.put(**_progress(run))
    if compared and path is not None:
        found.put(compared=_compared(path, config, job))


def config_of(job: Job) -> TeacherConfig:
    """The training; its number of steps is still to be found."""
    return TeacherConfig(
        data=str(job.data),
        patch_size=33,
        descriptor="resnet18-layer23",
        zoom_cap=1.5,
        learning_rate=5e-4,
        schedule="cosine",
        checkpoint_every=200,
        device=job.device,
        **(SMALL if job.small else FULL),
    )


def pace_of(log: list[dict[str, Any]], batch_size: int, seconds: float) -> Pace:
    """By the two entries of a pilot that took `seconds`; the first steps of all, which tune the GPU, are set-up."""
    half_s, end_s = (each["iteration"] * batch_size / max(each["views_per_second"], 0.1) for each in log)
    steps = log[1]["iteration"] - log[0]["iteration"]
    step_s = (end_s - half_s) / steps if end_s > half_s else end_s / log[1]["iteration"]
    return Pace(max(0.0, seconds - steps * step_s), step_s)


def steps_that_fit(pace: Pace, left_s: float) -> int:
    """How many steps fit into `left_s`. Raises `InputError` where none does."""
    steps = int(OF_WHAT_IS_LEFT * (left_s - pace.setup_s) / pace.step_s)
    if steps < 1:
        raise InputError(
            f"a teacher's set-up takes {pace.setup_s:.0f} s and a step {pace.step_s:.2g} s, and {max(left_s, 0):.0f} s "
            "were left for both; give more --minutes"
        )
    return steps


def log_of(run: Path) -> list[dict[str, Any]]:
    """The entries of a run's log; none where it was not begun."""
    path = RunFolder(run).log_path
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _progress(run: Path) -> dict[str, Any]:
    log = log_of(run)
    last = log[-1] if log else {}
    return {
        "steps_done": last.get("iteration", 0),
        "held_out_error_after": last.get("held_out_error"),
        "views_per_second": last.get("views_per_second"),
        "share_waiting_for_data": last.get("share_waiting_for_data"),
        "log": log,
    }


def _compared(path: Path, config: TeacherConfig, job: Job) -> list[dict[str, Any]]:
    """Random weights, the teacher that training began with, and its own, as `benchmarks.teachers` measures them."""
    patches = replace(config, dense=None, start=None, descriptor_weights=job.descriptor_weights)
    names = {str(config.start): str(config.start), str(path): "trained"}
    counts = SMALL_COUNTS if job.small else Counts()
    groups = measure_teachers(tuple(names), patches, counts, config.descriptor)
    return [
        {
            "teacher": names.get(each.name, each.name),
            "figures": asdict(each.figures),
            "triplets": asdict(each.triplets),
            "map": asdict(each.map),
        }
        for group in groups
        for each in group.measured
    ]
