"""Rounding with the inputs in mind, against rounding each weight by itself and against the definition."""

import numpy as np
import pytest

from export.rounding import LARGEST, rounded


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    """Inputs of 300 numbers, more than a block, that depend on each other, about a mean that is not zero."""
    random = np.random.default_rng(0)
    return (
        3 + random.normal(size=(600, 6)) @ random.normal(size=(6, 300)) + 0.05 * random.normal(size=(600, 300))
    ).astype(np.float32)


@pytest.fixture(scope="module")
def weight() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(9, 300))


def test_the_outputs_err_far_less_than_by_rounding_each_weight(weight: np.ndarray, patches: np.ndarray) -> None:
    found = rounded(weight, patches)
    nearest = np.round(weight / found.step[:, None]) * found.step[:, None]
    centred = patches - patches.mean(axis=0)

    def error(other: np.ndarray) -> float:
        return float(np.square(centred @ (weight - other).T).mean())

    assert error(found.weight * found.step[:, None]) < 0.2 * error(nearest)


def test_the_bias_keeps_the_mean_output(weight: np.ndarray, patches: np.ndarray) -> None:
    found = rounded(weight, patches)
    outputs = patches @ (found.weight * found.step[:, None]).T + found.bias
    np.testing.assert_allclose(outputs.mean(axis=0), (patches @ weight.T).mean(axis=0), atol=1e-4)


def test_weights_are_symmetric_int8_with_a_step_for_each_row(weight: np.ndarray, patches: np.ndarray) -> None:
    found = rounded(weight * np.arange(1, 10)[:, None], patches)
    assert found.weight.dtype == np.int8
    assert np.abs(found.weight.astype(int)).max() == LARGEST
    np.testing.assert_allclose(found.step, np.abs(weight).max(axis=1) * np.arange(1, 10) / LARGEST)


def test_where_inputs_do_not_depend_on_each_other_each_weight_is_rounded_by_itself(weight: np.ndarray) -> None:
    apart = np.concatenate([np.eye(300), -np.eye(300)]).astype(np.float32)  # second moments: a multiple of one
    found = rounded(weight, apart)
    np.testing.assert_array_equal(found.weight, np.round(weight / found.step[:, None]))


def test_a_row_of_zeros_and_an_input_that_never_moves_are_no_trouble(patches: np.ndarray) -> None:
    weight = np.vstack([np.zeros(300), np.ones(300)])
    still = patches.copy()
    still[:, :5] = 7
    found = rounded(weight, still)
    assert not found.weight[0].any()
    assert np.isfinite(found.bias).all()
    assert np.isfinite(rounded(weight, np.full((8, 300), 2, np.float32)).bias).all()  # nothing moves at all
