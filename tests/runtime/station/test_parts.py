"""A part that several cameras see: the worst verdict, the deadline, and what comes too late."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from runtime_samples import fake_detector, grey_frame

from runtime.station.parts import REMEMBERED, Parts, PartVerdict
from runtime.verdict import Decision, Verdict

OK, NG, NO_DECISION = Decision.OK, Decision.NG, Decision.NO_DECISION
WAIT_S = 20.0
View = Callable[..., Verdict]  # of a part's id, a decision, and how long ago the picture was taken


@pytest.fixture(scope="module")
def sample() -> Verdict:
    with fake_detector() as detector:
        return detector.inspect(grey_frame())


@pytest.fixture
def view(sample: Verdict) -> View:
    def make(part_id: str | None, decision: Decision = OK, age_s: float = 0.0) -> Verdict:
        captured_s = time.monotonic() - age_s
        return replace(
            sample, part_id=part_id, decision=decision, reason=f"it is {decision.value}", captured_s=captured_s
        )

    return make


class Delivered:
    """Verdicts on parts, as they come."""

    def __init__(self) -> None:
        self.verdicts: list[PartVerdict] = []
        self._arrived = threading.Condition()

    def __call__(self, verdict: PartVerdict) -> None:
        with self._arrived:
            self.verdicts.append(verdict)
            self._arrived.notify_all()

    def wait(self, count: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.verdicts) >= count, WAIT_S)


@pytest.mark.parametrize(
    ("top", "left", "expected", "rejected_by"),
    [
        (OK, OK, OK, ()),
        (OK, NG, NG, ("left",)),
        (NO_DECISION, OK, NO_DECISION, ("top",)),
        (NO_DECISION, NG, NG, ("top", "left")),
        (NG, NO_DECISION, NG, ("top", "left")),
    ],
)
def test_the_worst_verdict_is_the_parts(
    top: Decision, left: Decision, expected: Decision, rejected_by: tuple[str, ...], view: View
) -> None:
    delivered = Delivered()
    parts = Parts(["top", "left"], 60, delivered)
    parts.add("left", view("7", left))
    assert delivered.verdicts == []
    parts.add("top", view("7", top))
    parts.close()
    (verdict,) = delivered.verdicts
    assert (verdict.part_id, verdict.decision, verdict.rejected_by) == ("7", expected, rejected_by)
    assert verdict.cameras == {"top": top, "left": left}
    for camera, decision in verdict.cameras.items():
        assert (f"{camera} {decision.value} (it is {decision.value})" in verdict.reason) == (decision is not OK)
    document = json.loads(verdict.to_json())
    assert document["decision"] == expected.value
    assert document["rejected_by"] == list(rejected_by)
    assert "frame_id" not in document


def test_a_straggler_is_no_decision_at_the_deadline_and_changes_nothing_later(view: View) -> None:
    delivered = Delivered()
    parts = Parts(["top", "left"], 0.2, delivered)
    started_s = time.monotonic()
    parts.add("top", view("7"))
    delivered.wait(1)
    waited_s = time.monotonic() - started_s
    assert 0.19 < waited_s < 5
    parts.add("left", view("7"))  # good, and too late
    parts.add("top", view("8"))
    parts.add("left", view("8"))
    parts.close()
    first, second = delivered.verdicts
    assert (first.decision, first.rejected_by) == (NO_DECISION, ("left",))
    assert first.reason == "left NO_DECISION (no view within 200 ms)"
    assert second.decision is OK
    assert (parts.summary.missing, parts.summary.late) == ({"left": 1}, {"left": 1})
    assert [text for text in parts.summary.lines() if "late" in text or "after" in text] == [
        "views came after the part's verdict, and changed nothing: 1 of left"
    ]


def test_the_deadline_counts_from_the_first_picture_and_no_part_passes_after_it(view: View) -> None:
    """Both views were taken long ago, and only their verdicts are new."""
    delivered = Delivered()
    parts = Parts(["top", "left"], 0.2, delivered)
    parts.add("top", view("7", OK, age_s=0.5))
    parts.add("left", view("7", OK, age_s=0.5))
    parts.close()
    (verdict,) = delivered.verdicts
    assert verdict.decision is NO_DECISION
    assert verdict.rejected_by == ("top", "left")
    assert "top NO_DECISION (its verdict came 3" in verdict.reason


def test_a_part_that_is_expected_has_its_verdict_without_any_view(view: View) -> None:
    delivered = Delivered()
    parts = Parts(["top", "left"], 0.2, delivered)
    parts.expect("7")
    parts.expect("8")
    parts.forget("8")
    delivered.wait(1)
    parts.add("top", view("7"))
    parts.expect("7")  # it had its verdict
    parts.close()
    (verdict,) = delivered.verdicts
    assert (verdict.part_id, verdict.decision, verdict.rejected_by) == ("7", NO_DECISION, ("top", "left"))


def test_the_deadline_counts_from_the_trigger(view: View) -> None:
    """The picture is new, and the trigger is not."""
    delivered = Delivered()
    parts = Parts(["top", "left"], 0.2, delivered)
    for camera in ("top", "left"):
        parts.add(camera, replace(view("7", OK), triggered_s=time.monotonic() - 0.5))
    parts.close()
    (verdict,) = delivered.verdicts
    assert verdict.decision is NO_DECISION
    assert verdict.latency_ms > 500


def test_a_second_view_of_a_camera_takes_back_no_reject(view: View) -> None:
    delivered = Delivered()
    parts = Parts(["top", "left"], 60, delivered)
    parts.add("top", view("7", NG))
    parts.add("top", view("7", OK))
    parts.add("left", view("7", OK))
    parts.close()
    assert [verdict.decision for verdict in delivered.verdicts] == [NG]


def test_a_camera_that_has_ended_is_not_waited_for(view: View) -> None:
    delivered = Delivered()
    parts = Parts(["top", "left"], 60, delivered)
    parts.add("top", view("7"))
    parts.end("left")
    parts.add("top", view("8"))
    assert [verdict.reason for verdict in delivered.verdicts] == [
        "left NO_DECISION (no view, since the camera has ended)"
    ] * 2
    parts.close()


def test_what_is_open_at_the_end_is_rejected(view: View) -> None:
    delivered = Delivered()
    parts = Parts(["top", "left"], 60, delivered)
    parts.add("top", view("7"))
    parts.close()
    parts.close()
    assert [verdict.reason for verdict in delivered.verdicts] == [
        "left NO_DECISION (no view before the line was stopped)"
    ]


def test_a_frame_of_no_part_passes_none(view: View, capsys: pytest.CaptureFixture[str]) -> None:
    delivered = Delivered()
    parts = Parts(["top", "left"], 60, delivered)
    for _ in range(3):
        parts.add("top", view(None))
    parts.close()
    assert delivered.verdicts == []
    assert parts.summary.as_dict()["frames_without_part"] == {"top": 3}
    (warning,) = capsys.readouterr().err.splitlines()  # once
    assert warning.startswith("warning: camera top delivered a frame that does not say of which part it is")


def test_memory_of_decided_parts_is_bounded_and_an_id_may_come_again_after_it(view: View) -> None:
    delivered = Delivered()
    parts = Parts(["top", "left"], 60, delivered)
    for number in (0, *range(REMEMBERED + 1), 0):
        for camera in ("top", "left"):
            parts.add(camera, view(str(number)))
    parts.close()
    assert len(delivered.verdicts) == REMEMBERED + 2  # the second 0 came too early, the third is another part
    assert parts.summary.late == {"top": 1, "left": 1}


def test_cameras_that_deliver_at_once_give_every_part_one_verdict(view: View) -> None:
    delivered = Delivered()
    names = ["top", "left", "right"]
    parts = Parts(names, 60, delivered)
    threads = [
        threading.Thread(target=lambda name=name: [parts.add(name, view(str(number))) for number in range(200)])
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    parts.close()
    assert sorted(int(verdict.part_id) for verdict in delivered.verdicts) == list(range(200))
    assert {verdict.decision for verdict in delivered.verdicts} == {OK}


def test_what_a_part_is_called_cannot_forge_a_line(view: View) -> None:
    delivered = Delivered()
    parts = Parts(["top", "left"], 60, delivered)
    parts.add("top", view("7\nOK part 8", NG))
    parts.close()
    assert "\n" not in delivered.verdicts[0].headline()
