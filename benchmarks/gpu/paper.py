"""The preset ``paper``: its graph timed, then its students trained on one category as far as the time goes.

The three scales are trained side by side, each in a run folder of its own and for a third of the time. Scales share
nothing but the images, and the learning rate is constant, so that each takes the steps that it takes in a whole
training; so the pace of each is known, and with it what a whole training takes.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu.job import Found, Job
from benchmarks.gpu.timed import PRECISIONS, file_of, row_of_preset, timed, turns_of
from benchmarks.throughput.random_rows import RandomRow
from benchmarks.throughput.subject import Subject
from benchmarks.throughput.torch_subjects import subject_of_module
from export.fused import FusedDetector
from train.data import Split
from train.options import StudentsConfig
from train.run_folder import RunFolder
from train.student_training import train_students

FIRST_STEPS, FIRST_STEPS_SMALL = 20, 2
OF_WHAT_IS_LEFT = 0.7  # that the next piece should take: its pace is known by the one before alone


@dataclass(frozen=True)
class Piece:
    """Steps done in one go, opening the run folder included."""

    steps: int
    seconds: float


def measure(job: Job, found: Found) -> None:
    """Time and train. Raises `InputError` for images that cannot be used."""
    row = row_of_preset("paper", job.small)
    makers: dict[str, Callable[[], Subject]] = {}
    for precision in PRECISIONS:
        makers[f"onnxruntime {precision}"] = partial(_of_file, job, row, precision)
        makers[f"pytorch {precision}"] = partial(_of_module, job, row, precision)
    found.put(weights="random", timing=timed(makers, (1,), turns_of(job, 30, 2.0), job.threads, limits=not job.small))
    assert isinstance(row.config, StudentsConfig)
    config = replace(row.config, data=str(job.category), device=job.device)
    for index, teacher in enumerate(config.teachers):
        ends_s = job.left_s() * (1 - 1 / (len(config.teachers) - index))  # what is left then
        scale = replace(config, teachers=(teacher,))
        _train(scale, Path(job.folder) / f"paper-{teacher}", job, ends_s, found)
    scales = found.figures["scales"]
    if all(each["steps_per_second"] for each in scales):
        found.put(whole_training_s=sum(each["steps_of_a_whole_training"] / each["steps_per_second"] for each in scales))


def _train(config: StudentsConfig, run: Path, job: Job, ends_s: float, found: Found) -> None:
    """Train one scale until `ends_s` are left of the part's time."""
    done: list[Piece] = []
    first = FIRST_STEPS_SMALL if job.small else FIRST_STEPS
    try:
        for piece in pieces(partial(train_students, config, run), lambda: job.left_s() - ends_s, first):
            done.append(piece)
    finally:  # also when time is up
        found.add("scales", {"teacher": config.teachers[0], **_progress(config, run, done)})


def pieces(
    train: Callable[[int], bool], left_s: Callable[[], float], first: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Piece]:
    """Train `first` steps and then, by the pace of each piece, most of what is left, again and again.

    `train` takes a number of steps and returns whether the training is done. A piece is of `first` steps or more.
    """
    steps = first
    while True:
        began_s = clock()
        done = train(steps)
        piece = Piece(steps, clock() - began_s)
        yield piece
        fitting = int(OF_WHAT_IS_LEFT * left_s() / piece.seconds * piece.steps)
        # after a first piece that was set-up above all, as many steps again take less
        if done or (fitting < first and left_s() < piece.seconds):
            return
        steps = max(first, fitting)


def _progress(config: StudentsConfig, run: Path, done: list[Piece]) -> dict[str, Any]:
    folder = RunFolder(run)
    log = [json.loads(line) for line in folder.log_path.read_text().splitlines()] if folder.log_path.exists() else []
    losses = [entry for entry in log if "loss" in entry]
    if not losses:
        return {"steps_done": 0, "steps_per_second": None}
    images = len(Split.load(folder.split_path).training)
    # the first has the inspection of the images and the teacher's statistics; of the longest, opening weighs least
    longest = max(done[1:], key=lambda piece: piece.steps, default=None)
    return {
        "precision": folder.config(StudentsConfig).precision,
        "training_images": images,
        "steps_done": losses[-1]["step"],
        "steps_of_a_whole_training": config.steps or config.epochs * -(-images // config.batch_size),
        "steps_per_second": longest.steps / longest.seconds if longest else None,
        "pieces": [asdict(piece) for piece in done],
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }


def _of_file(job: Job, row: RandomRow, precision: str) -> Subject:
    path = file_of(job, "paper", precision)
    row.write(path, precision == "fp16")
    return row.subject(f"onnxruntime {precision}", path, job.engine, job.threads)


def _of_module(job: Job, row: RandomRow, precision: str) -> Subject:
    """PyTorch, eager: compiling takes minutes that a part does not have. The graph's arithmetic is the file's."""
    opened = row.subject("", file_of(job, "paper", precision), "onnxruntime-cpu", job.threads)
    opened.close()
    assert opened.arithmetic is not None
    fused = FusedDetector(row.untrained().run, half=precision == "fp16").eval()
    subject = subject_of_module(
        f"pytorch {precision}",
        fused,
        opened.size_hw,
        opened.arithmetic,
        device=job.device,
        threads=job.threads,
        compiled=False,
    )
    return replace(subject, random=row.settings)
