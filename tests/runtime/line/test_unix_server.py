"""The server on a Unix socket: what controllers do wrong, or do not do, ends their connection and nothing else."""

import fcntl
import grp
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_samples import (
    GREY,
    PATIENCE_S,
    ROOT,
    SIZE_HW,
    SPOTTED,
    Served,
    asked,
    connected,
    greeted,
    memory,
    received,
    serving,
)
from numpy.typing import NDArray
from runtime_samples import fake_detector

from runtime.errors import EngineError, InputError, LineError
from runtime.frames import Frame
from runtime.line.handshake import Handshake
from runtime.line.pictures import Pictures
from runtime.line.python_client import Accepted, LineClient, PartResult, Refused
from runtime.line.results import Cause, Code, Mode, Part
from runtime.line.unix_server import LONGEST_PATH, UnixServer
from runtime.line.wire import (
    ACKNOWLEDGE,
    HEADER,
    HELLO,
    MESSAGES,
    STATUS_REQUEST,
    TRIGGER,
    Closing,
    PixelFormat,
    pack,
    text_of,
)  # fmt: skip
from runtime.verdict import Verdict

PICTURE = {"width": SIZE_HW[1], "height": SIZE_HW[0], "pixel_format": PixelFormat.BGR8, "flags": 1}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "line.sock") as found:
        yield found


def inspected(line: LineClient, image: NDArray[np.uint8] = GREY, part_id: int = 1) -> PartResult:
    """The result of a part that has to be accepted."""
    answer = line.trigger(image, Part(part_id, f"serial {part_id}", "order ü"), recorded=True, timeout_s=PATIENCE_S)
    assert isinstance(answer, Accepted), answer
    result = line.result(PATIENCE_S)
    assert result is not None
    return result


def gone(of: socket.socket) -> tuple[Closing, str]:
    """The runtime's last word, after which there is nothing."""
    values = received(of).values
    assert of.recv(1) == b""
    return Closing(values["why"]), text_of(values["reason"]) or ""


def test_parts_go_from_trigger_to_result(served: Served) -> None:
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        good, bad = inspected(line, GREY, 70_000), inspected(line, SPOTTED, 2)
        assert (good.code, good.cause, good.passes) == (Code.OK, Cause.NONE, True)
        assert (good.part, good.score, good.threshold) == (Part(70_000, "serial 70000", "order ü"), 0.0, 0.5)
        assert 0 < good.finished_s - good.triggered_s < PATIENCE_S
        assert (bad.code, bad.cause, bad.passes, bad.inspection_id) == (Code.NG, Cause.JUDGED, False, 2)
        assert line.session_id == served.handshake.session_id


def test_grey_pictures_and_rows_with_gaps_are_read_as_they_are(served: Served) -> None:
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        assert inspected(line, GREY[:, :, 0]).score == 0.0
        assert inspected(line, SPOTTED[:, :, 0]).code is Code.NG
    width, height = SIZE_HW[1], SIZE_HW[0]
    gap = 7
    rows = np.zeros((height, width * 3 + gap), np.uint8)  # black gaps, which would be NG
    rows[:, : width * 3] = 128
    with greeted(served.path, 1, rows.size) as by_hand:
        descriptor = memory(rows.size)
        os.pwrite(descriptor, rows.tobytes(), 0)
        by_hand.close()
        with connected(served.path) as other:
            hello = pack(HELLO, {"slots": 1, "slot_bytes": rows.size})
            socket.send_fds(other, [hello], [descriptor])
            os.close(descriptor)
            assert received(other).layout.name == "welcome"
            assert asked(other, TRIGGER, **PICTURE, stride=rows.shape[1]).layout.name == "accepted"
            values = received(other).values
            assert (values["code"], values["score"]) == (Code.OK, 0.0)


