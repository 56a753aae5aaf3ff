"""The recipe: the same after a trip through JSON, and refused when it is not one."""

import json
from dataclasses import replace

import pytest
from runtime_samples import make_recipe

from runtime.errors import DetectorError
from runtime.recipe import recipe_from_json


def test_a_recipe_is_the_same_after_a_trip_through_json() -> None:
    recipe = make_recipe()
    again = recipe_from_json(recipe.to_json())
    assert again == recipe
    assert again.sha256 == recipe.sha256


def test_a_region_of_interest_survives_the_trip() -> None:
    recipe = replace(make_recipe(), region_of_interest=(1, 2, 3, 4))
    assert recipe_from_json(recipe.to_json()) == recipe


def test_the_hash_changes_with_any_field() -> None:
    assert replace(make_recipe(), output_stride=8).sha256 != make_recipe().sha256


def test_a_threshold_set_by_hand_is_marked_so() -> None:
    threshold = make_recipe().with_threshold(0.75).threshold
    assert (threshold.value, threshold.method, threshold.supported) == (0.75, "manual", False)
    assert threshold.sample_size == make_recipe().threshold.sample_size


def changed(**fields: object) -> str:
    return json.dumps(json.loads(make_recipe().to_json()) | fields)


def with_threshold(**fields: object) -> str:
    return changed(threshold=json.loads(make_recipe().to_json())["threshold"] | fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the recipe is damaged; copy the file again; if"),
        ("[]", "the recipe is damaged; copy the file again; if"),
        ("{}", "the recipe is damaged; copy the file again; if"),
        (
            changed(schema=99),
            "the recipe has schema 99, this version reads schema 1; "
            "export the detector again or install the version that made it",
        ),
        (changed(colour="red"), "the recipe is damaged (unknown option colour; "),
        (changed(precision="int3"), "the recipe is damaged (precision is int3; expected one of fp32, fp16, int8)"),
        (changed(threshold={"value": 1}), "the recipe is damaged (budget, confidence, "),
        (
            changed(largest_activation=float("nan")),
            "the recipe is damaged (largest_activation is nan; expected NUMBER)",
        ),
        ("[" * 100_000, "the recipe is damaged; copy the file again; if"),
        (changed(size_hw=[0, 0]), "the recipe is damaged (size_hw is 0,0; expected 1 pixel or more each way)"),
        (changed(size_hw=[-5, 5]), "the recipe is damaged (size_hw is -5,5; expected 1 pixel or more each way)"),
        (
            changed(region_of_interest=[500, 500, 10, 10]),
            "the recipe is damaged (region_of_interest (500, 500, 10, 10) lies outside 16×24 pixels)",
        ),
        (changed(score_quantiles={"half": 1}), "the recipe is damaged (score_quantiles has 'half'; expected prob"),
        (with_threshold(budget=0), "the recipe is damaged (the false-reject budget is 0.0; it is a fraction"),
        (with_threshold(budget=1e-24), "the recipe is damaged (the false-reject budget is 1e-24; give 1e-09 or more"),
        (with_threshold(confidence=1), "the recipe is damaged (the confidence is 1.0; it is a fraction"),
        (with_threshold(supported_budget=0), "the recipe is damaged (supported_budget is 0; expected a share above 0"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, message: str) -> None:
    with pytest.raises(DetectorError) as caught:
        recipe_from_json(text)
    assert str(caught.value).startswith(message)
