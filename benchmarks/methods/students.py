"""Ours: *Uninformed Students* (Bergmann et al., CVPR 2020), trained on the good frames by `train.students`.

A row of Table 3 is one teacher, or several for the multi-scale form (eq. 12); M students of the `ensemble` that was
trained are used, so that one training serves every M: the students of one seed are the same however many there are.

Frames are prepared already, so they are stored as they are and trained on at their own size. Other than the compared
methods, the students see no more than 1 − `holdout` of the good frames: a part of what is held out gives the statistics
of equation 11, as in the paper, and the rest, which the product's threshold takes, is not used here. The defaults
are the paper's; `train.students` states the deviations that remain.
"""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import torch

from benchmarks.methods.base import Frames, Inspected, Method, Setting, check_frames, fitted
from calibration.calibrate import with_fitted_statistics
from calibration.calibrated import CalibratedRun
from calibration.methods import open_run
from calibration.methods.students import StudentsRun
from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.recipe import HealthLimits
from runtime.scoring import Scoring
from train.ensemble import teacher_path
from train.options import StudentsConfig
from train.student_training import train_students

# one training serves all of these
NOT_OF_TRAINING = ("teachers", "students", "ensemble", "relative", "smoothing", "by_position")

# the product's alone: figures need neither
ANY_FRAME, BUDGET, CONFIDENCE = HealthLimits(0.0, 255.0, 1.0, 1e-6, 1e6), 0.01, 0.95


@dataclass(frozen=True)
class Options:
    """Options of the students' training and of how many of them are used."""

    teachers: tuple[str, ...] = ("p33",)  # shipped ones or files, one for each scale
    students: int = 3  # M, used of each scale
    ensemble: int = 5  # trained of each scale
    width: float | None = None  # share of the paper's channels; None: as the teacher's
    separable: bool = False  # depthwise and 1×1 convolutions behind the first
    epochs: int = 100
    steps: int | None = None  # of each scale, in place of epochs
    batch_size: int = 1
    learning_rate: float = 1e-4
    schedule: str = "constant"
    weight_decay: float = 1e-5
    output_stride: int = 1  # every s-th position is scored
    train_stride: int = 1  # every s-th position is trained on, shifted at random
    window: int | None = None  # side of a random window of positions for each step
    relative: bool = False  # errors in relation to the descriptor's own size
    smoothing: float = 0.0  # σ of a Gaussian over the map, pixels
    by_position: bool = False  # scores in deviations from what good frames show at each position
    holdout: float = 0.2  # share of the good frames that is not trained on


class Students(Method):
    """Teachers, their students, and the statistics of equation 11."""

    def __init__(self, options: Options, setting: Setting) -> None:
        """Raises `InputError` for a teacher that is none, or more students than are trained."""
        if not 1 <= options.students <= options.ensemble:
            raise InputError(f"students is {options.students}; expected 1 to {options.ensemble}, the ensemble trained")
        for teacher in options.teachers:
            teacher_path(teacher)  # refused before the work
        self.options, self.setting = options, setting
        self.run: CalibratedRun | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Goes on with a training that the setting's folder of runs holds, or takes its result."""
        size_hw = check_frames(good)
        with ExitStack() as stack:
            runs = self.setting.runs or Path(stack.enter_context(TemporaryDirectory()))
            trained = [self._trained(good, teacher, size_hw, runs) for teacher in self.options.teachers]
            options, count = self.options, self.options.students
            scales = [replace(scale, students=scale.students[:count]) for run in trained for scale in run.scales]
            scoring = Scoring(smoothing=options.smoothing, by_position=options.by_position)
            config = replace(trained[0].config, students=count, relative=options.relative, scoring=scoring)
            run = replace(trained[0], config=config, scales=tuple(scales))
            self.run = with_fitted_statistics(run, ANY_FRAME, BUDGET, CONFIDENCE)

    def inspect(self, frames: Frames) -> Inspected:
        """See `Method`."""
        run = fitted(self.run)
        check_frames(frames, run.trained.size_hw)
        found = [run.maps_and_scores(frames[i : i + 1]) for i in range(len(frames))]
        maps, scores = (torch.cat(values).float().cpu().numpy() for values in zip(*found, strict=True))
        return Inspected(maps, scores.max(axis=1))

    def _trained(self, good: Frames, teacher: str, size_hw: tuple[int, int], runs: Path) -> StudentsRun:
        options = {k: v for k, v in asdict(self.options).items() if k not in NOT_OF_TRAINING}
        options |= {"students": self.options.ensemble, "teachers": (teacher,), "size_hw": size_hw}
        options |= {"seed": self.setting.seed, "device": self.setting.device}
        key = hashlib.sha256(json.dumps(options, sort_keys=True).encode() + good.tobytes()).hexdigest()
        folder = runs / key[:16]
        _store(good, folder / "good")
        train_students(StudentsConfig(data=str(folder / "good"), **options), folder / "run")
        run = open_run(folder / "run")
        assert isinstance(run, StudentsRun)
        return run


def _store(frames: Frames, folder: Path) -> None:
    """Frames as PNG, which loses nothing."""
    for index, frame in enumerate(frames):
        path = folder / f"{index:05}.png"
        if not path.is_file():
            write_atomically(path, cv2.imencode(".png", frame)[1].tobytes())


def make(options: Options, setting: Setting) -> Method:
    """The method."""
    return Students(options, setting)
