"""The detector: verdicts, what is never scored, late engines, and files that are no detectors."""

import json
import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import (
    SIZE_HW,
    fake_detector,
    grey_frame,
    make_recipe,
    tiny_model,
    whole_frame_detector,
    write_detector,
)

from runtime import Decision, Detector
from runtime.detector_file import read_detector
from runtime.engines.base import Output
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import DetectorError, EngineError, ImageError
from runtime.frames import Frame, missing_frame
from runtime.onnx_file import COPY_AGAIN, read_metadata, with_metadata
from runtime.scoring import Scoring


def test_a_good_part_is_ok() -> None:
    with fake_detector() as detector:
        verdict = detector.inspect(grey_frame(spot=150))
    assert verdict.decision is Decision.OK
    assert verdict.score == pytest.approx(22 / 128)
    assert verdict.reason == "score 0.172 within 0.500"
    assert verdict.regions == ()
    assert verdict.anomaly_map is not None


def test_a_defective_part_is_ng_with_its_regions_in_pixels_of_the_original_frame() -> None:
    image = np.full((32, 48, 3), 128, np.uint8)
    image[8:12, 20:24] = 255
    with fake_detector() as detector:
        verdict = detector.inspect(image)
    assert verdict.decision is Decision.NG
    assert verdict.reason == "score 0.992 above 0.500"
    (region,) = verdict.regions
    assert region.box_xywh == (20, 8, 4, 4)
    assert region.area == 16
    assert region.center_xy == (21.5, 9.5)


def test_a_defect_that_is_too_small_is_ok_and_the_verdict_says_so() -> None:
    recipe = replace(make_recipe(), scoring=Scoring(mm_per_pixel=0.5, smallest_area=1.1))
    with Detector(recipe, FakeEngine(SIZE_HW, deviation_from_grey)) as detector:
        verdict, good = detector.inspect(grey_frame(spot=255)), detector.inspect(grey_frame())
    reason = "score 0.992 above 0.500 in 1 region of 1 mm²; smaller than 1.1 mm² do not count"
    assert (verdict.decision, verdict.reason, verdict.regions) == (Decision.OK, reason, ())
    assert verdict.passed_as_small
    assert not good.passed_as_small
    assert (verdict.score, verdict.threshold) == (pytest.approx(127 / 128), 0.5)
    assert verdict.ignored is not None
    assert np.argwhere(verdict.ignored).tolist() == [[4, 10], [4, 11], [5, 10], [5, 11]]
    assert "ignored" not in json.loads(verdict.to_json())


def test_a_verdict_as_json_has_the_area_in_square_millimetres() -> None:
    for scale, area_mm2 in ((None, None), (0.5, 1.0)):
        recipe = replace(make_recipe(), scoring=Scoring(mm_per_pixel=scale))
        with Detector(recipe, FakeEngine(SIZE_HW, deviation_from_grey)) as detector:
            (region,) = json.loads(detector.inspect(grey_frame(spot=255)).to_json())["regions"]
        assert (region["area"], region["area_mm2"]) == (4.0, area_mm2)
        assert list(region) == ["area", "center_xy", "box_xywh", "peak_xy", "peak_score", "area_mm2"]


def test_where_scores_are_by_position_regions_and_pictures_are_of_the_same_map() -> None:
    def infer(frames: NDArray[np.uint8]) -> Output:
        maps = deviation_from_grey(frames)
        by_position = maps * np.where(np.arange(SIZE_HW[1]) < 12, 0.1, 1).astype(np.float32)  # the left half varies
        return Output(maps, by_position.max(axis=(1, 2)), deviation_map=by_position)

    image = np.full((16, 24, 3), 128, np.uint8)
    image[2:4, 3:5] = image[9:11, 20:22] = 255
    recipe = replace(make_recipe(), scoring=Scoring(by_position=True))
    with Detector(recipe, ThreadedEngine(infer, SIZE_HW, 1, 1, "by position")) as detector:
        verdict = detector.inspect(image)
        image[9:11, 20:22] = 128
        other = detector.inspect(image)
    assert (verdict.decision, [region.box_xywh for region in verdict.regions]) == (Decision.NG, [(20, 9, 2, 2)])
    assert verdict.anomaly_map is not None
    assert verdict.scored_map is not None
    assert verdict.scored_map is verdict.deviation_map
    assert verdict.score == verdict.scored_map.max() == verdict.regions[0].peak_score
    assert verdict.anomaly_map[2, 3] > verdict.scored_map[2, 3]
    assert (other.decision, other.regions) == (Decision.OK, ())
    assert not {"anomaly_map", "deviation_map"} & json.loads(verdict.to_json()).keys()


