"""A plan's sidecar carries the recipe of its detector as the detector's file does, of either schema."""

import json
from dataclasses import replace

import pytest
from runtime_samples import make_recipe
from schema1_samples import PLAIN, RICH, RICH_SHA256
from tensorrt_samples import make_sidecar

from runtime.errors import DetectorError
from runtime.recipe import Recipe, recipe_from_json
from runtime.signing import signature
from runtime.tensorrt.sidecar import RECIPE_HASH, SIGNATURE, Sidecar, sidecar_from_json

KEY = b"k" * 16
# what sidecars of schema 1 hold although the detector's file leaves it out at its default
ALWAYS = {"relative": False, "smoothing": 0.0, "by_position": False, "quantization": None}


def sidecar_of(recipe: Recipe) -> Sidecar:
    return replace(make_sidecar(b"plan"), recipe=recipe)


@pytest.mark.parametrize("recipe", [make_recipe(), recipe_from_json(RICH), recipe_from_json(PLAIN)])
@pytest.mark.parametrize("key", [None, KEY])
def test_it_comes_back_from_its_file_signed_or_not(recipe: Recipe, key: bytes | None) -> None:
    sidecar = sidecar_of(recipe)
    again = sidecar_from_json(sidecar.to_json(key), key)
    assert again == sidecar
    assert again.recipe.sha256 == recipe.sha256


@pytest.mark.parametrize("text", [RICH, PLAIN])
def test_one_that_the_last_version_wrote_is_read_with_its_signature(text: str) -> None:
    document = json.loads(sidecar_of(make_recipe()).to_json()) | {"recipe": ALWAYS | json.loads(text)}
    del document[RECIPE_HASH]  # it had none
    signed = json.dumps(document | {SIGNATURE: signature(document, KEY)})
    found = sidecar_from_json(signed, KEY)
    assert found.recipe == recipe_from_json(text)
    assert found.recipe.to_json() == text
    assert (found.recipe.sha256 == RICH_SHA256) == (text == RICH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 3}, r"it has schema 1 \(recipe 3\), this version reads 1 \(recipe 1 or 2\); build the plan anew"),
        ({"schema": 1}, r"it is damaged \(students, scales, .* is missing\); build the plan anew"),
        ({"scoring": None}, r"it is damaged \(scoring is None; expected"),
    ],
)
def test_a_recipe_that_is_none_is_refused(changes: dict[str, object], message: str) -> None:
    document = json.loads(sidecar_of(make_recipe()).to_json())
    with pytest.raises(DetectorError, match=message):
        sidecar_from_json(json.dumps(document | {"recipe": document["recipe"] | changes}))


@pytest.mark.parametrize(
    "changes",
    [{"schema": "7" * 10_000}, {"machine": "m" * 10_000}, {"recipe": {"schema": 2, "x" * 10_000: 1}}],
    ids=["schema", "machine", "recipe"],
)
def test_what_is_refused_is_said_in_one_short_sentence(changes: dict[str, object]) -> None:
    document = json.loads(sidecar_of(make_recipe()).to_json())
    with pytest.raises(DetectorError) as caught:
        sidecar_from_json(json.dumps(document | changes))
    assert len(str(caught.value)) < 600
