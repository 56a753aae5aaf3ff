"""What good images alone say against a detector is found, kept and told."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.concerns import far_apart, find_concerns, unproven
from calibration.methods import open_run
from calibration.threshold import fit_threshold
from train.ensemble import student_path
from train.files import load_network, save_network
from train.student_training import CLOSE_TO_MEAN, MEANS_LOSS


def test_scores_far_apart_are_told() -> None:
    training = np.random.default_rng(0).normal(5, 1, 40)
    assert far_apart(training, training[:20] + 0.5) is None
    said = far_apart(training, training[:20] + 4)
    assert said is not None
    assert "half of the images held out score above" in said
    assert "95 % of those trained on below" in said


def test_a_threshold_that_is_not_proven_is_told_with_what_would_prove_it() -> None:
    scores = np.random.default_rng(0).gumbel(size=300)
    assert unproven(fit_threshold(scores, 0.01)) is None
    assert unproven(fit_threshold(scores[:60], 0.01)) == (
        "the threshold is not proven: 60 different images were held out for it, and a budget of 1 % takes 299"
    )
    assert unproven(fit_threshold(scores[:99], 0.01, left_out=True)) is None
    assert unproven(fit_threshold(scores[:98], 0.01, left_out=True)) == (
        "the threshold is not proven: 98 different images were left out in turn for it, and a budget of 1 % takes 99"
    )


@pytest.mark.parametrize(("share", "expected"), [(0.4, False), (CLOSE_TO_MEAN + 0.01, True)])
def test_students_close_to_the_mean_are_told(
    calibrated_run: Path, tmp_path: Path, share: float, expected: bool
) -> None:
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    for index in range(2):
        path = student_path(run, 33, index)
        network, card, _ = load_network(path)
        save_network(path, network, card | {"loss": share * MEANS_LOSS})
    (said,) = open_run(run).concerns or ("",)
    assert ("p = 33 predict hardly better than the mean" in said) == expected


def test_training_images_are_scored_for_the_comparison_unless_the_method_knows_them(calibrated_run: Path) -> None:
    trained, proven = open_run(calibrated_run), fit_threshold(np.random.default_rng(0).gumbel(size=300), 0.01)
    asked: list[Path] = []

    def scores_of(paths: Iterable[Path]) -> NDArray[np.float64]:
        asked.extend(paths)
        return np.zeros(len(asked))

    held_out = np.full(10, 5.0)
    said = find_concerns(trained, scores_of, held_out, proven)
    assert any("learnt their images by heart" in each for each in said)
    assert set(asked) == set(trained.split.training)
    knowing: Any = SimpleNamespace(concerns=(), leaves_out=True, split=trained.split)
    assert find_concerns(knowing, scores_of, held_out, proven) == ()
