"""What each kind of evidence saw, from files of either schema."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from runtime_samples import SIZE_HW, make_recipe
from schema1_samples import PLAIN, RICH

from runtime.engines.base import Output
from runtime.explain import normalized_evidence
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
