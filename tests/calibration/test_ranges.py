"""Ranges of channels against values worked out by hand, and what is refused."""

import numpy as np
import pytest

from calibration.ranges import RangeCollector, Ranges, rounding_error, widened
from runtime.errors import InputError


def collected(method: str, *images: np.ndarray, slope: float = 1.0) -> Ranges:
    collector = RangeCollector(method, slope)
    for image in images:
        collector.add(np.asarray(image, np.float32))
    return collector.ranges()


def test_the_extremes_are_those_of_each_channel_over_all_images() -> None:
    one = np.array([[[[1, 2]], [[-5, 0]]]])  # [N, C, h, w]: two channels of two pixels
    two = np.array([[[[3, 0]], [[-1, -2]]], [[[-4, 1]], [[-6, -3]]]])
    ranges = collected("max", one, two)
    assert (ranges.low.tolist(), ranges.high.tolist()) == ([-4, -6], [3, 0])
    assert ranges.middle.tolist() == [-0.5, -3]
    assert ranges.step.tolist() == [7 / 255, 6 / 255]


def test_a_percentile_cuts_half_of_the_rest_off_at_either_end() -> None:
    values = np.arange(101.0).reshape(1, 1, 1, 101)
    low, high = (np.percentile(np.arange(101), q) for q in (5, 95))
    ranges = collected("90", *[values] * 60)  # drawn with repetition: close to, not equal
    assert ranges.low[0] == pytest.approx(low, abs=1)
    assert ranges.high[0] == pytest.approx(high, abs=1)


def test_the_rounding_error_behind_the_activation_is_that_of_the_hand() -> None:
    ranges = Ranges(np.array([-255.0]), np.array([0.0]))  # step 1, middle −127.5: half-integers are exact
    values = np.array([[-0.5, -1.25, 3.0]], np.float32)
    # −1.25 becomes −1.5, wrong by 0.25; 3 is cut off to −0.5
    linear = (0 + 0.25**2 + 3.5**2) / 3
    assert rounding_error(values, ranges, 1.0)[0] == pytest.approx(linear)
    leaky = (0 + (0.1 * 0.25) ** 2 + (3 + 0.05) ** 2) / 3
    assert rounding_error(values, ranges, 0.1)[0] == pytest.approx(leaky)


def test_mse_cuts_off_what_costs_more_to_keep_and_nothing_else() -> None:
    random = np.random.default_rng(0)
    even = random.uniform(-1, 1, (1, 1, 20, 500))
    rare = even.copy()
    rare.flat[::250] = 1.5 + random.uniform(size=40)  # no harm to keep
    far = even.copy()
    far[0, 0, 0, 0] = -200.0  # 5e-3 behind the activation, yet it would take most of the range
    kept = collected("mse", *[np.concatenate([even, rare], axis=1)] * 20, slope=5e-3)
    assert kept.high[0] == pytest.approx(1, abs=0.02)
    assert kept.high[1] > 2
    cut = collected("mse", *[far] * 20, slope=5e-3)
    assert cut.low[0] > -2


def test_a_channel_that_never_moves_has_a_range_that_can_be_divided_by() -> None:
    ranges = widened(np.array([2.0, 0.0]), np.array([2.0, 1.0]))
    assert ranges.step[0] > 0
    assert ranges.high[1] == 1.0
    assert (widened(np.zeros(1), np.zeros(1)).step > 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_activation_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="NaN or infinite on a good image"):
        collected("max", np.full((1, 1, 1, 2), value))


@pytest.mark.parametrize("method", ["most", "49", "101", "nan"])
def test_an_unknown_method_is_refused(method: str) -> None:
    with pytest.raises(InputError, match=f"is '{method}'; expected max, mse or a percentile such as 99.99"):
        RangeCollector(method)
