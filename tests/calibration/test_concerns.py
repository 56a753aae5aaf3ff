"""What good images alone say against a detector is found, kept and told."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration.statistics import Statistics

from calibration import concerns
from calibration.concerns import far_apart, unproven
from calibration.fit import fit, print_concerns
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


@pytest.mark.parametrize(("share", "expected"), [(0.4, False), (CLOSE_TO_MEAN + 0.01, True)])
def test_students_close_to_the_mean_are_told_and_it_is_kept(
    calibrated_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float, expected: bool
) -> None:
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    for index in range(2):
        path = student_path(run, 33, index)
        network, card, _ = load_network(path)
        save_network(path, network, card | {"loss": share * MEANS_LOSS})
    found = fit(run, 0.2)
    assert any("p = 33 predict hardly better than the mean" in each for each in found.concerns) == expected
    assert Statistics.load(run / "statistics.json").concerns == found.concerns
    capsys.readouterr()
    print_concerns(found)
    assert capsys.readouterr().out.splitlines() == [f"warning: {each}" for each in found.concerns]
    assert any("threshold is not proven: 3 different images" in each for each in found.concerns)


def test_held_out_images_of_another_part_are_told(
    calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concerns, "_training_scores", lambda *given: np.full(10, -1e6))
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    assert any("learnt their images by heart" in each for each in fit(run, 0.2).concerns)


def test_statistics_from_before_are_read(calibrated_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    document = json.loads((run / "statistics.json").read_text())
    assert document.pop("concerns")
    (run / "statistics.json").write_text(json.dumps(document))
    before = Statistics.load(calibrated_run / "statistics.json")
    again = Statistics.load(run / "statistics.json")
    assert replace(again, positions=None) == replace(before, positions=None, concerns=())
