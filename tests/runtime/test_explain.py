"""What each kind of evidence saw, from files of either schema."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from runtime_samples import SHARES, SIZE_HW, explaining_detector, fake_detector, grey_frame, make_recipe
from schema1_samples import PLAIN, RICH

from runtime.engines.base import Output
from runtime.explain import Explanation, normalized_evidence
from runtime.placement import Placement
from runtime.recipe import recipe_from_json


def drawn(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(2, 3, shape).astype(np.float32)


def output(**terms: NDArray[np.float32]) -> Output:
    return Output(drawn(2, *SIZE_HW), drawn(2), **terms)


def test_raw_evidence_comes_out_in_deviations_from_what_good_images_show() -> None:
    recipe, raw = replace(make_recipe(), explain=True), drawn(2, 4, *SIZE_HW)
    found = normalized_evidence(recipe, output(evidence=raw))
    assert found is not None
    assert (found.dtype, found.shape) == (np.float32, (2, 4, *SIZE_HW))
    for index, (mean, deviation) in enumerate(((1.0, 0.5), (0.1, 0.05), (2.0, 0.5), (0.25, 0.125))):
        np.testing.assert_allclose(found[:, index], (raw[:, index].astype(float) - mean) / deviation, rtol=1e-5)


def test_of_schema_1_error_and_variance_take_turns_in_the_order_of_the_recipe() -> None:
    recipe = recipe_from_json(RICH)
    error, variance = drawn(2, 2, *SIZE_HW), drawn(2, 2, *SIZE_HW) + 50
    found = normalized_evidence(recipe, output(regression_error=error, predictive_variance=variance))
    assert found is not None
    by_name = dict(zip((kind.name for kind in recipe.method.evidence), found.transpose(1, 0, 2, 3), strict=True))
    for scale, size in enumerate((33, 65)):
        np.testing.assert_array_equal(by_name[f"regression error, p = {size}"], error[:, scale])
        np.testing.assert_array_equal(by_name[f"predictive variance, p = {size}"], variance[:, scale])


def test_of_a_lone_student_of_schema_1_the_error_is_all() -> None:
    error = drawn(2, 1, *SIZE_HW)
    assert normalized_evidence(recipe_from_json(PLAIN), output(regression_error=error)) is error


def test_a_file_that_does_not_explain_itself_says_nothing() -> None:
    assert normalized_evidence(make_recipe(), output()) is None


def spot_explained() -> Explanation:
    """Of a frame with a spot at x 10, y 4."""
    with explaining_detector() as detector:
        found = detector.inspect(grey_frame(spot=255)).explanation
    assert found is not None
    return found


def test_the_terms_of_a_frame_add_up_to_its_map() -> None:
    found = spot_explained()
    terms = found.terms(1000)
    assert found.kinds == tuple(kind.name for kind in make_recipe().method.evidence)
    assert terms.shape == (4, *SIZE_HW)
    for share, term in zip(SHARES, terms, strict=True):
        np.testing.assert_allclose(term, share * found.output.anomaly_map[0], atol=1e-5)


def test_they_are_told_of_the_place_of_the_highest_score_the_largest_first() -> None:
    found = spot_explained()
    told, score = found.at_the_highest(), float(found.output.anomaly_score[0])
    assert list(told) == [found.kinds[0], found.kinds[1], found.kinds[2], found.kinds[3]]
    np.testing.assert_allclose([*told.values()], [share * score for share in SHARES], atol=1e-5)


def test_of_the_place_that_is_inspected_alone() -> None:
    found = spot_explained()
    scoring = replace(found.recipe.scoring, region_of_interest=(8, 0, 8, 24))  # below the spot
    outside = replace(found, recipe=replace(found.recipe, scoring=scoring))
    assert sum(outside.at_the_highest().values()) < 0.1 * sum(found.at_the_highest().values())


def test_for_showing_they_are_made_smaller() -> None:
    assert spot_explained().terms(12).shape == (4, 8, 12)
    np.testing.assert_allclose(spot_explained().terms(12).sum(), spot_explained().terms(24).sum() / 4, rtol=1e-3)


def test_made_smaller_they_are_smoothed_over_as_much_of_the_part() -> None:
    found = spot_explained()
    scoring = replace(found.recipe.scoring, smoothing=2.0)
    smooth = replace(found, recipe=replace(found.recipe, scoring=scoring))
    whole, small = (smooth.terms(side)[0] for side in (24, 12))
    halved = whole.reshape(8, 2, 12, 2).mean(axis=(1, 3))
    assert np.abs(small - halved).max() < 0.15 * halved.max()


def test_they_lie_over_the_picture_where_the_part_was_found() -> None:
    found = spot_explained()
    moved = replace(found, placed=Placement(np.array([[1.0, 0, 3], [0, 1, 0]]), SIZE_HW, 1.0))
    np.testing.assert_allclose(moved.terms(24)[:, :, 3:], found.terms(24)[:, :, :-3], atol=1e-5)


def test_near_a_border_a_smoothed_term_is_that_of_the_whole_map() -> None:
    found = spot_explained()
    scoring = replace(found.recipe.scoring, smoothing=1.5)
    noise = np.random.default_rng(3).normal(size=(1, 4, *SIZE_HW)).astype(np.float32)
    for y, x in ((0, 0), (0, 23), (15, 11), (8, 12), (15, 0)):
        scored = np.zeros((1, *SIZE_HW), np.float32)
        scored[0, y, x] = 1.0
        noisy = replace(found.output, anomaly_map=scored, evidence=noise)
        each = replace(found, recipe=replace(found.recipe, scoring=scoring), output=noisy)
        told = each.at_the_highest()
        np.testing.assert_allclose([told[kind] for kind in each.kinds], each.terms(24)[:, y, x], rtol=1e-4, atol=1e-5)


def test_a_file_that_does_not_explain_itself_gives_no_explanation() -> None:
    with fake_detector() as detector:
        assert detector.inspect(grey_frame(spot=255)).explanation is None
