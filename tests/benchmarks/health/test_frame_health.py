"""The benchmark of frame health: its spoiled pictures, what it counts, and its tables."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.health import cost, decisions, measures, still
from benchmarks.health.parts import refused_frames
from benchmarks.health.report import markdown
from benchmarks.health.spoiled import defocused, disc, gaussian, line, moved
from benchmarks.throughput.timing import Turns
from calibration.health import fit_health
from runtime.default_detector import DEMO_DETECTOR
from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.recipe import Recipe

SIZE_HW = (96, 96)
LINE = DemoLine(3, (192, 192), 0.0)


@pytest.fixture(scope="module")
def good() -> list[NDArray[np.uint8]]:
    return [LINE.good(number).image for number in range(16)]


@pytest.fixture
def detector(good: list[NDArray[np.uint8]]) -> Detector:
    """A fake one, of which nothing is above the threshold, with health limits of the parts."""
    with Detector.open(DEMO_DETECTOR) as demo:
        recipe: Recipe = demo.recipe
    method = replace(recipe.method, image_evidence=())
    scoring = replace(recipe.scoring, by_position=False, region_of_interest=None, smoothing=0.0, score_pixels=1)
    health = fit_health(good, SIZE_HW)
    recipe = replace(recipe, size_hw=SIZE_HW, method=method, scoring=scoring, health=health).with_threshold(0.9)
    return Detector(recipe, FakeEngine(SIZE_HW, deviation_from_grey))


@pytest.mark.parametrize("radius", [0.3, 0.5, 1.0, 2.5])
def test_a_disc_has_its_area_and_a_line_its_length(radius: float) -> None:
    kernel = disc(radius)
    assert kernel.sum() == pytest.approx(1)
    assert 1 / kernel.max() == pytest.approx(max(1.0, np.pi * radius**2), rel=0.12)
    assert line(2 * radius + 1).sum() == pytest.approx(1)
    assert 1 / line(2 * radius + 1).max() == pytest.approx(2 * radius + 1)


def test_lengths_are_of_the_prepared_frame() -> None:
    impulse = np.zeros((64, 64, 3), np.uint8)
    impulse[32, 32] = 255
    spread = moved(impulse, 5, (32, 32), upright=True)
    assert [int((spread[..., 0] > 0).any(axis=axis).sum()) for axis in (1, 0)] == [11, 1]  # 10 pixels, between two
    assert int((defocused(impulse, 2, (32, 32))[..., 0] > 0).any(axis=0).sum()) in (7, 9)
    assert gaussian(impulse, 1, (32, 32))[32, 32, 0] == pytest.approx(255 / (2 * np.pi * 4), abs=1.5)


def test_noise_hides_a_blur_from_the_laplacian_and_not_from_ours(
    good: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "NOISE", 20.0)
    monkeypatch.setattr(measures, "RADII", (1.0, 3.0))
    found = {(row.measure, row.on): row for row in measures.compare(good[:10], good[10:13], SIZE_HW)}
    ours = found["ours: coherent fine over coherent coarse", "prepared frame"]
    laplacian = found["variance of the Laplacian", "camera's picture"]
    assert (ours.radius, ours.radius_noisy, ours.good_alarmed) == (1.0, 1.0, 0)
    assert (laplacian.radius, laplacian.radius_noisy) == (1.0, None)


def test_what_a_detector_passes_blurred_is_counted_with_and_without_the_check(
    detector: Detector, good: list[NDArray[np.uint8]]
) -> None:
    white = good[0].copy()
    white[90:93, 90:93] = 255  # on the part
    with detector:
        found = {row.blur: row for row in decisions.decide_blurred(detector, good[:2], [white])}
    none, strong = found["none"], found["disc of 4"]
    assert (none.good_refused, none.defective_refused, none.turned) == (0, 0, 0)
    assert (strong.good_refused, strong.defective_refused) == (2, 1)
    assert none.defective_passed == 0
    assert (strong.defective_passed_without, strong.turned, strong.turned_passed) == (1, 1, 0)


def test_frames_without_a_part_are_counted_by_reason(detector: Detector, good: list[NDArray[np.uint8]]) -> None:
    with detector:
        found = refused_frames(detector, "demo-line", {"demo-line": good[:3], "other": [255 - good[0] // 2 - 60]})
    assert found["empty belt"] == {"frames": 40, "no part in view": 40}
    assert found["flat grey"] == {"frames": 5, "no part in view": 3, "over-exposed": 2}
    assert found["good images of other"] == {"frames": 1, "no part in view": 1}


def test_a_still_picture_through_an_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still, "FRAMES", 26)
    monkeypatch.setattr(still, "SIZE_HW", (160, 240))
    monkeypatch.setattr(still, "NOISES", (2.0,))
    monkeypatch.setattr(still, "CODECS", {name: still.CODECS[name] for name in ("MJPEG, q 3", "H.264, crf 23")})
    raw, mjpeg, h264 = still.measure_still()
    for row in (raw, mjpeg):
        assert row.limit is not None
        assert (row.live_called_frozen, row.frozen_called_frozen, row.frozen) == (0, 25, 25)
    assert h264.limit is None


def test_the_checks_are_timed_in_turns_with_the_inference(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[str] = []
    seconds = {"preparation": 0.2, "sharpness": 0.05, "likeness": 0.15, "inference": 2.0}

    def in_turns(calls: dict[str, Callable[[], object]], turns: Turns) -> dict[str, NDArray[np.float64]]:
        for name, call in calls.items():
            call()
            timed.append(name)
        return {name: np.array([seconds[name], seconds[name], 9.0]) for name in calls}

    monkeypatch.setattr(cost, "in_turns", in_turns)
    monkeypatch.setattr(cost, "CAMERA_HW", (205, 256))  # the part is drawn for longer than it is checked
    with detector:
        found = cost.measure_cost(detector)
    assert timed == list(seconds)
    expected = {"preparation": 0.1, "sharpness": 0.025, "likeness": 0.075, "inference": 1.0, "checks": 0.1}
    assert found.of_inference == pytest.approx(expected)
    assert (found.repeats, found.milliseconds["inference"]) == (3, 2000.0)


def test_left_out_parts_are_healthy(good: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    assert decisions.left_out_refusals(good, SIZE_HW, folds=4) == {}


def test_the_tables_hold_every_figure() -> None:
    compared = measures.Compared("a measure", "prepared frame", 0.0, 0.25, 1.5, None, 2.0)
    blurred = decisions.Blurred("disc of 1", 10, 4, 1, 20, 8, 2, 3, 1, 0)
    found = {
        "sharpness_low": (0.125, 0.0),
        "likeness_low": 0.5,
        "training": {"images": 30},
        "good": {"images": 10, "blurred": 1},
        "defective": {"dent": {"images": 12, "blurred": 2}, "hole": {"images": 8, "no part in view": 3}},
        "measures": [asdict(compared)],
        "blurred": [asdict(blurred)],
        "without_a_part": {"flat grey": {"frames": 5, "no part in view": 4}},
    }
    rows = [still.Still("raw", 1.0, 1.2, 0.6, 100, 0, 99, 99), still.Still("H.264", 1.0, 0.0, None, 100, 0, 100, 0)]
    costs = {
        "camera_hw": (100, 200), "prepared_hw": (10, 20), "repeats": 200, "load": 0.5, "milliseconds": {},
        "of_inference": {"preparation": 0.05, "sharpness": 0.0125, "likeness": 0.0025, "checks": 0.015},
    }  # fmt: skip
    text = markdown({"sets": {"parts": found}, "cost": costs, "still": [asdict(row) for row in rows]})
    for line_ in (
        "| parts | 0.125, 0, 0.5 | 0 of 30 | 1 of 10 (1 blurred) | 5 of 20 (2 blurred, 3 no part in view) |",
        "| a measure, prepared frame | 1.5 / – / 2 (0, 25 %) |",
        "| disc of 1 | 4 of 10; 8 of 20; 1 → 0 |",
        "| flat grey | 4 of 5 (4 no part in view) |",
        "| raw | 1 | 1.20 | 0.60 | 0 of 100 | 99 of 99 |",
        "| H.264 | 1 | 0.00 | refused |  |  |",
    ):
        assert line_ in text
    assert text.endswith(
        "Time for a frame of 200×100, the inference = 1 (medians of 200 turns, load 0.5): "
        "preparation 0.05, sharpness 0.013, likeness 0.0025; both checks 0.015"
    )