def test_a_score_at_the_threshold_is_ok() -> None:
    with fake_detector() as detector:
        assert detector.inspect(grey_frame(grey=64)).score == 0.5
        assert detector.inspect(grey_frame(grey=64)).decision is Decision.OK


def test_a_verdict_carries_all_that_is_needed_to_trace_it() -> None:
    frame = grey_frame(7, part_id="P-12", name="a.png")
    with fake_detector() as detector:
        verdict = detector.inspect(frame)
    assert (verdict.frame_id, verdict.part_id, verdict.name) == (7, "P-12", "a.png")
    assert (verdict.captured_s, verdict.captured_at) == (frame.captured_s, frame.captured_at)
    assert frame.captured_s <= verdict.decided_s <= time.monotonic()
    assert verdict.latency_ms == pytest.approx((verdict.decided_s - frame.captured_s) * 1e3)
    assert verdict.recipe_sha256 == make_recipe().sha256


def test_a_verdict_is_one_line_of_json() -> None:
    with fake_detector() as detector:
        line = detector.inspect(grey_frame(spot=255)).to_json()
    assert "\n" not in line
    document = json.loads(line)
    assert (document["decision"], document["regions"][0]["box_xywh"]) == ("NG", [10, 4, 2, 2])
    assert "anomaly_map" not in document


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (grey_frame(grey=3), "black: mean brightness 3 of 255, good images had 20 or more"),
        (grey_frame(grey=255), "over-exposed: mean brightness 255 and 100% saturated, limits are 235 and 20%"),
        (
            Frame(np.full((40, 24, 3), 128, np.uint8), 0),
            "wrong size: 24×40 has aspect 0.60, good images had 1.00 to 2.00",
        ),
        (missing_frame(0, "camera lost: x"), "camera lost: x"),
        (
            Frame(np.zeros((16, 24, 4), np.uint8), 0),
            "a frame has shape [16, 24, 4]; expected [H, W, 3] in BGR order or",
        ),
    ],
    ids=["black", "over-exposed", "wrong size", "missing", "four channels"],
)
def test_a_frame_that_shows_no_part_is_never_scored(frame: Frame, reason: str) -> None:
    scored = []

    def maps(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        scored.append(frames)
        return deviation_from_grey(frames)

    with fake_detector(maps) as detector:
        verdict = detector.inspect(frame)
    assert verdict.decision is Decision.NO_DECISION
    assert verdict.reason.startswith(reason)
    assert verdict.score is None
    assert scored == []


def test_a_frozen_camera_is_no_decision_until_the_picture_changes() -> None:
    with fake_detector() as detector:
        decisions = [detector.inspect(grey_frame(grey=grey, live=True)).decision for grey in (120, 120, 120, 121)]
        files = [detector.inspect(grey_frame(grey=120)).decision for _ in range(2)]
    assert decisions == [Decision.OK, Decision.NO_DECISION, Decision.NO_DECISION, Decision.OK]
    assert files == [Decision.OK] * 2


def test_an_engine_error_is_no_decision() -> None:
    def fail(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise EngineError("out of memory")

    with fake_detector(fail) as detector:
        verdict = detector.inspect(grey_frame())
    assert (verdict.decision, verdict.reason) == (Decision.NO_DECISION, "engine error: out of memory")
    assert verdict.unanswered


@pytest.mark.parametrize("fault", [MemoryError("8 GB"), TypeError("a bug")])
def test_whatever_an_engine_raises_is_no_decision(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def fail(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise fault

    with fake_detector(fail) as detector:
        verdict = detector.inspect(grey_frame())
    assert verdict.decision is Decision.NO_DECISION
    assert verdict.reason == f"engine error: {type(fault).__name__}: {fault}"
    assert "Traceback" in caplog.text


def test_a_detector_may_be_closed_while_another_thread_inspects() -> None:
    entered, verdicts = threading.Event(), []

    def slow(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        entered.set()
        time.sleep(0.05)
        return deviation_from_grey(frames)

    detector = fake_detector(slow)
    thread = threading.Thread(target=lambda: verdicts.extend(detector.inspect(grey_frame()) for _ in range(2)))
    thread.start()
    entered.wait(10)
    detector.close()
    thread.join()
    assert verdicts[0].decision is Decision.OK
    verdict = detector.inspect(grey_frame())
    assert verdict.reason == "engine error: the engine is closed; open the detector again"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_no_decision(value: float) -> None:
    with fake_detector(lambda frames: np.full(frames.shape[:3], value, np.float32)) as detector:
        verdict = detector.inspect(grey_frame())
    assert (verdict.decision, verdict.reason) == (Decision.NO_DECISION, f"engine error: the score is {value}")
    assert not verdict.unanswered  # it said what cannot be


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scored", ["anomaly_map", "deviation_map"])
def test_a_map_with_values_that_are_no_numbers_is_no_decision(scored: str, value: float) -> None:
    """The score alone may look good: ONNX Runtime's maximum can skip a NaN."""

    def infer(frames: NDArray[np.uint8]) -> Output:
        maps = {name: deviation_from_grey(frames) for name in ("anomaly_map", scored)}
        maps[scored][0, 3, 5] = value
        return Output(**maps, anomaly_score=np.zeros(1, np.float32))

    with Detector(make_recipe(), ThreadedEngine(infer, SIZE_HW, 1, 1, "overflowing")) as detector:
        verdict = detector.inspect(grey_frame())
    assert verdict.decision is Decision.NO_DECISION
    assert verdict.reason == "engine error: the map holds values that are not finite"


def test_an_engine_that_stalled_is_used_again_once_it_recovers() -> None:
    """Late results must not hold their slots for ever."""
    release = threading.Event()

    def stall(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        release.wait(10)
        return deviation_from_grey(frames)

    with fake_detector(stall, slots=2) as detector:
        first, behind, *refused = [detector.inspect(grey_frame(number), timeout_s=0.02) for number in range(4)]
        release.set()
        time.sleep(0.2)
        recovered = [detector.inspect(grey_frame(number)) for number in range(4)]
    late = "no result within 0.02 s; the machine is too slow or overloaded"
    works = r"the engine still works on frame 0, given up before, for 0\.\d s now"
    assert first.reason == f"engine error: {late}"
    assert re.fullmatch(f"engine error: {late}: {works}", behind.reason)
    for verdict in refused:  # to a caller who knows of no slots
        assert re.fullmatch(f"engine error: {works}; frames are taken again when it is done", verdict.reason)
    assert {verdict.decision for verdict in (first, behind, *refused)} == {Decision.NO_DECISION}
    assert [verdict.decision for verdict in recovered] == [Decision.OK] * 4


def test_a_result_asked_for_again_after_its_time_ran_out_holds_one_slot() -> None:
    release = threading.Event()

    def stall(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        release.wait(10)
        return deviation_from_grey(frames)

    with fake_detector(stall, slots=2) as detector:
        pending = detector.submit(grey_frame())
        assert {detector.result(pending, 0.01).decision for _ in range(3)} == {Decision.NO_DECISION}
        other = detector.submit(grey_frame(1))
        release.set()
        assert detector.result(other).decision is Decision.OK


def test_regions_lie_inside_the_region_of_interest() -> None:
    def maps(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        values = np.zeros((len(frames), *SIZE_HW), np.float32)
        values[:, 1, 1] = values[:, 8, 12] = 0.9
        return values

    recipe = replace(make_recipe(), scoring=Scoring(region_of_interest=(4, 6, 10, 12)))
    with Detector(recipe, FakeEngine(SIZE_HW, maps)) as detector:
        verdict = detector.inspect(grey_frame())
    assert [region.box_xywh for region in verdict.regions] == [(12, 8, 1, 1)]


def test_inspect_may_be_called_from_many_threads() -> None:
    found: dict[int, float | None] = {}

    def inspect(grey: int) -> None:
        found[grey] = detector.inspect(np.full((*SIZE_HW, 3), grey, np.uint8)).score

    with fake_detector() as detector:
        threads = [threading.Thread(target=inspect, args=(grey,)) for grey in range(100, 140)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {grey: abs(grey - 128) / 128 for grey in range(100, 140)}


def test_an_array_that_is_no_picture_is_an_error() -> None:
    with fake_detector() as detector, pytest.raises(ImageError, match="a frame holds float32 pixels; expected uint8"):
        detector.inspect(np.zeros((16, 24, 3), np.float32))  # type: ignore[arg-type]


def test_a_verdict_has_the_scores_by_evidence_where_there_are_several() -> None:
    with whole_frame_detector(0.9) as detector:
        verdict = detector.inspect(grey_frame(spot=255))
    found = json.loads(verdict.to_json())
    assert found["evidence_scores"] == {"map": pytest.approx(0.992, abs=1e-3), "whole frame": pytest.approx(0.9)}
    assert found["rejected_by"] == ["map", "whole frame"]
    assert found["score"] == max(found["evidence_scores"].values())
    assert verdict.rejected_by_frame
    with whole_frame_detector(0.1) as detector:
        accepted, by_map = detector.inspect(grey_frame()), detector.inspect(grey_frame(spot=255))
    assert json.loads(accepted.to_json())["rejected_by"] == []
    assert (by_map.rejected_by, by_map.rejected_by_frame) == (("map",), False)
    with whole_frame_detector(float("nan")) as detector:
        unscored = detector.inspect(grey_frame())
    assert (unscored.decision, unscored.score, unscored.evidence_scores) == (Decision.NO_DECISION, None, {})


def test_a_verdict_by_the_map_alone_says_nothing_of_others() -> None:
    with fake_detector() as detector:
        found = json.loads(detector.inspect(grey_frame(spot=255)).to_json())
    assert found["decision"] == "NG"
    assert not {"evidence_scores", "rejected_by"} & found.keys()


def test_a_detector_file_is_opened_and_run(detector_file: Path) -> None:
    with Detector.open(detector_file, threads=1) as detector:
        assert "ONNX Runtime" in detector.engine.description
        assert "1 CPU threads" in detector.engine.description
        assert detector.inspect(grey_frame(spot=255)).decision is Decision.NG
        assert detector.inspect(grey_frame()).decision is Decision.OK


def test_files_that_are_no_detectors_are_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the files of this test are built with the onnx package")
    good = write_detector(tmp_path / "good.onnx").read_bytes()
    model = tiny_model()
    cases = {
        "text.onnx": (b"hello", f"not an ONNX file, or a damaged one; {COPY_AGAIN}"),
        "plain.onnx": (model, "an ONNX file without a recipe; make a detector with python -m export.onnx"),
        "future.onnx": (
            with_metadata(model, {"recipe": '{"schema": 3}'}),
            "the recipe has schema 3, this version reads schemas 1 and 2; export",
        ),
        "mixed.onnx": (
            with_metadata(model, make_recipe().metadata),
            f"its graph is not the one its recipe describes; {COPY_AGAIN}",
        ),
        "flipped.onnx": (
            good.replace(b'"value": 0.5', b'"value": 8.5'),
            "its recipe is not the one that was written into it (recipe_sha256): the file was damaged",
        ),
        "bare.onnx": (
            with_metadata(good, {"recipe": read_metadata(good)["recipe"]}),
            "the hash beside its recipe (recipe_sha256) is missing",
        ),
        "cut.onnx": (good[:-1], f"not an ONNX file, or a damaged one; {COPY_AGAIN}"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DetectorError) as caught:
            read_detector(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: {message}")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(DetectorError, match=r"empty\.onnx is empty; copy the file again"):
        read_detector(tmp_path / "empty.onnx")
    with pytest.raises(DetectorError, match=r"gone\.onnx cannot be read \(No such file or directory\); check the path"):
        read_detector(tmp_path / "gone.onnx")


def test_what_another_detector_has_under_way_is_never_taken_for_ones_own() -> None:
    with fake_detector() as ours, fake_detector() as other:
        theirs = other.submit(grey_frame(7, spot=255))  # a defective part
        mine = ours.submit(grey_frame(8))
        mixed = ours.result(theirs)
        assert (mixed.frame_id, mixed.decision) == (7, Decision.NO_DECISION)
        assert "is unknown; each result can be taken once" in mixed.reason
        assert (ours.result(mine).decision, other.result(theirs).decision) == (Decision.OK, Decision.NG)
