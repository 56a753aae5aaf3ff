"""A recipe that was changed, by accident or by hand, is refused with one sentence, or promises nothing."""

import json
import random
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from runtime_samples import make_recipe, recipe_with_image_evidence, tiny_model, write_detector
from schema1_samples import RICH

from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.errors import DetectorError, ProctorError
from runtime.onnx_file import graph_sha256, read_metadata, with_metadata
from runtime.recipe import Recipe, recipe_from_json, recipe_from_metadata
from runtime.threshold import explain

SEED = 15
MAY_BE_MISSING = ("relative", "smoothing", "by_position", "quantization")  # of the first files, or of all but INT8
FLIPS = 60

SHARED: list[tuple[str, Any]] = [
    ("size_hw", [16, -24]), ("size_hw", [0, 24]), ("size_hw", [16, 2**31]), ("size_hw", [16]), ("size_hw", "16x24"),
    ("interpolation", "cubic"), ("aspect", "crop"),
    ("score_quantiles", {"1.5": 1}), ("score_quantiles", {"0.5": 2, "0.9": 1}), ("score_quantiles", {"0.5": None}),
    ("score_quantiles", {"0.5": 1, "0.50": 1}), ("score_quantiles", {"nan": 1}), ("score_quantiles", [1]),
    ("threshold.value", float("nan")), ("threshold.value", float("inf")), ("threshold.value", None),
    ("threshold.budget", 0), ("threshold.budget", 1), ("threshold.budget", -0.1), ("threshold.confidence", 1),
    ("threshold.sample_size", 0), ("threshold.sample_size", -80), ("threshold.sample_size", 1),
    ("threshold.sample_size", 301.5), ("threshold.sample_size", 900), ("threshold.method", "guess"),
    ("threshold.supported", "maybe"), ("threshold.supported_budget", 0), ("threshold.supported_budget", 1e-4),
    ("threshold.supported_budget", 2), ("threshold.vouched", True), ("threshold.vouched", False),
    ("threshold", None), ("threshold", []),
    ("health.brightness_low", 240), ("health.brightness_low", -1), ("health.brightness_high", 10),
    ("health.brightness_high", 256), ("health.brightness_high", float("nan")), ("health.saturated_high", 1.1),
    ("health.saturated_high", -0.1), ("health.aspect_low", 0),
    ("health.aspect_low", 3), ("health.aspect_high", 0.5), ("health.height_low", -1),
    ("health.sharpness_low", [-0.1, 0]), ("health.sharpness_low", [0.1]), ("health.sharpness_low", [float("nan"), 0]),
    ("health.sharpness_low", 0.5), ("health.likeness_low", 1.1), ("health.likeness_low", -0.1),
    ("health.likeness_low", 0.5), ("health.typical", [1.0] * 192), ("health.typical", [300]),
    ("health.aspect_high", float("inf")), ("precision", "fp64"), ("explain", 2), ("largest_activation", -1),
    ("largest_activation", float("inf")), ("parity_sha256", ""), ("graph_sha256", "z" * 64),
    ("provenance.images", {"training": -1}), ("provenance.images", {"training": 1.5}),
    ("provenance.images_sha256", "e" * 63), ("provenance.commit", 5), ("provenance.versions", {"torch": 2}),
    ("quantization", {}), ("quantization", {"margin": 1}), ("schema", 0), ("schema", "1"), ("schema", True),
    ("schema", None), ("colour", "red"),
]  # fmt: skip
OF_SCHEMA_2: list[tuple[str, Any]] = [
    ("scoring.region_of_interest", [0, 0, 17, 24]), ("scoring.region_of_interest", [0, 0, 0, 24]),
    ("scoring.region_of_interest", [-1, 0, 4, 4]), ("scoring.score_pixels", 0), ("scoring.score_pixels", -1),
    ("scoring.score_pixels", 16 * 24 + 1), ("scoring.score_pixels", 1.5), ("scoring.smoothing", -1),
    ("scoring.smoothing", float("nan")), ("scoring.smoothing", 6), ("scoring.by_position", 3), ("scoring", None),
    ("scoring.smallest_area", -1), ("scoring.smallest_area", float("nan")), ("scoring.smallest_area", None),
    ("scoring.mm_per_pixel", 0), ("scoring.mm_per_pixel", -0.1), ("scoring.mm_per_pixel", "wide"),
    ("scoring.colour", 1), ("method", None), ("method.name", 3), ("method.evidence", []), ("method.settings", 3),
    ("method.evidence.0.deviation", 0), ("method.evidence.0.deviation", -1), ("method.evidence.0.mean", float("inf")),
    ("method.evidence.0.deviation", float("nan")), ("method.evidence.0.weight", 0), ("method.evidence.0.name", None),
    ("precision", "int8"), ("threshold.supported", True), ("threshold.method", "order-statistic"),
]  # fmt: skip
OF_SCHEMA_1: list[tuple[str, Any]] = [
    ("region_of_interest", [0, 0, 49, 56]), ("region_of_interest", [0, 0, 0, 24]),
    ("region_of_interest", [-1, 0, 4, 4]),
    ("students", 0), ("students", -1), ("students", 1), ("students", 2.5), ("students", True), ("scales", []),
    ("scales.0.patch_size", 0), ("scales.0.patch_size", 65), ("scales.0.error_std", 0), ("scales.0.error_std", -1),
    ("scales.0.error_std", float("nan")), ("scales.0.error_mean", float("inf")), ("scales.0.error_mean", -1),
    ("scales.0.variance_std", 0), ("scales.0.variance_std", None), ("scales.0.variance_mean", None),
    ("scales.0.teacher_sha256", "abc"), ("scales.0.teacher_sha256", "A" * 64), ("output_stride", 0),
    ("output_stride", -4), ("score_pixels", 0), ("score_pixels", -1), ("score_pixels", 48 * 56 + 1),
    ("score_pixels", 1.5), ("relative", "perhaps"), ("smoothing", -1), ("smoothing", float("nan")), ("smoothing", 17),
    ("smallest_area", -1), ("smallest_area", float("nan")), ("mm_per_pixel", 0), ("mm_per_pixel", "wide"),
    ("by_position", 3), ("form", "dense"), ("precision", "fp32"), ("threshold.supported", False), ("scoring", {}),
    ("method", {}),
]  # fmt: skip
OF_THE_WHOLE_FRAME: list[tuple[str, Any]] = [
    ("scoring.by_position", False), ("method.image_evidence", None), ("method.image_evidence", {}),
    ("method.image_evidence", [{}]), ("method.image_evidence.0.name", "map"), ("method.image_evidence.0.name", 3),
    ("method.image_evidence.0.looks_at", None), ("method.image_evidence.0.mean", float("inf")),
    ("method.image_evidence.0.mean", None), ("method.image_evidence.0.deviation", 0),
    ("method.image_evidence.0.deviation", -1), ("method.image_evidence.0.deviation", float("nan")),
    ("method.image_evidence.0.weight", 1.0),
]  # fmt: skip
DOCUMENTS = {1: RICH, 2: make_recipe().to_json()}
OUT_OF_BOUNDS = [
    *((schema, *each) for schema in DOCUMENTS for each in SHARED),
    *((2, *each) for each in OF_SCHEMA_2),
    *((1, *each) for each in OF_SCHEMA_1),
]


