"""What a threshold promises, in numbers and in words."""

from dataclasses import replace
from typing import Any

import pytest
from runtime_samples import make_recipe

from runtime.errors import InputError
from runtime.recipe import recipe_from_metadata
from runtime.threshold import Threshold, explain, images_needed

THRESHOLDS = [
    Threshold(2.5, 0.01, 0.95, 300, "order-statistic", True, 0.00994),
    Threshold(2.5, 0.01, 0.95, 120, "jackknife-minmax", True, 1 / 121),
    Threshold(2.5, 0.01, 0.95, 40, "exponential-tail", False, 0.0722),
    Threshold(2.5, 0.01, 0.95, 40, "left-out-exponential-tail", False, 1 / 41),
    Threshold(2.5, 0.01, 0.95, 40, "gumbel", False, 0.0722),
    Threshold(2.5, 0.01, 0.95, 40, "manual", False, 0.0722),
]
FIELDS = ["budget", "confidence", "method", "sample_size", "supported", "supported_budget", "value"]


@pytest.mark.parametrize("left_out", [False, True])
@pytest.mark.parametrize("budget", [0.0, 1.0, -0.1, 1.5])
def test_an_impossible_budget_is_refused(budget: float, left_out: bool) -> None:
    with pytest.raises(InputError, match="it is a fraction between 0 and 1"):
        images_needed(budget, left_out=left_out)


def test_a_budget_that_no_number_of_images_proves_in_practice_is_refused() -> None:
    assert images_needed(1e-9) == 2_995_732_273
    assert images_needed(1e-9, left_out=True) == 999_999_999
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
            Threshold(2.5, 0.01, 0.95, 40, "exponential-tail", False, 0.0722),
            "NOT PROVEN: 1 % (1 in 100) of good parts rejected is the aim, by an exponential tail model of 40 good "
            "images; so many prove no less than 7.22 % (1 in 14) (95 % confidence). To prove the aim, hold out 299 for "
            "the threshold.",
        ),
        (
            Threshold(2.5, 0.01, 0.95, 40, "left-out-exponential-tail", False, 1 / 41),
            "NOT PROVEN: 1 % (1 in 100) of good parts rejected is the aim, by an exponential tail model of 40 good "
            "images, each scored by a detector without it; so many prove no less than 2.44 % (1 in 41) on average over "
            "such sets of images. To prove the aim, train on 198 different images, of which half are left out in "
            "turn.",
        ),
        (
            Threshold(2.5, 0.01, 0.95, 120, "jackknife-minmax", True, 1 / 121),
            "120 good images, each scored by a detector without it, show that on average over such sets of images at "
            "most 1 % (1 in 100) of good parts like theirs are rejected. They do not show what the rate is for this "
            "very set.",
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


@pytest.mark.parametrize("method", ["jackknife-minmax", "left-out-exponential-tail"])
def test_a_proof_of_an_average_says_nothing_of_confidence(method: str) -> None:
    supported = method == "jackknife-minmax"
    threshold = Threshold(2.5, 0.01 if supported else 0.001, 0.95, 200, method, supported, 1 / 201)
    assert "confidence" not in explain(threshold)
    assert "on average" in explain(threshold)
    assert explain(threshold) == explain(replace(threshold, confidence=0.5))


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=lambda threshold: threshold.method)
def test_every_method_survives_the_trip_through_a_recipe(threshold: Threshold) -> None:
    recipe = replace(make_recipe(), threshold=threshold)
    again = recipe_from_metadata(recipe.metadata)
    assert (again.threshold, again.sha256) == (threshold, recipe.sha256)
    assert sorted(again.document["threshold"]) == FIELDS  # type: ignore[call-overload]
    assert again.with_threshold(3.0).threshold.method == "manual"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"supported": False}, "supported is False of a budget of 0.01 by the method jackknife-minmax"),
        ({"method": "order-statistic"}, "expected 0.0246554"),  # 120 held out prove 2.5 %, not 0.8 %
        ({"budget": 0.005}, "of images that can prove the budget"),
        ({"supported_budget": 0.0247}, "expected 0.00826"),
        ({"method": "left-out-exponential-tail"}, "true for order-statistic or jackknife-minmax alone"),
    ],
)
def test_a_proof_that_the_images_do_not_give_is_refused(changes: dict[str, Any], message: str) -> None:
    proven = Threshold(2.5, 0.01, 0.95, 120, "jackknife-minmax", True, 1 / 121)
    with pytest.raises(InputError, match=message):
        replace(proven, **changes)