def test_a_slot_is_free_upon_the_answer(tmp_path: Path) -> None:
    """What is written to it afterwards is not inspected."""
    go = threading.Event()

    def slow(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert go.wait(PATIENCE_S)
        return np.abs(frames.astype(np.float32).mean(axis=3) - 128) / 128

    with (
        fake_detector(slow) as detector,
        serving(tmp_path / "line.sock", detector) as served,
        LineClient(served.path, SIZE_HW, slots=1, timeout_s=PATIENCE_S) as line,
    ):
        assert isinstance(line.trigger(GREY, Part(1), timeout_s=PATIENCE_S), Accepted)
        refused = line.trigger(SPOTTED, Part(2), timeout_s=PATIENCE_S)  # over the first, in the one slot
        assert isinstance(refused, Accepted)
        go.set()
        results = [line.result(PATIENCE_S) for _ in range(2)]
        assert [result.code for result in results if result is not None] == [Code.OK, Code.NG]


def test_the_same_picture_of_a_camera_twice_is_no_pass(served: Served) -> None:
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        found = []
        for part_id in (1, 2):
            assert isinstance(line.trigger(GREY, Part(part_id), timeout_s=PATIENCE_S), Accepted)
            found.append(line.result(PATIENCE_S))
        assert [result.code for result in found if result is not None] == [Code.OK, Code.NO_DECISION]
        assert found[1] is not None
        assert found[1].reason.startswith("frozen")


def test_a_second_controller_is_refused_and_comes_in_when_the_first_is_gone(served: Served) -> None:
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as first:
        with pytest.raises(LineError, match=r"BUSY.*another controller"):
            LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S)
        assert inspected(first).passes
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as second:
        assert inspected(second).acquisition_id == 2


def test_the_status_has_the_names_of_the_register_map(served: Served) -> None:
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        before = line.status(PATIENCE_S)
        assert (before["session_id"], before["map_version"], before["acquisition_id"]) == (line.session_id, 1, 0)
        assert before["status"] & 0b111 == 0b011  # online, trigger_ready
        inspected(line)
        after = line.status(PATIENCE_S)
        assert after["acquisition_id"] == 1
        assert after["status"] & 0b111 == 0b111


def test_a_controller_that_is_killed_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    go = threading.Event()
    begun = threading.Semaphore(0)

    def slow(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        begun.release()
        assert go.wait(PATIENCE_S)
        return np.zeros(frames.shape[:3], np.float32)

    program = (
        "import sys, time, numpy as np\n"
        "from runtime.line.python_client import LineClient\n"
        "from runtime.line.results import Part\n"
        f"line = LineClient(sys.argv[1], {SIZE_HW}, timeout_s=20)\n"
        f"print(line.trigger(np.full({(*SIZE_HW, 3)}, 128, np.uint8), Part(77), timeout_s=20), flush=True)\n"
        "time.sleep(60)\n"
    )
    with fake_detector(slow) as detector, serving(tmp_path / "line.sock", detector) as served:
        child = subprocess.Popen([sys.executable, "-c", program, str(served.path)], stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None
            assert "Accepted" in child.stdout.readline()
            assert begun.acquire(timeout=PATIENCE_S)  # under way at the engine
        finally:
            child.send_signal(signal.SIGKILL)
            child.communicate()
        with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
            go.set()
            assert line.result(0.3) is None
            result = inspected(line, GREY, 78)
            assert (result.acquisition_id, result.part.part_id) == (2, 78)
            assert served.handshake.view().too_late == 0


def test_results_that_were_not_acknowledged_are_not_given_to_the_next(served: Served) -> None:
    with greeted(served.path) as first:
        assert asked(first, TRIGGER, **PICTURE).layout.name == "accepted"
        assert received(first).layout.name == "result"
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        assert line.result(0.2) is None
        assert inspected(line).inspection_id == 2


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"slot": 2}, "there are 2"),
        ({"slot": 2**32 - 1}, "there are 2"),
        ({"width": 0}, "expected 1 to"),
        ({"height": 0}, "expected 1 to"),
        ({"width": 2**32 - 1}, "expected 1 to"),
        ({"height": 65_536}, "a slot has"),
        ({"height": SIZE_HW[0] + 1}, "a slot has"),
        ({"height": 2, "stride": 2**32 - 1}, "a slot has"),
        ({"stride": 5}, "a row of 48 pixels has 144"),
        ({"pixel_format": 0}, "pixel format 0"),
        ({"serial": "x" * 35}, "expected 32 at most"),
    ],
)
def test_a_trigger_that_lies_is_refused_and_counted_and_the_next_one_is_taken(
    served: Served, lie: dict[str, object], words: str
) -> None:
    with greeted(served.path) as line:
        answer = asked(line, TRIGGER, **{**PICTURE, "part_id": 23, **lie})
        assert (answer.layout.name, answer.values["cause"], answer.values["part_id"]) == (
            "refused",
            Cause.BAD_INPUT,
            23,
        )
        assert words in (text_of(answer.values["reason"]) or "")
        view = served.handshake.view()
        assert (view.missed, view.missed_part_id, view.missed_cause) == (1, 23, Cause.BAD_INPUT)
        assert asked(line, TRIGGER, **PICTURE).layout.name == "accepted"


