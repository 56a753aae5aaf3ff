"""Rows of one preset that nobody trained, in FP32 and FP16: opened one by one, timed in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.failures import sentence_of
from benchmarks.gpu.job import Job
from benchmarks.throughput.measure import measure
from benchmarks.throughput.random_rows import RandomRow, random_row
from benchmarks.throughput.subject import Subject
from benchmarks.throughput.timing import LEAST_TURNS, Turns
from train.preset import read_preset

PRECISIONS = ("fp32", "fp16")
SMALL = {
    "memory-bank": "side=64:coreset=100",
    "students": "size_hw=64,64:students=1:output_stride=8:train_stride=8",
    "backbone-students": "size_hw=64,64:width=16",
}


def row_of_preset(preset: str, small: bool) -> RandomRow:
    """The preset with random weights, `small` as in a rehearsal. Raises `InputError` for a name that is none."""
    settings = f"{preset}={preset}:{SMALL[read_preset(preset).method]}" if small else preset
    return random_row(settings)


def file_of(job: Job, preset: str, precision: str) -> Path:
    """Where the file of a preset lies."""
    return Path(job.folder) / f"{preset}-{precision}.onnx"


def turns_of(job: Job, repeats: int, seconds: float) -> Turns:
    """So many turns and seconds, of a rehearsal the fewest."""
    return Turns(LEAST_TURNS, 0.1, warm_up=1) if job.small else Turns(repeats, seconds)


def timed(
    makers: Mapping[str, Callable[[], Subject]], batches: Sequence[int], turns: Turns, threads: int, limits: bool
) -> dict[str, Any]:
    """The rows that can be opened and infer a frame, side by side; why the others cannot, by name.

    Without `limits` nothing is measured of what the machine can do at most, which takes its time.
    """
    subjects, failed = [], {}
    try:
        for name, make in makers.items():
            try:
                subject = make()
                subjects.append(subject)
                subject.infer(np.zeros((1, *subject.size_hw, 3), np.uint8))
            except Exception as error:  # of an exporter, an engine or a driver: the other rows are timed
                failed[name] = sentence_of(error)
        working = [each for each in subjects if each.name not in failed]
        rated = working if limits else [replace(each, arithmetic=None) for each in working]
        result = asdict(measure(rated, None, batches, turns, threads)) if rated else {"rows": [], "limits": []}
    finally:
        for subject in subjects:
            subject.close()
    counted = {each.name: each.arithmetic.multiply_adds for each in working if each.arithmetic}
    for row in result["rows"]:
        row["multiply_adds"] = counted.get(row["name"])
    return {**result, "failed_rows": failed}
