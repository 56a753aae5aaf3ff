"""What a threshold promises, in numbers and in words."""

import pytest

from runtime.errors import InputError
from runtime.threshold import Threshold, explain, images_needed


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.1, 1.5])
def test_an_impossible_budget_is_refused(budget: float) -> None:
    with pytest.raises(InputError, match="it is a fraction between 0 and 1"):
        images_needed(budget)


def test_a_budget_that_no_number_of_images_proves_in_practice_is_refused() -> None:
    assert images_needed(1e-9) == 2_995_732_273
    for budget in (0.9e-9, 1e-24, 1e-310):
        with pytest.raises(InputError, match="give 1e-09 or more"):
            images_needed(budget)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (
            Threshold(2.5, 0.01, 0.95, 40, "gumbel", False, 0.0722),
            "NOT PROVEN: 1 % (1 in 100) of good parts rejected is the aim, by a Gumbel tail model of 40 good images; "
            "so many prove no less than 7.22 % (1 in 14) (95 % confidence). To prove the aim, hold out 299 for the "
            "threshold.",
        ),
        (
            Threshold(2.5, 0.01, 0.95, 2, "gumbel", False, 0.776),
            "NOT PROVEN: 1 % (1 in 100) of good parts rejected is the aim, by a Gumbel tail model of 2 good images; "
            "so many prove no less than 77.6 % (95 % confidence). To prove the aim, hold out 299 for the threshold.",
        ),
        (
            Threshold(2.5, 0.001, 0.95, 3000, "order-statistic", True, 0.000998),
            "3,000 good images show that at most 0.1 % (1 in 1,000) of good parts like theirs are rejected "
            "(95 % confidence).",
        ),
        (
            Threshold(2.5, 0.001, 0.95, 3000, "manual", False, 0.000998),
            "It was set by hand: no good images vouch for it.",
        ),
    ],
)
def test_a_threshold_promises_what_its_sample_proves(threshold: Threshold, expected: str) -> None:
    assert explain(threshold) == expected