def test_a_picture_of_one_row_costs_no_more_than_it_has(served: Served) -> None:
    with greeted(served.path) as line:
        answer = asked(line, TRIGGER, **{**PICTURE, "height": 1, "stride": 2**32 - 1})
        assert answer.layout.name == "accepted"
        assert received(line).values["code"] == Code.NO_DECISION  # its aspect is no part's


def hello_with(path: Path, descriptors: list[int], **values: int) -> tuple[Closing, str]:
    with connected(path) as line:
        socket.send_fds(line, [pack(HELLO, {"slots": 2, "slot_bytes": GREY.size, **values})], descriptors)
        return gone(line)


def test_memory_that_could_go_away_is_refused(served: Served, tmp_path: Path) -> None:
    size = 2 * GREY.size
    unsealed, sealed, file = memory(size, seals=0), memory(size), os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    reader, writer = os.pipe()
    try:
        assert "can be shrunk" in hello_with(served.path, [unsealed])[1]
        for other in (file, reader):
            os.truncate(file, size)
            why, reason = hello_with(served.path, [other])
            assert (why, "memfd" in reason or "shrunk" in reason) == (Closing.MEMORY, True)
        assert "0 descriptors" in hello_with(served.path, [])[1]
        assert "2 descriptors" in hello_with(served.path, [sealed, sealed])[1]
        for lie in ({"slots": 0}, {"slots": 65}, {"slot_bytes": 0}, {"slot_bytes": 2**63}):
            assert "expected 1 to" in hello_with(served.path, [sealed], **lie)[1]
        assert "need more" in hello_with(served.path, [sealed], slots=3)[1]
        fcntl.fcntl(unsealed, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    finally:
        for each in (unsealed, sealed, file, reader, writer):
            os.close(each)
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        assert inspected(line).passes


def test_no_descriptor_is_left_whatever_came(served: Served) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        inspected(line)
    before = settled(descriptors)
    for _ in range(20):
        sealed = memory(2 * GREY.size)
        with connected(served.path) as line_by_hand:
            hello = pack(HELLO, {"slots": 2, "slot_bytes": GREY.size})
            socket.send_fds(line_by_hand, [hello], [sealed])
            assert received(line_by_hand).layout.name == "welcome"
            socket.send_fds(line_by_hand, [pack(STATUS_REQUEST, {})], [sealed, sealed, sealed])  # not asked for
            assert received(line_by_hand).layout.name == "status"
        hello_with(served.path, [sealed] * 4)
        os.close(sealed)
    assert settled(descriptors) <= before


def settled(count) -> int:  # type: ignore[no-untyped-def]
    """A count that has not changed for a while."""
    last, since_s = count(), time.monotonic()
    until_s = since_s + PATIENCE_S
    while time.monotonic() - since_s < 0.3 and time.monotonic() < until_s:
        time.sleep(0.02)
        if (now := count()) != last:
            last, since_s = now, time.monotonic()
    return int(last)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\0" * 16, Closing.PROTOCOL),
        (b"x" * 4096, Closing.PROTOCOL),
        (b"x" * 60_000, Closing.PROTOCOL),
        (pack(HELLO, {}), Closing.PROTOCOL),
        (pack(ACKNOWLEDGE, {"inspection_id": 1}), Closing.PROTOCOL),
        (pack(STATUS_REQUEST, {})[:-1], Closing.PROTOCOL),
    ],
)
def test_what_is_no_message_ends_the_connection_with_a_word(served: Served, message: bytes, why: Closing) -> None:
    with greeted(served.path) as line:
        with suppress(BrokenPipeError):
            for _ in range(3):  # what is not read any more must not take the last word away
                line.send(message)
        assert gone(line)[0] is why
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as after:
        assert inspected(after).passes


def test_another_version_is_told_so(served: Served) -> None:
    with connected(served.path) as line:
        data = bytearray(pack(HELLO, {}))
        data[4] = 9
        line.send(data)
        why, reason = gone(line)
        assert (why, "version 9" in reason) == (Closing.VERSION, True)