@pytest.mark.parametrize(("field", "value"), OF_THE_WHOLE_FRAME)
def test_image_evidence_out_of_its_bounds_is_refused(field: str, value: Any) -> None:
    whole = recipe_with_image_evidence().to_json()
    recipe_from_metadata(hashed(whole))
    with pytest.raises(DetectorError) as caught:
        recipe_from_metadata(hashed(with_field(field, value, text=whole)))
    assert is_one_sentence(caught.value), caught.value


def document(schema: int = 2) -> dict[str, Any]:
    return dict(json.loads(DOCUMENTS[schema]))


def with_field(path: str, value: Any, schema: int = 2, text: str | None = None) -> str:
    whole = document(schema) if text is None else json.loads(text)
    inner: Any = whole
    *steps, last = path.split(".")
    for step in steps:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    inner[last] = value
    return json.dumps(whole)


def hashed(text: str) -> dict[str, str]:
    return {"recipe": text, "recipe_sha256": sha256(text.encode()).hexdigest()}


def outcome(metadata: dict[str, str]) -> tuple[Recipe | None, DetectorError | None]:
    try:
        return recipe_from_metadata(metadata), None
    except DetectorError as error:
        return None, error


def is_one_sentence(error: Exception) -> bool:
    return "\n" not in str(error) and str(error).isprintable() and 20 < len(str(error)) < 600


@pytest.mark.parametrize(("schema", "field", "value"), OUT_OF_BOUNDS, ids=[f"{n}-{f}={v}" for n, f, v in OUT_OF_BOUNDS])
def test_a_value_out_of_its_bounds_is_refused_though_its_hash_is_right(schema: int, field: str, value: Any) -> None:
    recipe_from_metadata(hashed(DOCUMENTS[schema]))
    with pytest.raises(DetectorError) as caught:
        recipe_from_metadata(hashed(with_field(field, value, schema)))
    assert is_one_sentence(caught.value), caught.value


