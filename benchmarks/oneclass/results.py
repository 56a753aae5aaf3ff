"""What a method fitted on one class says of the test images, and the file that keeps it.

A result depends on its settings alone, and its file names them by a hash: a run that was stopped goes on from the files
it left, and one with other settings computes anew. A file is an ``.npz`` without pickles.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.oneclass.npz import UNREADABLE
from runtime.atomic import write_atomically
from runtime.errors import InputError

SHOWN = 10  # images of the class, and as many others, that Figure 4 shows; the paper shows ten in all
ANSWERS = ("teacher", "students", "variance")


@dataclass(frozen=True)
class Answers:
    """What the teacher and the students of a class say of n images, in the teacher's standardized descriptors."""

    teacher: NDArray[np.float32]  # [n, d]
    students: NDArray[np.float32]  # their mean, [n, d]
    variance: NDArray[np.float32]  # of equation 10, [n]; 0 for a single student


@dataclass(frozen=True)
class ClassResult:
    """One method, fitted on one class."""

    auroc: float
    seconds: float  # to fit it and to score the test images; descriptors that methods share count for the first of them
    scores: NDArray[np.float32]  # of all test images, [n]
    answers: Answers | None = None  # on `shown_images`, by students alone


def shown_images(labels: NDArray[np.int64], kind: int) -> NDArray[np.int64]:
    """Indices of the first images of the class `kind`, then of the first of the others."""
    return np.concatenate([np.flatnonzero(labels == kind)[:SHOWN], np.flatnonzero(labels != kind)[:SHOWN]])


def write_result(path: Path, result: ClassResult, sha256: str) -> None:
    """Keep a result with the hash of its settings."""
    answers = {} if result.answers is None else {name: getattr(result.answers, name) for name in ANSWERS}
    buffer = io.BytesIO()
    np.savez(
        buffer, sha256=sha256, auroc=result.auroc, seconds=result.seconds, scores=result.scores, **answers
    )  # fmt: skip
    write_atomically(path, buffer.getvalue())


def read_result(path: Path, sha256: str) -> ClassResult | None:
    """A kept result; None when there is none, or it is of other settings. Raises `InputError` for a damaged file."""
    try:
        # from memory, since NumPy leaves a damaged file open
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            if str(file["sha256"]) != sha256:
                return None
            answers = Answers(*(file[name] for name in ANSWERS)) if ANSWERS[0] in file.files else None
            return ClassResult(float(file["auroc"]), float(file["seconds"]), file["scores"], answers)
    except FileNotFoundError:
        return None
    except (KeyError, *UNREADABLE) as error:
        raise InputError(f"{path} is damaged ({error}); remove it, so that it is computed again") from error
