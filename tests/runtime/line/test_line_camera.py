"""A controller that triggers a camera over Modbus: pictures at once, one result a part, all of it recorded."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from line_samples import ROOT, command, refused_here
from modbus_controller import answering, connected, reading, run_parts, writing
from runtime_samples import fake_detector, grey_frame, make_recipe
from triggered_camera import SimulatedCamera, number_in
from waiting import free_port

from runtime.cameras import open_source
from runtime.cameras.triggered import TriggeredSource
from runtime.errors import InputError, SourceError
from runtime.frames import Frame
from runtime.line.address import parse_address
from runtime.line.handshake import Acquisition, Handshake, Refusal
from runtime.line.inspection_loop import InspectionLoop, outcome_of
from runtime.line.recorder import Recorder
from runtime.line.results import Cause, Code, Mode, Outcome, Part
from runtime.line.triggered_camera import TriggeredCamera
from runtime.records.reading import Question, Records
from runtime.records.store import RecordStore
from runtime.verdict import Verdict

DEMO = ROOT / "runtime" / "data" / "demo.onnx"
START_S = 60.0


def test_a_controller_triggers_the_demo_line_over_modbus_and_every_result_is_recorded(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port, parts = free_port(), 12
    options = ("--camera", "demo", "--modbus", f"127.0.0.1:{port}", "--deadline-ms", 20_000, "--threads", 1)
    with command(environment, DEMO, *options, "--records", tmp_path / "records") as child:
        with connected(port) as client:
            answering(client, child)
            found = run_parts(parts, reading(client), writing(client))
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=START_S)
    assert child.returncode == 0, said
    assert f"{parts} triggers accepted, 0 refused" in said
    assert [part for part, _ in found] == list(range(1, parts + 1))
    assert {code for _, code in found} == {Code.OK, Code.NG}
    with Records(tmp_path / "records") as records:
        rows = list(records.find(Question()))[::-1]
    assert [(int(row["part_id"]), Code[row["decision"]]) for row in rows] == found
    assert [row["serial"] for row in rows] == [f"A-{number}" for number in range(1, parts + 1)]
    assert all(row["image"] for row in rows if row["decision"] == "NG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give a detector"),
        ((DEMO,), "--socket PATH"),
        ((DEMO, "--camera", "demo"), "nobody could trigger the camera"),
        ((DEMO, "--socket", "x.sock", "--modbus", "127.0.0.1:0"), "--socket and --modbus would control the line"),
        ((DEMO, "--camera", "demo", "--modbus", "nowhere"), "cannot listen on"),
        ((DEMO, "--camera", "demo", "--modbus", "127.0.0.1:x"), "expected HOST:PORT"),
        ((DEMO, "--camera", "v4l2:0", "--modbus", "127.0.0.1:0"), "trigger"),
    ],
)
def test_what_could_not_work_is_one_sentence(
    words: tuple[object, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    refused_here(monkeypatch, capsys, words, said)


@contextmanager
def running(handshake: Handshake, camera: SimulatedCamera, seen: list[tuple[int, int]]) -> Iterator[None]:
    """The loop over a simulated camera, whose pictures hold numbers; `seen` gets acquisitions and those."""

    def inspected(number: int, frame: Frame, verdict: Verdict) -> None:
        seen.append((number, number_in(frame.image)))

    with (
        fake_detector() as detector,
        TriggeredSource("simulated", lambda: camera, "external", deadline_s=10.0) as source,
        TriggeredCamera(handshake, source) as pictures,
    ):
        loop = InspectionLoop(handshake, detector, pictures.picture_of, take=pictures.take, inspected=inspected)
        thread = threading.Thread(target=loop.run)
        thread.start()
        handshake.ready()
        try:
            yield
        finally:
            handshake.stop()
            loop.stop()
            thread.join()


def test_each_part_has_the_picture_of_its_own_trigger() -> None:
    handshake, camera, seen = Handshake(10.0), SimulatedCamera(), list[tuple[int, int]]()
    with running(handshake, camera, seen):
        for number in range(1, 51):
            camera.next_number = 1000 + number
            answer = handshake.trigger(Part(number))
            assert isinstance(answer, Acquisition)
            result = handshake.wait_for_result(10.0)
            assert result is not None
            assert (result.part.part_id, result.code) == (number, Code.OK), result
            assert handshake.acknowledge(result.inspection_id)
    assert seen == [(number, 1000 + number) for number in range(1, 51)]


def test_a_camera_that_is_over_ends_the_loop_and_holds_the_line() -> None:
    handshake = Handshake(10.0)
    with fake_detector() as detector, open_source("demo") as source:
        source.close()
        with TriggeredCamera(handshake, source) as pictures:
            loop = InspectionLoop(handshake, detector, pictures.picture_of, take=pictures.take)
            handshake.ready()
            with pytest.raises(SourceError, match="the camera is over: its stream ended"):
                loop.run()
    refusal = handshake.trigger(Part(1))
    assert isinstance(refusal, Refusal)


def test_a_pass_that_is_taken_back_is_recorded_by_the_recipe_that_gave_it(tmp_path: Path) -> None:
    """Though another one is in force by then: a score has no meaning beside another recipe's."""
    clock_s = [100.0]
    with RecordStore(tmp_path) as store, fake_detector() as detector:
        recorder = Recorder(store, detector.recipe)
        handshake = Handshake(1.0, 4, lambda: clock_s[0])
        handshake.listen(recorder)
        handshake.ready()
        handshake.trigger(Part(1))
        verdict = detector.inspect(grey_frame(1))
        recorder.inspected(1, grey_frame(1), verdict)
        handshake.finish(1, outcome_of(verdict))
        recorder.follow(detector.recipe.with_threshold(9.0))
        clock_s[0] += 2.0
        handshake.view()
        handshake.trigger(Part(2))
        clock_s[0] += 2.0
        handshake.view()
        store.settle()
        rows = {"first": (detector.recipe.sha256, 0.5), "later": (detector.recipe.with_threshold(9.0).sha256, 9.0)}
    with Records(tmp_path) as records:
        found = [
            (row["part_id"], row["decision"], (row["recipe"], row["threshold"])) for row in records.find(Question())
        ]
    assert found[::-1] == [
        ("1", "OK", rows["first"]),
        ("1", "NO_DECISION", rows["first"]),
        ("2", "NO_DECISION", rows["later"]),
    ]