@pytest.mark.parametrize(
    ("schema", "field"),
    [(n, name) for n in DOCUMENTS for name in sorted(document(n)) if name not in MAY_BE_MISSING],
)
def test_a_missing_field_is_refused(schema: int, field: str) -> None:
    text = json.dumps({name: value for name, value in document(schema).items() if name != field})
    with pytest.raises(DetectorError) as caught:
        recipe_from_metadata(hashed(text))
    assert is_one_sentence(caught.value)


def test_any_change_is_noticed_by_the_hash() -> None:
    text, draw = make_recipe().to_json(), random.Random(SEED)
    for _ in range(FLIPS):
        at = draw.randrange(len(text))
        changed = text[:at] + draw.choice('0123456789abc{}",. \x1b\n\0') + text[at + 1 :]
        if changed != text:
            with pytest.raises(DetectorError, match=r"recipe_sha256.*copy the file again; if the original is damaged"):
                recipe_from_metadata(hashed(text) | {"recipe": changed})


def test_of_a_file_from_before_the_hash_a_change_is_refused_or_promises_nothing() -> None:
    text, draw = RICH, random.Random(SEED)
    for _ in range(FLIPS):
        at = draw.randrange(len(text))
        changed = text[:at] + draw.choice('0123456789abc{}",. \x1b\n\0') + text[at + 1 :]
        read, refused = outcome({"recipe": changed})
        assert (read is None) != (refused is None)
        assert refused is None or is_one_sentence(refused), refused
        if read is not None:
            assert not read.threshold.vouched
            assert explain(read.threshold).startswith("NOT VOUCHED FOR: the file has no recipe_sha256")


@pytest.mark.parametrize("length", [0, 1, 32, 63])
def test_a_hash_that_was_cut_is_refused(length: int) -> None:
    metadata = make_recipe().metadata
    with pytest.raises(DetectorError, match="recipe_sha256"):
        recipe_from_metadata(metadata | {"recipe_sha256": metadata["recipe_sha256"][:length]})


def test_a_name_that_is_there_twice_in_the_document_is_refused() -> None:
    text = make_recipe().to_json()
    twice = text.replace('"value": 0.5', '"value": 0.5, "value": 9.5')
    assert twice != text
    with pytest.raises(DetectorError, match="the recipe is damaged \\(value is there twice\\)"):
        recipe_from_metadata(hashed(twice))


@pytest.mark.parametrize("key", ["recipe", "recipe_sha256", "author"])
def test_two_entries_of_one_name_are_refused(tmp_path: Path, key: str) -> None:
    pytest.importorskip("onnx")
    path = write_detector(tmp_path / "detector.onnx")
    other = {key: hashed(with_field("threshold.value", 9.5)).get(key, "another")}
    path.write_bytes(path.read_bytes() + with_metadata(b"", other))
    with pytest.raises(DetectorError, match=rf"detector\.onnx: its metadata has two entries '{key}'; copy the file"):
        read_detector(path)


def test_a_recipe_that_means_the_same_is_read() -> None:
    text = json.dumps(document(), indent=3)
    assert recipe_from_metadata(hashed(text)) == recipe_from_json(text) == make_recipe()


def test_a_threshold_without_its_hash_is_not_vouched_for_until_it_is_set(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from runtime.info import describe
    from runtime.set_threshold import set_threshold
    from runtime.summary import Summary

    path, model = tmp_path / "detector.onnx", tiny_model()
    text = with_field("graph_sha256", graph_sha256(model), 1)
    path.write_bytes(with_metadata(model, {"recipe": text}))
    recipe = read_detector(path)[1]
    assert replace(recipe, threshold=replace(recipe.threshold, vouched=True)) == recipe_from_json(text)
    said = [*describe(recipe), *Summary(recipe.threshold).lines(), explain(recipe.threshold)]
    assert sum("NOT VOUCHED FOR" in line for line in said) == 3
    assert not any("300 good images" in line for line in said if "hreshold" in line)
    proven = recipe.threshold
    assert Summary(proven).as_dict()["threshold"]["proven"] is False
    assert Summary(replace(proven, vouched=True)).as_dict()["threshold"]["proven"] is True
    assert set_threshold(path, 0.75) == 5.0
    threshold = read_detector(path)[1].threshold
    assert (threshold.value, threshold.method, threshold.vouched) == (0.75, "manual", True)
    assert "recipe_sha256" in read_metadata(path.read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        lambda recipe: replace(recipe, scoring=replace(recipe.scoring, by_position=True)),
        lambda recipe: replace(recipe, explain=True),
    ],
    ids=["by_position", "explain"],
)
def test_a_recipe_of_other_outputs_than_the_graphs_is_refused(
    tmp_path: Path, change: Callable[[Recipe], Recipe]
) -> None:
    pytest.importorskip("onnx")
    model = tiny_model()
    recipe = change(replace(make_recipe(), graph_sha256=graph_sha256(model)))
    (tmp_path / "detector.onnx").write_bytes(with_metadata(model, recipe.metadata))
    with pytest.raises(
        DetectorError,
        match=r"outputs anomaly_map float32 \[N, 16, 24\], anomaly_score float32 \[N\], its recipe says an",
    ):
        Detector.open(tmp_path / "detector.onnx")