def test_who_says_nothing_keeps_nobody_out(served: Served) -> None:
    with connected(served.path) as silent, LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        assert inspected(line).passes
        assert gone(silent)[0] is Closing.SILENT


CHUNKS = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([pack(layout, {}) for layout in MESSAGES]),
    st.builds(
        lambda layout, body: pack(layout, {})[: HEADER.size] + body[: layout.size].ljust(layout.size, b"\xff"),
        st.sampled_from(MESSAGES),
        st.binary(max_size=400),
    ),
)


def test_garbage_ends_connections_and_never_the_service(served: Served) -> None:
    @settings(max_examples=120)
    @given(greet=st.booleans(), chunks=st.lists(CHUNKS, min_size=1, max_size=8))
    def throw(greet: bool, chunks: list[bytes]) -> None:
        with connected(served.path) if not greet else greeted(served.path) as line:
            line.settimeout(0.05)
            try:
                for chunk in chunks:
                    line.send(chunk)
                line.recv(4096)
            except OSError:
                pass

    throw()
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        assert inspected(line).passes


def test_a_flood_of_triggers_has_each_answered_and_each_accepted_one_its_result(served: Served) -> None:
    """400 triggers, sent as fast as the socket takes them by one thread, read by another."""
    sent, answers, results = 400, [], []
    with greeted(served.path) as line:

        def flood() -> None:
            for number in range(sent):
                line.send(pack(TRIGGER, {**PICTURE, "part_id": number}))

        thread = threading.Thread(target=flood)
        thread.start()
        accepted = dict[int, int]()
        while len(answers) < sent or len(results) < len(accepted):
            message = received(line)
            if message.layout.name == "result":
                number = message.values["acquisition_id"]
                assert accepted[number] == message.values["part_id"]  # its answer came before
                results.append(number)
                line.send(pack(ACKNOWLEDGE, {"inspection_id": message.values["inspection_id"], "code": 1}))
                continue
            answers.append(message.values["part_id"])
            if message.layout.name == "accepted":
                accepted[message.values["acquisition_id"]] = message.values["part_id"]
            else:
                assert message.values["cause"] in (Cause.OVERRUN, Cause.UNACKNOWLEDGED)
        thread.join()
    assert answers == list(range(sent))
    assert results == sorted(accepted)
    view = served.handshake.view()
    assert view.accepted + view.missed == sent
    assert view.accepted >= 1


def test_a_controller_that_reads_nothing_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.line.unix_connection.SEND_S", 0.2)
    with greeted(served.path) as line:
        line.settimeout(PATIENCE_S)
        until_s = time.monotonic() + PATIENCE_S
        with suppress(OSError):  # a broken pipe, or that it was reset
            while time.monotonic() < until_s:
                line.send(pack(STATUS_REQUEST, {}))
        assert time.monotonic() < until_s
        with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as other:
            assert inspected(other).passes


