"""runtime/DETECTOR.md is enough to run a detector: this file follows that page and imports nothing of Proctor."""

import hashlib
import json
import re
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
    assert (recipe["schema"], recipe["interpolation"], recipe["aspect"]) == (2, "area", "stretch")
    frame, (height, width) = golden["frame"], recipe["size_hw"]
    assert frame.shape != (height, width, 3), "a golden frame that is not resized would show nothing"
    shrinks = frame.shape[0] >= height and frame.shape[1] >= width
    prepared = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    # other builds of OpenCV may round a half the other way
    assert np.abs(prepared.astype(int) - golden["prepared"]).max() <= 1


def test_the_graph_gives_the_golden_map_and_score(
    session: onnxruntime.InferenceSession, recipe: Any, golden: dict[str, np.ndarray]
) -> None:
    scoring = recipe["scoring"]
    scored = "deviation_map" if scoring["by_position"] else "anomaly_map"
    outputs = session.run([scored, "anomaly_score", "evidence_scores"], {"frames": golden["prepared"][None]})
    deviation = golden[scored].std()
    assert np.abs(outputs[0][0] - golden[scored]).max() < 1e-3 * deviation
    assert abs(outputs[1][0] - golden["anomaly_score"]) < 1e-3 * deviation
    highest = np.sort(outputs[0][0], axis=None)[-scoring["score_pixels"] :]
    by_kind = outputs[2][0]
    assert len(by_kind) == 1 + len(recipe["method"]["image_evidence"])
    assert abs(highest.mean() - by_kind[0]) < 1e-3 * deviation
    assert outputs[1][0] == by_kind.max()
    assert (outputs[1][0] > recipe["threshold"]["value"]) == (golden["anomaly_score"] > recipe["threshold"]["value"])


def rule() -> str:
    """The page's own code that decides: what is inspected, and then the rule."""
    page = (DATA.parent / "DETECTOR.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    inspected, decides, _ = blocks  # the last one is of frame health
    return str(inspected + decides)


@pytest.mark.parametrize("mm_per_pixel", [None, 0.08])
@pytest.mark.parametrize("region_of_interest", [None, (40, 40, 90, 100)])
def test_the_pages_rule_rejects_what_has_a_region_that_is_large_enough(
    mm_per_pixel: float | None, region_of_interest: tuple[int, int, int, int] | None, golden: dict[str, np.ndarray]
) -> None:
    scored_map, frame = golden["anomaly_map"], golden["frame"]
    top, left, rows, columns = region_of_interest or (0, 0, *scored_map.shape)
    inside = scored_map[top : top + rows, left : left + columns]
    threshold = float(np.quantile(inside, 0.97))
    unit = frame.shape[0] * frame.shape[1] / scored_map.size * (mm_per_pixel or 1) ** 2
    largest = max(areas_by_flood(inside > threshold)) * unit

    def decided(smallest_area: float, score: float) -> str:
        found: dict[str, Any] = {
            "scored_map": scored_map, "frame": frame, "threshold": threshold, "anomaly_score": score, "np": np,
            "cv2": cv2, "region_of_interest": region_of_interest, "mm_per_pixel": mm_per_pixel,
            "smallest_area": smallest_area, "evidence_scores": None, "H": scored_map.shape[0], "W": scored_map.shape[1],
        }  # fmt: skip
        exec(rule(), found)
        return str(found["decision"])

    score = float(inside.max())
    assert [decided(area, score) for area in (0, largest, largest * 1.001)] == ["NG", "NG", "OK"]
    assert [decided(area, threshold) for area in (0, largest)] == ["OK", "OK"]
    whole = rows * columns * unit
    assert [decided(area, score) for area in (whole, whole * 1.001)] == ["OK", "NO_DECISION"]


def areas_by_flood(above: np.ndarray) -> list[int]:
    """The sizes of 8-connected parts, without OpenCV."""
    left, sizes = {(int(y), int(x)) for y, x in np.argwhere(above)}, []
    while left:
        edge, size = [left.pop()], 0
        while edge:
            y, x = edge.pop()
            size += 1
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        sizes.append(size)
    return sizes


def test_the_graph_hash_is_that_of_the_file_without_its_metadata(recipe: Any) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(DATA / "demo.onnx")
    del model.metadata_props[:]
    assert hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest() == recipe["graph_sha256"]
