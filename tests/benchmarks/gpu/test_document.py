"""What was not measured is said, each with its reason."""

from typing import Any

from benchmarks.gpu.document import ALWAYS_LEFT_OUT, not_measured

WHOLE: dict[str, Any] = {
    "tests": {"passed": 19},
    "teacher": {"compared": []},
    "paper": {"timing": {"rows": [], "failed_rows": {}}, "scales": [{"teacher": "p17", "steps_per_second": 9.0}]},
    "presets": {"presets": [{"preset": "fast", "failed_rows": {}, "agreement": {"fp32": {"score_in_deviations": 0}}}]},
}


def test_of_a_whole_run_only_what_it_never_measures_is_missing() -> None:
    assert not_measured({"device": "cuda", "parts": WHOLE}) == list(ALWAYS_LEFT_OUT)


def test_each_gap_has_its_reason() -> None:
    presets = [
        {"preset": "fast", "failed_rows": {"fp16": "no kernel"}, "agreement": {"fp32": {"failed": "no memory"}}},
        {"preset": "edge", "failed": "no backbone"},
    ]
    parts = {
        "teacher": {"stopped": "its time of 9 s was over"},
        "paper": {
            "timing": {"failed_rows": {"pytorch fp16": "no half"}},
            "scales": [{"teacher": "p65", "steps_per_second": None}],
        },
        "presets": {"presets": presets},
    }
    assert not_measured({"device": "cpu", "parts": parts}) == [
        "anything on a GPU",
        "tests: not asked for, or its turn did not come",
        "teacher: its time of 9 s was over",
        "the new teacher beside the one it began with: takes --descriptor-weights and a whole training",
        "paper, paper pytorch fp16: no half",
        "paper, the pace of p65: there was no time for it",
        "presets, fast fp16: no kernel",
        "presets, fast fp32, agreement: no memory",
        "presets, edge: no backbone",
        *ALWAYS_LEFT_OUT,
    ]
