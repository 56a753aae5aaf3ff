"""Overlays: colours that mean the same on every picture, and a picture for every verdict."""

from dataclasses import replace

import numpy as np
import pytest
from runtime_samples import SIZE_HW, fake_detector, grey_frame, make_recipe, whole_frame_detector

from runtime import overlay as overlay_module
from runtime.detector import Detector
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.frames import Frame, missing_frame
from runtime.overlay import DECISION_COLOURS, DIM, INK, INTEREST_COLOUR, draw_overlay, scale_limits
from runtime.scoring import Scoring
from runtime.verdict import Decision, Verdict


def verdict_on(frame: Frame) -> Verdict:
    with fake_detector() as detector:
        return detector.inspect(frame)


@pytest.mark.parametrize(
    ("frame", "decision"),
    [
        (grey_frame(), Decision.OK),
        (grey_frame(spot=255), Decision.NG),
        (grey_frame(grey=0), Decision.NO_DECISION),
        (missing_frame(3, "camera lost: camera 0 stopped delivering; opening it again"), Decision.NO_DECISION),
        (Frame(np.full((64, 4096, 3), 128, np.uint8), 4), Decision.NO_DECISION),
        (Frame(np.full((4096, 64, 3), 128, np.uint8), 5), Decision.NO_DECISION),
    ],
    ids=["ok", "ng", "black", "missing", "flat", "tall"],
)
def test_every_verdict_can_be_drawn_and_shows_its_colour(frame: Frame, decision: Decision) -> None:
    verdict = verdict_on(frame)
    assert verdict.decision is decision
    overlay = draw_overlay(frame, verdict)
    assert overlay.dtype == np.uint8
    assert overlay.shape[2] == 3
    assert tuple(overlay[2, 2]) == DECISION_COLOURS[decision]


def heat_of(score: float, threshold: float) -> tuple[int, ...]:
    """The colour of a map that is `score` everywhere, over a frame that is grey everywhere."""
    frame = grey_frame()
    flat = np.full((16, 24), score, np.float32)
    overlay = draw_overlay(frame, replace(verdict_on(frame), anomaly_map=flat, threshold=threshold))
    return tuple(int(channel) for channel in overlay[200, 700])


def test_a_colour_stands_for_one_score_whatever_else_the_map_shows() -> None:
    frame = grey_frame(spot=255)
    shown = draw_overlay(frame, verdict_on(frame))
    assert tuple(shown[350, 540]) == heat_of(0.0, 0.5)


def test_the_map_that_the_score_is_taken_from_is_the_one_that_is_drawn() -> None:
    frame = grey_frame()
    high = np.full((16, 24), 0.9, np.float32)
    shown = draw_overlay(frame, replace(verdict_on(frame), deviation_map=high))
    assert tuple(int(channel) for channel in shown[200, 700]) == heat_of(0.9, 0.5) != heat_of(0.0, 0.5)


@pytest.mark.parametrize("threshold", [0.5, 12.0])
def test_the_scale_is_anchored_at_the_threshold(threshold: float) -> None:
    assert heat_of(threshold, threshold) == heat_of(1.0, 1.0)
    assert heat_of(2 * threshold, threshold) == heat_of(9 * threshold, threshold)
    assert heat_of(0.9 * threshold, threshold) != heat_of(1.1 * threshold, threshold)


@pytest.mark.parametrize("threshold", [2.0, 0.0, -3.0])
def test_the_scale_has_the_threshold_in_its_middle(threshold: float) -> None:
    low, high = scale_limits(threshold)
    assert low < high
    assert (low + high) / 2 == threshold


def test_what_is_above_the_threshold_is_outlined_in_the_heat_map() -> None:
    frame = grey_frame(spot=255)
    verdict = replace(verdict_on(frame), regions=())
    with_outline = draw_overlay(frame, verdict)[64:, 528:1040]
    outline = np.argwhere((with_outline == 240).all(axis=2))
    scale = 512 / 24
    low, high = outline.min(axis=0) / scale, outline.max(axis=0) / scale
    assert np.abs(low - [4, 10]).max() < 1
    assert np.abs(high - [6, 12]).max() < 1


def test_boxes_stand_where_the_regions_are() -> None:
    frame = grey_frame(spot=255)
    verdict = verdict_on(frame)
    plain = draw_overlay(frame, replace(verdict, regions=()))
    boxed = draw_overlay(frame, verdict)
    banner, gap, scale = 64, 8, 512 / 24
    changed = np.argwhere((plain != boxed).any(axis=2)[banner:, : gap + 512])
    top, left = changed.min(axis=0)
    bottom, right = changed.max(axis=0)
    expected = np.array([4, 10, 6, 12]) * scale + gap
    assert np.abs([top, left, bottom, right] - expected).max() < 8