def test_what_the_controller_was_told_is_what_is_recorded(tmp_path: Path) -> None:
    clock_s = [100.0]
    with RecordStore(tmp_path) as store:
        recorder = Recorder(store, make_recipe())
        handshake = Handshake(1.0, 4, lambda: clock_s[0])
        handshake.listen(recorder)
        handshake.trigger(Part(1))
        handshake.ready()
        handshake.trigger(Part(2, "S-2", "batch 7"))
        handshake.finish(1, Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0))
        handshake.trigger(Part(3))
        handshake.set_mode(Mode.BYPASS)
        handshake.trigger(Part(4))
        clock_s[0] += 2.0
        handshake.view()
        store.settle()
    with Records(tmp_path) as records:
        rows = list(records.find(Question()))[::-1]
    told = [(row["part_id"], row["decision"], row["mode"], str(row["reason"]).partition(":")[0]) for row in rows]
    assert told == [
        ("1", "NO_DECISION", "RUN", "trigger refused, NOT_READY"),
        ("2", "OK", "RUN", "None"),
        ("4", "OK", "BYPASS", "BYPASS"),
        ("3", "NO_DECISION", "RUN", "no result within 1000 ms"),
        ("2", "NO_DECISION", "RUN", "a pass that nobody took within 1000 ms of the trigger"),
    ]
    assert (rows[1]["serial"], rows[1]["batch"]) == ("S-2", "batch 7")


@pytest.mark.parametrize("text", ["", "host", "host:", ":5", "host:65536", "host:5?", "host:5?too=1", "502"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    if text == "host":
        assert parse_address("modbus", text, 502, ()).port == 502
        return
    with pytest.raises(InputError, match="expected HOST:PORT"):
        parse_address("modbus", text, 502, ("to",))
