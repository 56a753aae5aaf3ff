"""The recipe: the same after a trip through JSON, and refused when it is not one."""

import json
from dataclasses import replace

import numpy as np
import pytest
from runtime_samples import make_recipe, recipe_with_image_evidence

from runtime.errors import DetectorError, InputError
from runtime.recipe import Evidence, constants_of, recipe_from_json, recipe_from_metadata
from runtime.scoring import Scoring


def test_a_recipe_is_the_same_after_a_trip_through_json() -> None:
    recipe = make_recipe()
    again = recipe_from_json(recipe.to_json())
    assert again == recipe
    assert again.sha256 == recipe.sha256
    assert json.loads(recipe.to_json())["schema"] == 2


def test_every_setting_of_the_score_survives_the_trip() -> None:
    recipe = replace(make_recipe(), scoring=Scoring((1, 2, 3, 4), 1.5, True, 7))
    assert recipe_from_json(recipe.to_json()) == recipe


def test_a_methods_settings_come_back_as_they_were_whatever_they_are() -> None:
    settings: dict[str, object] = {"a": 1, "b": 0.5, "c": "text", "d": [1, 2], "e": None, "f": True}
    recipe = replace(make_recipe(), method=replace(make_recipe().method, settings=settings))
    again = recipe_from_json(recipe.to_json())
    assert again.method.settings == settings
    assert again.sha256 == recipe.sha256


def test_the_hash_changes_with_any_field() -> None:
    recipe = make_recipe()
    method = replace(recipe.method, settings={**recipe.method.settings, "output_stride": 8})
    for changed in (replace(recipe, method=method), replace(recipe, scoring=Scoring(smoothing=1.0))):
        assert changed.sha256 != recipe.sha256


def test_a_recipe_without_its_hash_or_beside_another_is_refused() -> None:
    metadata = make_recipe().metadata
    assert recipe_from_metadata(metadata) == make_recipe()
    with pytest.raises(DetectorError, match=r"the hash beside its recipe \(recipe_sha256\) is missing; copy"):
        recipe_from_metadata({"recipe": metadata["recipe"]})
    with pytest.raises(DetectorError, match=r"its recipe is not the one that was written into it"):
        recipe_from_metadata({**metadata, "recipe_sha256": "0" * 64})


def test_the_outputs_are_those_that_its_settings_ask_for() -> None:
    recipe, map_shape = make_recipe(), (16, 24)
    assert recipe.outputs == {"anomaly_map": map_shape, "anomaly_score": ()}
    changed = replace(recipe, scoring=Scoring(by_position=True), explain=True)
    assert list(changed.outputs) == ["anomaly_map", "anomaly_score", "deviation_map", "evidence"]
    assert changed.outputs["deviation_map"] == map_shape
    assert changed.outputs["evidence"] == (4, *map_shape)


def test_scale_and_shift_are_equations_11_and_12() -> None:
    kinds, values = (Evidence("a", 0.5, 3.0, 2.0), Evidence("b", 0.25, -1.0, 0.125)), np.array([7.0, 5.0])
    found = constants_of(kinds)
    assert {name: (array.dtype, array.shape) for name, array in found.items()} == {
        "scale": (np.float32, (2, 1, 1)),
        "shift": (np.float32, (2, 1, 1)),
    }
    expected = 0.5 * (7 - 3) / 2 + 0.25 * (5 + 1) / 0.125
    assert float((values * found["scale"].ravel() + found["shift"].ravel()).sum()) == expected


def test_evidence_of_the_whole_frame_survives_the_trip_and_is_an_output() -> None:
    recipe = recipe_with_image_evidence()
    again = recipe_from_json(recipe.to_json())
    assert again == recipe
    assert (again.sha256, again.method.image_evidence[0].deviation) == (recipe.sha256, 0.5)
    assert recipe.sha256 != replace(make_recipe(), scoring=recipe.scoring).sha256
    assert recipe.outputs == {
        "anomaly_map": (16, 24),
        "anomaly_score": (),
        "deviation_map": (16, 24),
        "evidence_scores": (2,),
    }


def test_without_evidence_of_the_whole_frame_a_recipe_says_nothing_of_it() -> None:
    document = json.loads(make_recipe().to_json())
    assert "image_evidence" not in document["method"]
    document["method"]["image_evidence"] = []  # as a reader of today's fields may write it: the same recipe
    assert recipe_from_json(json.dumps(document)).sha256 == make_recipe().sha256


