"""Kept results of one-class runs: read as they were written, for the same settings alone."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.oneclass.results import Answers, ClassResult, read_result, shown_images, write_result
from runtime.errors import InputError

SCORES = np.array([0.5, -1.25, 3.0], np.float32)


def some_answers() -> Answers:
    return Answers(np.ones((2, 4), np.float32), np.zeros((2, 4), np.float32), np.array([0.1, 7], np.float32))


@pytest.mark.parametrize("answers", [None, some_answers()])
def test_a_result_is_read_as_it_was_written(tmp_path: Path, answers: Answers | None) -> None:
    write_result(tmp_path / "a.npz", ClassResult(0.98765432101, 12.5, SCORES, answers), "abc")
    found = read_result(tmp_path / "a.npz", "abc")
    assert found is not None
    assert (found.auroc, found.seconds) == (0.98765432101, 12.5)
    assert found.scores.tolist() == SCORES.tolist()
    assert (found.answers is None) == (answers is None)
    if answers is not None and found.answers is not None:
        assert found.answers.teacher.tolist() == answers.teacher.tolist()
        assert found.answers.students.tolist() == answers.students.tolist()
        assert found.answers.variance.tolist() == answers.variance.tolist()


def test_a_result_of_other_settings_and_a_missing_one_are_none(tmp_path: Path) -> None:
    write_result(tmp_path / "a.npz", ClassResult(1.0, 1.0, SCORES), "abc")
    assert read_result(tmp_path / "a.npz", "abd") is None
    assert read_result(tmp_path / "b.npz", "abc") is None


@pytest.mark.parametrize("kept_bytes", [0, 10, 300])
def test_a_damaged_file_is_refused(tmp_path: Path, kept_bytes: int) -> None:
    path = tmp_path / "a.npz"
    write_result(path, ClassResult(1.0, 1.0, SCORES), "abc")
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(InputError, match=r"a\.npz is damaged .*; remove it"):
        read_result(path, "abc")


def test_the_first_of_the_class_and_of_the_others_are_shown() -> None:
    labels = np.arange(60) % 3
    shown = shown_images(labels, 1)
    assert shown[:10].tolist() == list(range(1, 30, 3))
    assert shown[10:].tolist() == [0, 2, 3, 5, 6, 8, 9, 11, 12, 14]