def test_a_graph_with_a_map_that_its_recipe_does_not_know_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    proto = onnx.load_from_string(tiny_model())
    proto.graph.node.append(onnx.helper.make_node("Identity", ["anomaly_map"], ["deviation_map"]))
    output = onnx.helper.make_tensor_value_info("deviation_map", onnx.TensorProto.FLOAT, ["N", 16, 24])
    proto.graph.output.append(output)
    model = proto.SerializeToString()
    recipe = replace(make_recipe(), graph_sha256=graph_sha256(model))
    (tmp_path / "detector.onnx").write_bytes(with_metadata(model, recipe.metadata))
    with pytest.raises(ProctorError, match=r"deviation_map float32 \[N, 16, 24\], its recipe says anomaly_map float32"):
        Detector.open(tmp_path / "detector.onnx")


HUGE, SIDE = 10**400, 65_535
BOX = {"picture_hw": [9, 9], "regions": [{"name": "a", "polygons": [[[0, 0], [9, 0], [9, 9], [0, 9]]]}]}
MANY = BOX | {"regions": [BOX["regions"][0] | {"name": str(number)} for number in range(64)]}  # type: ignore[dict-item, index]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size_hw": [SIDE, SIDE]}, r"size_hw is 65535,65535; expected up to 67,108,864 pixels"),
        ({"size_hw": [SIDE, SIDE], "scoring.region_of_interest": [0, 0, SIDE, SIDE]}, "size_hw is 65535,65535; exp"),
        ({"size_hw": [SIDE, SIDE], "scoring.region_of_interest": BOX}, "size_hw is 65535,65535; expected up to"),
        (
            {"size_hw": [8192, 8192], "scoring.region_of_interest": MANY},
            r"64 regions of a prepared frame of 8192×8192 \(width × height\) are 4,294,967,296 pixels; expected up to",
        ),
        ({"size_hw": [HUGE, 64]}, "the longer side of size_hw is 1000*…; expected 1 to 65535"),
        ({"provenance.images": {"training": HUGE}}, "the number of images for training is 1000*…; expected 0 or more"),
        ({"scoring.score_pixels": HUGE}, "score_pixels is 1000*…"),
        ({"scoring.region_of_interest": [0, 0, HUGE, HUGE]}, r"region_of_interest \(0, 0, 1000*…"),
        ({"method.settings": {"x": "@"}}, "the method's settings are lists within lists of more than 8 levels; expec"),
        ({"precision": "@"}, r"precision is \[\[\[\["),
        ({"aspect": "a" * 100_000}, "aspect is aaa*…"),
        ({"colour" * 1000: 1}, "unknown option colourcolour"),
        ({"schema": "7" * 1000}, "the recipe has schema 777*…, this version reads"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_small_recipe_takes_little_memory_and_one_short_sentence(fields: dict[str, Any], message: str) -> None:
    text = json.dumps(document())
    for field, value in fields.items():
        text = with_field(field, value, text=text)
    text = text.replace('"@"', "[" * 500 + "]" * 500)
    tracemalloc.start()
    try:
        with pytest.raises(DetectorError, match=message) as caught:
            recipe_from_metadata(hashed(text))
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()
    assert is_one_sentence(caught.value), caught.value


def test_what_does_not_print_in_a_recipe_is_shown_escaped() -> None:
    from runtime.info import describe

    made = replace(make_recipe().provenance, commit="a\x1b[2J\nThreshold: proven", created="\u202eyesterday")
    shown = describe(replace(make_recipe(), provenance=made))
    assert all(line.isprintable() for line in shown)
    (line,) = [line for line in shown if line.startswith("Made:")]
    assert r"\u202eyesterday, Proctor commit a\x1b[2J\nThreshold: proven" in line
    with pytest.raises(DetectorError) as caught:
        recipe_from_json(with_field("\x1b[31mcolour\nOK", 1))
    assert is_one_sentence(caught.value)
    assert r"\x1b[31mcolour\nOK" in str(caught.value)