def test_limits_that_came_later_survive_the_trip_and_are_left_out_where_they_are_not_set() -> None:
    recipe = make_recipe()
    assert set(json.loads(recipe.to_json())["health"]) == {
        "brightness_low", "brightness_high", "saturated_high", "aspect_low", "aspect_high",
    }  # fmt: skip
    typical = tuple(float(value) for value in range(192))
    limits = replace(recipe.health, sharpness_low=(0.0, 0.25), likeness_low=0.6, typical=typical)
    changed = replace(recipe, health=limits)
    again = recipe_from_json(changed.to_json())
    assert (again, again.sha256) == (changed, changed.sha256)
    assert changed.sha256 != recipe.sha256
    unset = replace(recipe, health=replace(limits, sharpness_low=(0.0, 0.0), likeness_low=0.0, typical=()))
    assert unset.sha256 == recipe.sha256


def test_a_sharpness_is_of_frames_that_have_two_scales() -> None:
    recipe = make_recipe()
    sharp = replace(recipe.health, sharpness_low=(0.1, 0.0))
    with pytest.raises(InputError, match=r"there is a sharpness_low for frames of 15,24; expected none below 16"):
        replace(recipe, size_hw=(15, 24), health=sharp)


def test_evidence_of_the_whole_frame_is_of_scores_by_position() -> None:
    with pytest.raises(InputError, match="there is image evidence and scores are not by_position; expected both or n"):
        replace(recipe_with_image_evidence(), scoring=Scoring())


@pytest.mark.parametrize("name", ["map", "regression error, p = 17"])
def test_no_evidence_has_anothers_name(name: str) -> None:
    method = recipe_with_image_evidence().method
    with pytest.raises(InputError, match="expected one kind or more, each of its own name"):
        replace(method, image_evidence=(replace(method.image_evidence[0], name=name),))


def test_a_threshold_set_by_hand_is_marked_so() -> None:
    threshold = make_recipe().with_threshold(0.75).threshold
    assert (threshold.value, threshold.method, threshold.supported) == (0.75, "manual", False)
    assert threshold.sample_size == make_recipe().threshold.sample_size


def changed(**fields: object) -> str:
    return json.dumps(json.loads(make_recipe().to_json()) | fields)


def within(block: str, **fields: object) -> str:
    return changed(**{block: json.loads(make_recipe().to_json())[block] | fields})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the recipe is damaged; copy the file again; if"),
        ("[]", "the recipe is damaged; copy the file again; if"),
        ("{}", "the recipe is damaged; copy the file again; if"),
        (
            changed(schema=99),
            "the recipe has schema 99, this version reads schemas 1 and 2; "
            "export the detector again or install the version that made it",
        ),
        (changed(schema=None), "the recipe has schema None, this version reads schemas 1 and 2; "),
        (changed(colour="red"), "the recipe is of a later version or damaged (unknown option colour; "),
        (changed(students=3), "the recipe is of a later version or damaged (unknown option students; "),
        (
            within("scoring", blur=1),
            "the recipe is of a later version or damaged (unknown option blur; known are region_of_interest, ",
        ),
        (changed(scoring=4), "the recipe is damaged (scoring is 4; expected "),
        (changed(method=None), "the recipe is damaged (method is None; expected "),
        (within("method", evidence=[{"name": "a"}]), "the recipe is damaged (weight, mean, deviation is missing"),
        (within("method", name=7), "the recipe is damaged (name is 7; expected TEXT"),
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
            within("scoring", region_of_interest=[500, 500, 10, 10]),
            "the recipe is damaged (region_of_interest (500, 500, 10, 10) lies outside 16×24 pixels)",
        ),
        (within("scoring", smoothing=6), "the recipe is damaged (smoothing is 6; expected 0 to 5 for frames of 16×24"),
        (within("scoring", score_pixels=0), "the recipe is damaged (score_pixels is 0; expected 1 to 384"),
        (changed(score_quantiles={"half": 1}), "the recipe is damaged (score_quantiles has 'half'; expected prob"),
        (within("threshold", budget=0), "the recipe is damaged (the false-reject budget is 0.0; it is a fraction"),
        (within("threshold", budget=1e-24), "the recipe is damaged (the false-reject budget is 1e-24; give 1e-09 or"),
        (within("threshold", confidence=1), "the recipe is damaged (the confidence is 1.0; it is a fraction"),
        (within("threshold", supported_budget=0), "the recipe is damaged (supported_budget is 0; expected a share"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, message: str) -> None:
    with pytest.raises(DetectorError) as caught:
        recipe_from_json(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
