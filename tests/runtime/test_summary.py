"""The summary: counts, quantiles and AUROC against independent computations."""

import json
from dataclasses import replace

import numpy as np
import pytest
from runtime_samples import fake_detector, grey_frame, whole_frame_detector

from runtime.frames import missing_frame
from runtime.summary import SAMPLE_SIZE, LatencyHistogram, ScoreSample, Summary, auroc
from runtime.threshold import Threshold
from runtime.verdict import Decision, Verdict


def verdict_of(score: float, latency_s: float = 0.01) -> Verdict:
    frame = grey_frame(spot=128 + round(score * 127))
    with fake_detector() as detector:
        verdict = detector.inspect(frame)
    return replace(verdict, captured_s=100.0, decided_s=100.0 + latency_s, score=score)


@pytest.mark.parametrize("seed", range(3))
def test_auroc_is_the_share_of_pairs_in_the_right_order_ties_counting_half(seed: int) -> None:
    rng = np.random.default_rng(seed)
    good, defective = rng.integers(0, 8, 40), rng.integers(3, 12, 25)
    pairs = [(bad > fine) + (bad == fine) / 2 for bad in defective for fine in good]
    assert auroc(good, defective) == pytest.approx(np.mean(pairs))


def test_quantiles_are_within_one_percent_and_the_maximum_is_exact() -> None:
    latencies = np.random.default_rng(0).lognormal(2, 1, 5000)
    histogram = LatencyHistogram()
    for latency_ms in latencies:
        histogram.add(latency_ms)
    for probability in (0.5, 0.95, 0.99):
        assert histogram.quantile_ms(probability) == pytest.approx(np.quantile(latencies, probability), rel=0.01)
    assert histogram.largest_ms == latencies.max()


@pytest.mark.parametrize("latency_ms", [0.0, 1e-9, 1e12])
def test_latencies_beyond_the_bins_are_counted(latency_ms: float) -> None:
    histogram = LatencyHistogram()
    histogram.add(latency_ms)
    assert histogram.count == 1
    assert histogram.quantile_ms(0.5) <= latency_ms


def test_a_sample_is_whole_while_small_and_even_when_large() -> None:
    sample = ScoreSample()
    for score in range(4 * SAMPLE_SIZE):
        sample.add(score)
        if score == 99:
            assert sample.values == list(range(100))
    assert len(sample.values) == SAMPLE_SIZE
    assert np.mean(sample.values) == pytest.approx(2 * SAMPLE_SIZE, rel=0.05)


def test_a_summary_adds_up() -> None:
    summary = Summary()
    for score, defective, latency_s in ((0.1, False, 0.01), (0.9, False, 0.01), (0.8, True, 0.01), (0.2, True, 0.04)):
        summary.add(grey_frame(defective=defective), verdict_of(score, latency_s))
    lost = missing_frame(4, "camera lost")
    with fake_detector() as detector:
        verdict = replace(detector.inspect(lost), captured_s=100.2, decided_s=100.5)
    summary.add(lost, verdict)
    summary.drops, summary.reconnects = 7, 1
    facts = json.loads(summary.to_json())
    assert (facts["frames"], facts["OK"], facts["NG"], facts["NO_DECISION"]) == (5, 2, 2, 1)
    assert facts["fps"] == 10.0
    assert facts["latency_ms"]["p50"] == pytest.approx(10, rel=0.01)
    assert facts["latency_ms"]["max"] == pytest.approx(40)  # the frame that never came has no latency
    truth = {"good": 2, "good_rejected": 1, "defective": 2, "defective_rejected": 1, "image_auroc": 0.5}
    assert facts["ground_truth"] == truth
    assert summary.lines() == [
        "5 frames: 2 OK, 2 NG, 1 NO_DECISION",
        "10.0 frames a second; capture to decision in ms: "
        + ", ".join(f"{name} {value:.1f}" for name, value in facts["latency_ms"].items()),
        "7 frames dropped, 1 reconnects",
        "image AUROC 0.5000; rejected 1 of 2 defective and 1 of 2 good parts",
    ]


def test_what_passed_as_too_small_is_counted() -> None:
    summary = Summary()
    assert summary.as_dict()["too_small"] == 0
    summary.add(grey_frame(), replace(verdict_of(0.9), decision=Decision.OK))
    summary.add(grey_frame(), verdict_of(0.1))
    summary.add(grey_frame(), verdict_of(0.9))
    assert summary.as_dict()["too_small"] == 1
    assert summary.lines()[1] == "1 of the OK scored above the threshold, in regions too small to count"


def test_rejects_are_counted_by_the_evidence_that_rejects() -> None:
    summary = Summary()
    for whole, spots in ((0.9, [None, 255, None]), (0.1, [255, None]), (float("nan"), [255])):
        with whole_frame_detector(whole) as detector:
            for spot in spots:
                summary.add(grey_frame(), detector.inspect(grey_frame(spot=spot)))
    facts = json.loads(summary.to_json())
    assert [facts[decision] for decision in ("OK", "NG", "NO_DECISION")] == [1, 4, 1]
    assert facts["rejected_by"] == {"map": 2, "whole frame": 3}
    words = "of the NG, 1 by the map alone, 2 by the whole frame alone, 1 by the map and the whole frame"
    assert summary.lines()[:2] == ["6 frames: 1 OK, 4 NG, 1 NO_DECISION", words]


def test_evidence_that_rejects_nothing_is_counted_in_json_alone_and_a_lone_map_is_not() -> None:
    summary = Summary()
    with whole_frame_detector(0.1) as detector:
        summary.add(grey_frame(), detector.inspect(grey_frame()))
    assert json.loads(summary.to_json())["rejected_by"] == {"map": 0, "whole frame": 0}
    assert not any("of the NG" in line for line in summary.lines())
    lone = Summary()
    lone.add(grey_frame(), verdict_of(0.9))
    assert "rejected_by" not in json.loads(lone.to_json())
    assert not any("of the NG" in line for line in lone.lines())


def test_no_decision_counts_as_a_reject() -> None:
    summary = Summary()
    frame = grey_frame(grey=0, defective=True)
    with fake_detector() as detector:
        summary.add(frame, detector.inspect(frame))
    truth = summary.as_dict()["ground_truth"]
    assert (truth["defective_rejected"], truth["image_auroc"]) == (1, None)


def test_a_summary_says_what_its_threshold_promises() -> None:
    proven = Threshold(13.5, 0.01, 0.95, 300, "order-statistic", True, 0.00994)
    assert Summary(proven).lines()[-1].startswith("threshold 13.500: 300 good images show that at most 1 % ")
    unproven = replace(proven, sample_size=60, method="gumbel", supported=False, supported_budget=0.0487)
    assert Summary(unproven).lines()[-1].startswith("threshold 13.500: NOT PROVEN: 1 % ")
    facts = json.loads(Summary(unproven).to_json())["threshold"]
    assert (facts["value"], facts["proven"]) == (13.5, False)
    assert facts["promise"].startswith("NOT PROVEN")


def test_a_run_without_frames_has_a_summary() -> None:
    assert Summary().lines() == ["0 frames: 0 OK, 0 NG, 0 NO_DECISION", "0 frames dropped, 0 reconnects"]