def verdict_by(scoring: Scoring, frame: Frame) -> Verdict:
    with Detector(replace(make_recipe(), scoring=scoring), FakeEngine(SIZE_HW, deviation_from_grey)) as detector:
        return detector.inspect(frame)


def outline_of(overlay: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Rows and columns of the map at which the heat panel has a line of this colour."""
    return np.argwhere((overlay[72:, 528:1040] == colour).all(axis=2)) / (512 / 24)


def test_what_is_too_small_to_count_has_a_dim_outline_and_no_box() -> None:
    image = np.full((16, 24, 3), 128, np.uint8)
    image[4:6, 3:5] = image[4:10, 14:20] = 255
    frame = Frame(image, 1)
    overlay = draw_overlay(frame, verdict_by(Scoring(smallest_area=10), frame))
    small, large = outline_of(overlay, DIM), outline_of(overlay, INK)
    assert np.abs([*small.min(axis=0), *small.max(axis=0)] - np.array([4, 3, 6, 5])).max() < 1
    assert np.abs([*large.min(axis=0), *large.max(axis=0)] - np.array([4, 14, 10, 20])).max() < 1
    all_count = draw_overlay(frame, verdict_by(Scoring(), frame))
    assert not len(outline_of(all_count, DIM))
    changed = np.argwhere((overlay != all_count).any(axis=2)[72:, :520])  # in the picture: the small one's box alone
    assert np.abs(changed.min(axis=0) / (512 / 24) - [4, 3]).max() < 1
    assert changed[:, 1].max() / (512 / 24) < 6


def test_areas_are_written_where_the_scale_is_known() -> None:
    frame = grey_frame(spot=255)
    plain, scaled = (draw_overlay(frame, verdict_by(Scoring(mm_per_pixel=scale), frame)) for scale in (None, 0.5))
    changed = np.argwhere((plain != scaled).any(axis=2)[72:, :520])
    assert 5 < changed[:, 0].min() / (512 / 24) < changed[:, 0].max() / (512 / 24) < 8  # below the box, of rows 4 and 5


def test_of_what_the_region_of_interest_cuts_the_part_inside_is_outlined_as_what_it_is() -> None:
    image = np.full((16, 24, 3), 128, np.uint8)
    image[4:10, 14:20] = 255
    frame = Frame(image, 1)
    scoring = Scoring((0, 0, 16, 15), smallest_area=10)
    verdict = verdict_by(scoring, frame)
    assert verdict.passed_as_small
    overlay = draw_overlay(frame, verdict)
    found = outline_of(overlay, DIM)
    assert np.abs([*found.min(axis=0), *found.max(axis=0)] - np.array([4, 14, 10, 15])).max() < 1
    assert not len(outline_of(overlay, INK))
    assert len(outline_of(overlay, INTEREST_COLOUR))


@pytest.mark.parametrize(("whole", "spot"), [(0.9, None), (0.9, 255), (0.1, 255), (0.1, None)])
def test_what_the_whole_frame_rejects_has_a_border_in_the_colour_of_its_decision(
    whole: float, spot: int | None
) -> None:
    frame = grey_frame(spot=spot)
    with whole_frame_detector(whole) as detector:
        overlay = draw_overlay(frame, detector.inspect(frame))
    for left in (8, 528):  # both panels
        panel = overlay[72 : 72 + 341, left : left + 512]
        edges = [panel[:4].reshape(-1, 3), panel[-4:].reshape(-1, 3), panel[:, :4].reshape(-1, 3), panel[:, -4:]]
        framed = [bool((np.asarray(edge) == DECISION_COLOURS[Decision.NG]).all()) for edge in edges]
        assert framed == [whole > 0.5] * 4
        assert tuple(panel[170, 100]) != DECISION_COLOURS[Decision.NG]


def test_scores_by_evidence_are_told_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(overlay_module, "draw_text", lambda image, text, *given: told.append(text))
    frame = grey_frame(7, spot=255)
    with whole_frame_detector(0.9) as detector:
        draw_overlay(frame, detector.inspect(frame))
    assert "map 0.99, whole frame 0.90  frame 7" in told
    assert "score 0.992 above 0.500, by the map and the whole frame, 1 region" in told
    told.clear()
    draw_overlay(frame, verdict_on(frame))
    assert "frame 7" in told
