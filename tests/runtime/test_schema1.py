"""Files of schema 1: they open, say the same of themselves, keep their hash, and stay of schema 1 when changed."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from schema1_samples import DEMO_AT_3_25_SHA256, DEMO_SHA256, PLAIN, PLAIN_SHA256, RICH, RICH_SHA256

from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.errors import DetectorError
from runtime.info import facts_of
from runtime.onnx_file import COPY_AGAIN, read_constants, read_metadata, with_metadata
from runtime.recipe import CONSTANTS, Evidence, recipe_from_json, recipe_from_metadata
from runtime.scoring import Scoring
from runtime.set_threshold import set_threshold

SAMPLE = Path(__file__).parent / "samples" / "schema1.onnx"  # the demo detector of before schema 2


@pytest.mark.parametrize(("text", "sha256"), [(RICH, RICH_SHA256), (PLAIN, PLAIN_SHA256)], ids=["rich", "plain"])
def test_a_recipe_keeps_its_text_and_its_hash_bit_for_bit(text: str, sha256: str) -> None:
    recipe = recipe_from_json(text)
    assert (recipe.to_json(), recipe.sha256, recipe.schema) == (text, sha256, 1)
    assert hashlib.sha256(text.encode()).hexdigest() == sha256
    assert recipe_from_metadata({"recipe": text}) == recipe  # the first files had no hash beside it


def test_its_fields_are_found_where_schema_2_has_them() -> None:
    recipe = recipe_from_json(RICH)
    assert recipe.scoring == Scoring((2, 3, 40, 50), 2.5, True, 7)
    assert recipe.method.evidence == (
        Evidence("regression error, p = 33", 0.5, 1.25, 0.1),
        Evidence("predictive variance, p = 33", 0.5, 0.7, 1 / 3),
        Evidence("regression error, p = 65", 0.5, 2.0, 0.5),
        Evidence("predictive variance, p = 65", 0.5, 0.25, 0.0625),
    )
    assert recipe.method.name == "students"
    assert recipe.method.settings == {
        "patch_sizes": [33, 65],
        "teachers_sha256": ["a" * 64, "b" * 64],
        "students": 3,
        "output_stride": 4,
        "relative": True,
        "form": "atrous",
    }


def test_a_lone_student_has_its_error_alone() -> None:
    recipe = recipe_from_json(PLAIN)
    assert recipe.method.evidence == (Evidence("regression error, p = 17", 1.0, 1.0, 0.5),)
    assert recipe.scoring == Scoring(score_pixels=7)


def test_its_outputs_are_the_ones_its_graph_has() -> None:
    names = {"anomaly_map": (48, 56), "anomaly_score": (), "deviation_map": (48, 56)}
    terms = {"regression_error": (2, 48, 56), "predictive_variance": (2, 48, 56)}
    recipe = recipe_from_json(RICH)
    assert recipe.outputs == names | terms
    assert replace(recipe, explain=False).outputs == names
    lone = {"anomaly_map": (48, 56), "anomaly_score": (), "regression_error": (1, 48, 56)}
    assert recipe_from_json(PLAIN).outputs == lone


def test_people_are_told_what_they_were_told() -> None:
    facts = facts_of(recipe_from_json(RICH))
    assert facts["Looks at"] == (
        "patches of 33×33, 65×65 pixels, one every 4 pixels, with 3 students for each size, "
        "errors in relation to the descriptor's size"
    )
    assert facts["Score"].startswith("the mean of the 7 highest values of the anomaly map, smoothed with σ = 2.5 pixel")
    assert facts["Precision"].startswith("int8, atrous form, largest activation 12.5")


def test_a_detector_of_schema_1_has_the_hash_it_had_and_keeps_its_schema_with_another_threshold(tmp_path: Path) -> None:
    path = Path(shutil.copy(SAMPLE, tmp_path / "detector.onnx"))
    model, recipe = read_detector(path)
    assert (recipe.schema, recipe.sha256) == (1, DEMO_SHA256)
    assert recipe.to_json() == read_metadata(model)["recipe"]
    set_threshold(path, 3.25)
    changed, again = read_detector(path)
    assert again == recipe.with_threshold(3.25)
    assert (again.schema, again.sha256) == (1, DEMO_AT_3_25_SHA256)
    assert read_metadata(changed)["recipe_sha256"] == DEMO_AT_3_25_SHA256
    assert with_metadata(changed, {}) == with_metadata(model, {})


def test_a_detector_of_schema_1_scores_what_its_graph_gives_bit_for_bit() -> None:
    with np.load(SAMPLE.with_suffix(".golden.npz")) as kept:
        frame, prepared = kept["frame"], kept["prepared"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(SAMPLE, options, providers=["CPUExecutionProvider"])
    with Detector.open(SAMPLE, threads=1) as detector:
        assert set(detector.recipe.outputs) == {output.name for output in session.get_outputs()}
        verdict = detector.inspect(frame)
        found = detector.engine.result(detector.engine.submit(prepared[None]))
    expected = session.run(["anomaly_map", "anomaly_score"], {"frames": prepared[None]})
    np.testing.assert_array_equal(found.anomaly_map, expected[0])
    np.testing.assert_array_equal(found.anomaly_score, expected[1])
    assert verdict.recipe_sha256 == DEMO_SHA256


def test_a_graph_of_schema_1_has_no_constants_to_be_recalibrated() -> None:
    assert read_constants(SAMPLE.read_bytes(), CONSTANTS) == {}


def changed(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: document | fields


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: {key: value for key, value in document.items() if key != name}


def with_scale(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: document | {"scales": [document["scales"][0] | fields]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(colour="red"), "unknown option colour; known are size_hw"),
        (changed(scoring={}), "unknown option scoring; it is of a later schema"),
        (changed(method={}, scoring={}), "unknown option method, scoring; it is of a later schema"),
        (without("students"), "students is missing"),
        (without("scales"), "scales is missing"),
        (without("score_pixels"), "score_pixels is missing"),
        (without("threshold"), "threshold is missing"),
        (changed(students="many"), "students is 'many'; expected INTEGER"),
        (changed(form="dense"), "form is dense; expected one of bailer, atrous"),
        (changed(scales=3), r"scales is 3; expected "),
        (with_scale(error_std="wide"), "error_std is 'wide'; expected NUMBER"),
        (with_scale(colour=1), "unknown option colour; known are patch_size"),
        (changed(smoothing=60), "smoothing is 60; expected 0 to 15 for frames of 48×56"),
        (changed(score_pixels=0), "score_pixels is 0; expected 1 to 2000"),
        (changed(region_of_interest=[40, 3, 40, 50]), "lies outside 48×56 pixels"),
    ],
)
def test_what_no_such_document_holds_is_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    with pytest.raises(DetectorError, match=message) as caught:
        recipe_from_json(json.dumps(change(json.loads(RICH))))
    assert str(caught.value).startswith("the recipe is damaged (")
    assert str(caught.value).endswith(f"); {COPY_AGAIN}")
