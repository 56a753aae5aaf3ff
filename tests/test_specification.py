"""runtime/DETECTOR.md is enough to run a detector: this file follows that page and imports nothing of Proctor."""

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

DATA = Path(__file__).parent.parent / "runtime" / "data"


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(DATA / "demo.onnx", providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def recipe(session: onnxruntime.InferenceSession) -> Any:
    return json.loads(session.get_modelmeta().custom_metadata_map["recipe"])


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(DATA / "demo.golden.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_a_frame_prepared_by_the_page_equals_the_golden_one(recipe: Any, golden: dict[str, np.ndarray]) -> None:
    assert (recipe["schema"], recipe["interpolation"], recipe["aspect"]) == (1, "area", "stretch")
    frame, (height, width) = golden["frame"], recipe["size_hw"]
    assert frame.shape != (height, width, 3), "a golden frame that is not resized would show nothing"
    shrinks = frame.shape[0] >= height and frame.shape[1] >= width
    prepared = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    # other builds of OpenCV may round a half the other way
    assert np.abs(prepared.astype(int) - golden["prepared"]).max() <= 1


def test_the_graph_gives_the_golden_map_and_score(
    session: onnxruntime.InferenceSession, recipe: Any, golden: dict[str, np.ndarray]
) -> None:
    scored = "deviation_map" if recipe.get("by_position") else "anomaly_map"
    outputs = session.run([scored, "anomaly_score"], {"frames": golden["prepared"][None]})
    deviation = golden[scored].std()
    assert np.abs(outputs[0][0] - golden[scored]).max() < 1e-3 * deviation
    assert abs(outputs[1][0] - golden["anomaly_score"]) < 1e-3 * deviation
    highest = np.sort(outputs[0][0], axis=None)[-recipe["score_pixels"] :]
    assert abs(highest.mean() - outputs[1][0]) < 1e-3 * deviation
    assert (outputs[1][0] > recipe["threshold"]["value"]) == (golden["anomaly_score"] > recipe["threshold"]["value"])


def test_the_graph_hash_is_that_of_the_file_without_its_metadata(recipe: Any) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(DATA / "demo.onnx")
    del model.metadata_props[:]
    assert hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest() == recipe["graph_sha256"]
