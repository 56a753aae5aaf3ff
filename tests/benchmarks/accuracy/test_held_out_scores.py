"""What is known of held-out images: by their scores, or by the file alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.accuracy.held_out import held_out_of, of_file
from calibration.file_scores import quantiles
from calibration.threshold import fit_threshold
from runtime.errors import InputError
from runtime.recipe import Recipe
from train.run_folder import SCORES, run_beside


def fitted(recipe: Recipe, scores: NDArray[np.float64], budget: float = 0.1) -> Recipe:
    return replace(recipe, threshold=fit_threshold(scores, budget), score_quantiles=quantiles(scores))


@pytest.fixture
def scores() -> NDArray[np.float64]:
    return np.random.default_rng(0).gumbel(1, 0.3, 43)


def kept(run: Path, scores: NDArray[np.floating]) -> Path:
    run.mkdir(exist_ok=True)
    np.save(run / SCORES, scores)
    return run


def test_the_run_folder_beside_gives_every_score(recipe: Recipe, scores: NDArray[np.float64], tmp_path: Path) -> None:
    detector = tmp_path / "part.onnx"
    kept(run_beside(detector), scores)
    found = held_out_of(fitted(recipe, scores), detector, None)
    assert (found.sample_size, found.complete) == (43, True)
    for above, value in found.thresholds:
        assert (scores > value).sum() == above
    assert len(found.thresholds) == 43
    assert "43 good images held out" in found.source


def test_a_quantile_in_the_file_is_never_below_the_order_statistic_it_stands_for(
    recipe: Recipe, scores: NDArray[np.float64]
) -> None:
    for size in (2, 11, 21, 42, 43):
        found = of_file(fitted(recipe, scores[:size]))
        ordered = np.sort(scores[:size])[::-1]
        assert found.thresholds[0] == (0, ordered[0])
        assert not found.complete
        for above, value in found.thresholds:
            assert value >= ordered[above]
    assert [above for above, _ in of_file(fitted(recipe, scores)).thresholds] == [0, 3, 11, 21, 32, 40, 42]


def test_scores_of_another_detector_are_not_used(recipe: Recipe, scores: NDArray[np.float64], tmp_path: Path) -> None:
    detector = tmp_path / "part.onnx"
    run = kept(run_beside(detector), scores + 0.01)
    found = held_out_of(fitted(recipe, scores), detector, None)
    assert not found.complete
    assert "holds the scores of another detector than part.onnx" in found.source
    with pytest.raises(InputError, match=r"holds the scores of another detector than part\.onnx; give the run folder"):
        held_out_of(fitted(recipe, scores), detector, run)
    kept(run, scores)
    with_more = replace(fitted(recipe, scores), threshold=fit_threshold(np.append(scores, 1.0), 0.1))
    assert not held_out_of(with_more, detector, None).complete


def test_a_named_run_must_hold_scores(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"calibration_scores\.npy cannot be read .*; expected the scores of held-out"):
        held_out_of(recipe, tmp_path / "part.onnx", tmp_path)
    for content in (b"", b"no array"):
        (tmp_path / SCORES).write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            held_out_of(recipe, tmp_path / "part.onnx", tmp_path)
    for wrong in (np.ones((2, 2)), np.ones(1), np.array(["a", "b"]), np.array([1.0, np.nan])):
        np.save(tmp_path / SCORES, wrong)
        with pytest.raises(InputError, match=r"holds (no list of scores|scores that are NaN)"):
            held_out_of(recipe, tmp_path / "part.onnx", tmp_path)


def test_of_a_file_that_nobody_vouches_for_or_without_quantiles_nothing_is_known(
    recipe: Recipe, scores: NDArray[np.float64], tmp_path: Path
) -> None:
    by_hand, known = fitted(recipe, scores).with_threshold(2.0), fitted(recipe, scores)
    for made in (recipe, by_hand, known.not_vouched_for()):
        found = held_out_of(made, tmp_path / "part.onnx", None)
        assert (found.sample_size, list(found.thresholds)) == (0, [])
    # the scores themselves are known all the same
    assert held_out_of(by_hand, tmp_path / "part.onnx", kept(tmp_path, scores)).complete


def test_of_images_left_out_in_turn_a_threshold_set_by_hand_proves_averages_alone(
    recipe: Recipe, scores: NDArray[np.float64], tmp_path: Path
) -> None:
    """Their scores are no held-out ones, whoever sets the threshold; what was held out proves what it did."""
    run, file = kept(tmp_path, scores), tmp_path / "part.onnx"
    for uses, left_out in (({"training": 43}, True), ({"training": 9, "threshold": 43}, False)):
        threshold = fit_threshold(scores, 0.1, left_out=left_out)
        made_of = replace(recipe.provenance, images=uses)
        fitted = replace(recipe, threshold=threshold, score_quantiles=quantiles(scores), provenance=made_of)
        for each in (fitted, fitted.with_threshold(2.0)):
            found = held_out_of(each, file, run)
            assert found.left_out is left_out
            assert f"43 good images {'each left out in turn' if left_out else 'held out'}, in" in found.source
        assert of_file(fitted).left_out is left_out