def test_an_engine_that_fails_is_no_decision_by_its_cause(tmp_path: Path) -> None:
    def broken(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise EngineError("the device is gone")

    with (
        fake_detector(broken) as detector,
        serving(tmp_path / "line.sock", detector) as served,
        LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line,
    ):
        result = inspected(line)
        assert (result.code, result.cause, result.score) == (Code.NO_DECISION, Cause.ENGINE, None)
        assert "the device is gone" in result.reason


def test_a_missed_deadline_is_late_while_the_engine_still_works(tmp_path: Path) -> None:
    go = threading.Event()

    def hanging(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        go.wait(PATIENCE_S)
        return np.zeros(frames.shape[:3], np.float32)

    with (
        fake_detector(hanging) as detector,
        serving(tmp_path / "line.sock", detector, deadline_s=0.2) as served,
        LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line,
    ):
        result = inspected(line)
        assert (result.code, result.cause) == (Code.NO_DECISION, Cause.LATE)
        assert not go.is_set()
        go.set()


def test_a_pass_that_a_controller_reads_after_its_deadline_is_none(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "line.sock", deadline_s=0.4) as served,
        LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line,
    ):
        assert isinstance(line.trigger(GREY, Part(1), timeout_s=PATIENCE_S), Accepted)
        time.sleep(0.6)
        result = line.result(PATIENCE_S)
        assert result is not None
        assert (result.code, result.cause) == (Code.NO_DECISION, Cause.LATE)


def test_a_held_line_refuses_and_bypass_says_so(served: Served) -> None:
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        served.handshake.hold(Cause.HELD, "somebody paused it")
        answer = line.trigger(GREY, Part(5), timeout_s=PATIENCE_S)
        assert isinstance(answer, Refused)
        assert (answer.part_id, answer.cause, answer.reason) == (5, Cause.HELD, "somebody paused it")
        served.handshake.set_mode(Mode.BYPASS)
        result = inspected(line)
        assert (result.passes, result.mode, result.score) == (True, Mode.BYPASS, None)


def test_the_end_is_said_and_parts_under_way_get_their_rejects(tmp_path: Path) -> None:
    class Never:
        def inspect(self, frame: Frame, timeout_s: float = 30.0) -> Verdict:
            time.sleep(0.5)
            raise EngineError("never")

    handshake, pictures = Handshake(PATIENCE_S), Pictures()
    server = UnixServer(tmp_path / "line.sock", handshake, pictures)
    handshake.ready()
    with LineClient(tmp_path / "line.sock", SIZE_HW, timeout_s=PATIENCE_S) as line:
        assert isinstance(line.trigger(GREY, Part(1), timeout_s=PATIENCE_S), Accepted)
        handshake.stop()
        result = line.result(PATIENCE_S)
        assert result is not None
        assert (result.code, result.cause) == (Code.NO_DECISION, Cause.STOPPED)
        server.close()
        with pytest.raises(LineError, match=r"STOPPED.*the runtime ends"):
            line.result(PATIENCE_S)
        with pytest.raises(LineError, match="connect again"):
            line.status()
    assert not (tmp_path / "line.sock").exists()


def test_the_file_is_for_this_user_alone_and_a_left_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "line.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
        left.bind(str(path))
    with serving(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(InputError, match="served by another runtime"):
            UnixServer(path, Handshake(1.0), Pictures())
    assert not path.exists()
    group = os.getgid()
    with UnixServer(path, Handshake(1.0), Pictures(), grp.getgrgid(group).gr_name):
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o660, group)


def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    def refused(path: Path, group: str | None = None) -> str:
        with pytest.raises(InputError) as caught:
            UnixServer(path, Handshake(1.0), Pictures(), group)
        return str(caught.value)

    assert f"the system takes {LONGEST_PATH}" in refused(tmp_path / ("x" * 110))
    assert "check the folder" in refused(tmp_path / "none" / "line.sock")
    (tmp_path / "file").write_text("precious")
    assert "is no socket" in refused(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"
    assert "is unknown on this machine" in refused(tmp_path / "line.sock", "no-such-group")


def test_a_python_controller_is_told_what_is_wrong_with_its_picture(served: Served) -> None:
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        with pytest.raises(InputError, match="expected uint8"):
            line.trigger(GREY.astype(np.float32), Part(1))  # type: ignore[arg-type]
        with pytest.raises(InputError, match="the slots have"):
            line.trigger(np.zeros((500, 500, 3), np.uint8), Part(1))
        with pytest.raises(InputError, match="serial number"):
            line.trigger(GREY, Part(1, "x" * 33))
        assert inspected(line).passes
    with pytest.raises(LineError, match="is the runtime there"):
        LineClient(served.path.with_name("gone.sock"), SIZE_HW)


def test_a_controller_of_any_pace_gets_every_result_once(served: Served) -> None:
    rng, sent, got = random.Random(7), 0, list[int]()
    with LineClient(served.path, SIZE_HW, timeout_s=PATIENCE_S) as line:
        accepted = list[int]()
        while sent < 200:
            for _ in range(rng.randrange(4)):
                sent += 1
                answer = line.trigger(GREY, Part(sent), recorded=True, timeout_s=PATIENCE_S)
                if isinstance(answer, Accepted):
                    accepted.append(sent)
            while rng.random() < 0.7 and (result := line.result(0.0)) is not None:
                got.append(result.part.part_id)
        while len(got) < len(accepted) and (result := line.result(PATIENCE_S)) is not None:
            got.append(result.part.part_id)
    assert got == accepted


def test_the_code_of_the_page_is_a_controller(served: Served) -> None:
    page = (ROOT / "runtime" / "line" / "README.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {"picture": GREY}
    exec(code.replace("/run/proctor/line.sock", str(served.path)).replace("0.3", "20"), names)
    assert names["passes"] is True
