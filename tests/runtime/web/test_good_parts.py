"""Good parts on the page: pictures are kept whole, people say which are good, commands make a detector of them."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from runtime_samples import grey_frame, make_recipe, write_detector
from tries import tried
from waiting import until
from web_samples import Alone, browsing, fed_page, server_alone, users_file

from runtime.detector_file import read_detector
from runtime.errors import InputError
from runtime.frames import Frame, missing_frame
from runtime.images import read_image
from runtime.verdict import Verdict
from runtime.web import collector as collecting
from runtime.web.board import Hello
from runtime.web.collector import Collector
from runtime.web.jobs import Job, Step
from runtime.web.part_sets import FEWEST, GOOD, REFUSED, TRIAL, begin, newest
from runtime.web.serving import Serving
from runtime.web.totals import ONLY

ROOT = Path(__file__).parents[3]


def spotted(number: int, **fields: Any) -> tuple[Frame, Verdict]:
    frame = grey_frame(number, grey=100 + number, part_id=f"part-{number}", **fields)
    recipe = make_recipe()
    decided = frame.captured_s, frame.captured_s, frame.captured_at, frame.captured_at
    verdict = Verdict(
        decision=SimpleNamespace(value="NG"), reason="score", frame_id=number, part_id=frame.part_id,
        captured_s=decided[0], decided_s=decided[1], captured_at=decided[2], decided_at=decided[3], score=0.9,
        threshold=recipe.threshold.value, regions=(), recipe_sha256=recipe.sha256,
    )  # fmt: skip
    return frame, verdict


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        yield made


def kept(collector: Collector) -> int:
    state = collector.state
    assert state is not None
    return int(state["kept"])


def test_pictures_are_kept_to_the_pixel_whatever_was_said_of_them(collector: Collector, tmp_path: Path) -> None:
    assert collector.state is None
    collector.begin("left", tmp_path / "good", 3)
    for number, count in enumerate((1, 2, 3, 3, 3)):
        collector.take("right", *spotted(50 + number))
        collector.take("left", *spotted(number, triggered_s=1.0))
        until(lambda count=count: kept(collector) == count)
    state = collector.state
    assert state is not None
    assert (state["camera"], state["kept"], state["wanted"], state["problem"]) == (None, 3, 3, None)
    assert sorted(each.name for each in (tmp_path / "good").iterdir()) == ["000001.png", "000002.png", "000003.png"]
    for number in range(3):
        read = read_image(tmp_path / "good" / f"{number + 1:06d}.png")
        assert np.array_equal(read, spotted(number)[0].image)
    lines = [json.loads(line) for line in (tmp_path / "good.jsonl").read_text().splitlines()]
    assert [(each["name"], each["part_id"], each["decision"]) for each in lines] == [
        (f"{number + 1:06d}.png", f"part-{number}", "NG") for number in range(3)
    ]
    collector.begin("left", tmp_path / "good", 1)
    collector.take("left", *spotted(7))
    until(lambda: (tmp_path / "good" / "000004.png").exists())


def test_of_a_camera_in_free_run_one_picture_a_second_is_kept(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(collecting.time, "monotonic", lambda: now[0])
    collector.begin("left", tmp_path / "good", 10)
    for number in range(6):
        collector.take("left", *spotted(number, live=True))
        now[0] += 0.4
        until(lambda: collector._waiting.empty())
    until(lambda: kept(collector) == 2)
    names = [json.loads(line)["part_id"] for line in (tmp_path / "good.jsonl").read_text().splitlines()]
    assert names == ["part-0", "part-3"]


def test_what_is_no_picture_is_not_kept(collector: Collector, tmp_path: Path) -> None:
    collector.begin("left", tmp_path / "good", 2)
    collector.take("left", missing_frame(1, "camera lost"), spotted(1)[1])
    collector.take("left", *spotted(2))
    until(lambda: kept(collector) == 1)
    assert json.loads((tmp_path / "good.jsonl").read_text())["part_id"] == "part-2"


def test_a_full_disk_ends_it_with_a_reason_and_nothing_waits(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(collecting.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**20))
    collector.begin("left", tmp_path / "good", 5)
    collector.take("left", *spotted(1))
    until(lambda: (collector.state or {})["problem"])
    state = collector.state
    assert state is not None
    assert (state["camera"], state["kept"]) == (None, 0)
    assert "has less than 1024 MiB left" in state["problem"]
    assert "inspection goes on" in capsys.readouterr().err
    monkeypatch.undo()
    collector.begin("left", tmp_path / "good", 1)
    collector.take("left", *spotted(2))
    until(lambda: kept(collector) == 1)


def hanging_disk(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """A disk that answers once the first event is set; the second is set by a picture that is given to it."""
    hangs, begins = threading.Event(), threading.Event()

    def hanging(*given: Any) -> None:
        begins.set()
        hangs.wait(60)

    monkeypatch.setattr(collecting, "_kept", hanging)
    return hangs, begins


def test_a_disk_that_hangs_holds_nobody_up(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, begins = hanging_disk(monkeypatch)
    collector.begin("left", tmp_path / "good", 50)
    collector.take("left", *spotted(0))
    assert begins.wait(60)
    for number in range(20):
        collector.take("left", *spotted(number))  # this thread would stand still here
    assert collector._waiting.full()
    hangs.set()
    until(lambda: kept(collector) == 3)


@pytest.mark.parametrize("waiting", [2, 0])  # pictures: without room for word of the end, and with
def test_closing_leaves_a_disk_that_hangs_behind_and_says_so(
    waiting: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hangs, begins = hanging_disk(monkeypatch)
    monkeypatch.setattr(collecting, "CLOSE_S", 0.1)
    collector = Collector()
    collector.begin("left", tmp_path / "good", 50)
    collector.take("left", *spotted(0))
    assert begins.wait(60)
    for number in range(waiting):
        collector.take("left", *spotted(number))
    collector.close()
    assert "warning: the disk that pictures are collected on hangs" in capsys.readouterr().err
    monkeypatch.setattr(collecting, "CLOSE_S", 60.0)
    hangs.set()
    collector.close()
    assert collector._thread is not None
    assert not collector._thread.is_alive()
    assert capsys.readouterr().err == ""


def keep_one(collector: Collector, folder: Path, number: int) -> None:
    collector.begin("left", folder, 1)
    collector.take("left", *spotted(number))
    until(lambda: kept(collector) == 1)


def test_half_a_line_after_a_power_cut_costs_no_picture(collector: Collector, tmp_path: Path) -> None:
    made = begin(tmp_path, ONLY, 5, "otto")
    good, said = made.folder / GOOD, made.folder / "good.jsonl"
    for number in range(3):
        keep_one(collector, good, number)
    whole = said.read_bytes()
    lines = whole.splitlines(keepends=True)
    # half of the last line, none of it, and, of an older version, half a line that the next one was written behind
    for left in (whole[:-30], b"".join(lines[:2]), lines[0] + lines[1][:20] + lines[2]):
        said.write_bytes(left)
        before = {each.name: each.read_bytes() for each in good.iterdir()}
        keep_one(collector, good, 40)
        after = {each.name: each.read_bytes() for each in good.iterdir()}
        new = f"{len(before) + 1:06d}.png"
        assert {name: after[name] for name in before} == before
        assert set(after) - set(before) == {new}
        assert made.told()[new]["part_id"] == "part-40"


def test_the_number_of_a_picture_is_not_used_again(collector: Collector, tmp_path: Path) -> None:
    made = begin(tmp_path, ONLY, 5, "otto")
    good, said = made.folder / GOOD, made.folder / "good.jsonl"
    for number in range(4):
        keep_one(collector, good, number)
    made.say("000004.png", False)
    said.unlink()
    keep_one(collector, good, 4)  # the highest is a refused one
    (good / "000005.png").unlink()
    keep_one(collector, good, 5)  # the highest has its line alone
    assert made.names() == ["000001.png", "000002.png", "000003.png", "000006.png"]
    keep_one(collector, made.folder / TRIAL, 6)  # which are counted for themselves
    assert made.names(TRIAL) == ["000001.png"]
    made.say("000004.png", True)
    assert np.array_equal(read_image(good / "000004.png"), spotted(3)[0].image)


def filled(folder: Path, count: int = FEWEST) -> Any:
    made = begin(folder, ONLY, count, "otto")
    for number in range(count):
        cv2.imwrite(str(made.folder / GOOD / f"{number + 1:06d}.png"), spotted(number)[0].image)
    return made


def test_sets_are_numbered_and_the_newest_is_found(tmp_path: Path) -> None:
    assert newest(tmp_path / "parts") is None
    assert [begin(tmp_path / "parts", ONLY, 5, "otto").number for _ in range(3)] == [1, 2, 3]
    (tmp_path / "parts" / "0007").mkdir()  # somebody's own folder; its number is taken
    found = newest(tmp_path / "parts")
    assert found is not None
    assert found.number == 3
    assert begin(tmp_path / "parts", ONLY, 5, "otto").number == 8


def test_taking_a_picture_out_takes_the_confirmation_back(tmp_path: Path) -> None:
    made = filled(tmp_path, FEWEST + 1)
    made.confirm("otto")
    assert made.read("confirmed")["pictures"] == FEWEST + 1
    made.say("000003.png", False)
    assert made.read("confirmed") is None
    assert made.names(REFUSED) == ["000003.png"]
    assert len(made.names()) == FEWEST
    made.say("000003.png", False)
    made.say("000003.png", True)
    assert (made.names(REFUSED), len(made.names())) == ([], FEWEST + 1)
    for name in ("../set.json", "000099.png", "set.json", ""):
        with pytest.raises(InputError, match="no such picture"):
            made.say(name, False)
    made.say("000001.png", False)
    made.say("000002.png", False)
    with pytest.raises(InputError, match=f"has {FEWEST - 1} good pictures"):
        made.confirm("otto")
    made.made.parent.mkdir()
    made.made.write_bytes(b"")
    with pytest.raises(InputError, match="begin another set"):
        made.say("000001.png", True)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules that a job can run; each notes that it ran."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    note = "import sys; open({log!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n".format(log=str(tmp_path / "ran"))
    (tmp_path / "fine.py").write_text(note + "print('half done'); print('done', file=sys.stderr)")
    (tmp_path / "fails.py").write_text(note + "print('begun'); print('error: no room'); sys.exit(2)")
    (tmp_path / "waits.py").write_text(note + "import time; print('waiting', flush=True); time.sleep(600)")
    return tmp_path


def test_a_job_runs_its_commands_in_order_and_holds_where_it_says(commands: Path) -> None:
    held: list[bool] = []
    steps = [Step("one", "fine", ("1",)), Step("two", "fine", ("2",), holds=True), Step("three", "fine", ("3",))]
    job = Job("train", "erna", steps, commands / "log.txt", held.append)
    until(lambda: job.is_done)
    assert job.problem is None
    assert (commands / "ran").read_text() == "1\n2\n3\n"
    assert held == [True, False]
    document = job.document
    assert document["lines"] == ["half done", "done"] * 3
    assert list(document["took_s"]) == ["one", "two", "three"]
    assert (commands / "log.txt").read_text().count("half done\n") == 3


def test_a_command_that_fails_ends_its_job_with_its_last_line(commands: Path) -> None:
    held: list[bool] = []
    steps = [Step("one", "fails", (), holds=True), Step("two", "fine", ())]
    job = Job("train", "erna", steps, commands / "log.txt", held.append)
    until(lambda: job.is_done)
    assert (job.problem, held) == ("no room", [True, False])
    assert (commands / "ran").read_text() == "\n"


def test_a_job_is_cancelled_at_once_and_lets_parts_pass_again(commands: Path) -> None:
    held: list[bool] = []
    job = Job(
        "train",
        "erna",
        [Step("one", "waits", (), holds=True), Step("two", "fine", ())],
        commands / "log.txt",
        held.append,
    )
    until(lambda: "waiting" in job.document["lines"])
    job.cancel("otto")
    until(lambda: job.is_done)
    assert (job.problem, held) == ("cancelled by otto", [True, False])
    job.cancel("vera")
    assert job.problem == "cancelled by otto"


def test_a_log_that_cannot_be_written_ends_the_job_and_its_command(commands: Path) -> None:
    job = Job("train", "erna", [Step("one", "waits", ())], commands / "no" / "log.txt")
    until(lambda: job.is_done)
    assert "No such file" in str(job.problem)


@contextmanager
def station(folder: Path) -> Iterator[Alone]:
    """A page whose detector runs from a file, with a folder for pictures; the stream is the test."""
    pytest.importorskip("onnx", reason="the detector of these tests is built with the onnx package")
    path = write_detector(folder / "detector.onnx")
    serving = Serving("127.0.0.1", 0, users=str(users_file(folder)), parts=str(folder / "parts"))
    with server_alone(serving) as alone:
        camera = {"detector": str(path), "recipe": read_detector(path)[1].sha256, "threshold": 0.5}
        alone.desk.board.hello = Hello({ONLY: alone.desk.board.hello.cameras[ONLY] | camera}, None, 1)
        yield alone


def test_each_step_wants_the_one_before(tmp_path: Path) -> None:
    place = "/api/good-parts"
    with station(tmp_path) as alone, browsing(alone.base, "erna") as browser:

        def refused(path: str, **body: Any) -> str:
            answer = browser.post(f"{place}/{path}", body)
            assert answer.status_code == 409, answer.text
            return str(answer.json()["error"])

        assert browser.get(place).json()["set"] is None
        assert "no pictures were collected yet" in refused("confirm")
        assert "expected 1 to 2,000" in refused("collect", camera=ONLY, pictures=0, new="yes")
        answer = browser.post(f"{place}/collect", {"camera": ONLY, "pictures": 20, "new": "yes"}).json()
        assert answer["set"]["collecting"] == {"kept": 0, "kind": GOOD}
        asked = alone.asked[-1]["collect"]
        assert (asked["camera"], asked["wanted"], Path(asked["folder"])) == (
            ONLY, 20, tmp_path / "parts" / "0001" / GOOD,
        )  # fmt: skip
        assert "pictures still come" in refused("confirm")
        browser.post(f"{place}/stop")
        assert alone.asked[-1] == {"collect": None}
        state = {"number": 1, "camera": None, "folder": asked["folder"], "wanted": 20, "kept": 4, "problem": None}
        alone.desk.board.take({"kind": "state", "cameras": {}, "paused_by": None, "collecting": state}, b"")
        assert "has 0 good pictures" in refused("confirm")
        for number in range(FEWEST):
            cv2.imwrite(f"{asked['folder']}/{number + 1:06d}.png", spotted(number)[0].image)
        assert "nobody confirmed these pictures" in refused("make", how="recalibrate")
        assert browser.post(f"{place}/confirm").json()["set"]["confirmed"]["by"] == "erna"
        assert "no detector was made" in refused("try", parts=5)
        detector = tmp_path / "detector.onnx"
        detector.write_bytes(detector.read_bytes().replace(b"somebody", b"somewho!"))
        alone.desk.board.hello.cameras[ONLY]["recipe"] = "0" * 64
        assert "was changed since the stream opened it" in refused("make", how="recalibrate")
        detector.unlink()
        assert "is not on this machine" in refused("make", how="recalibrate")


def test_pictures_are_seen_smaller_and_by_their_names_alone(tmp_path: Path) -> None:
    place = "/api/good-parts"
    with station(tmp_path) as alone, browsing(alone.base, "otto") as browser:
        made = filled(tmp_path / "parts")
        wide = np.full((400, 1200, 3), 90, np.uint8)
        cv2.imwrite(str(made.folder / GOOD / "000001.png"), wide)
        answer = browser.get(f"{place}/picture.jpg", params={"kind": GOOD, "name": "000001.png"})
        assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).shape == (160, 480, 3)
        assert browser.post(f"{place}/say", {"name": "000002.png", "good": "no"}).status_code == 200
        listed = browser.get(f"{place}/pictures").json()["pictures"]
        assert [each["name"] for each in listed if not each["good"]] == ["000002.png"]
        assert browser.post(f"{place}/make", {"how": "train"}).status_code == 403


@tried("pictures of good parts by names that lead elsewhere, to be seen or moved", "409 or 400, with a sentence")
def test_no_name_of_a_picture_leads_out_of_its_set(tmp_path: Path) -> None:
    place = "/api/good-parts"
    with station(tmp_path) as alone, browsing(alone.base, "otto") as browser:
        made = filled(tmp_path / "parts")
        (made.folder / "000001.png").write_bytes(b"beside the pictures")
        for name in ("../set.json", "..%2f..%2fusers.yaml", "/etc/passwd", "../000001.png", "set.json"):
            for answer in (
                browser.get(f"{place}/picture.jpg", params={"kind": GOOD, "name": name}),
                browser.post(f"{place}/say", {"name": name, "good": "no"}),
            ):
                assert (answer.status_code, answer.json()["error"]) == (409, "there is no such picture in this set")
        for kind in ("made", "..", "."):
            answer = browser.get(f"{place}/picture.jpg", params={"kind": kind, "name": "000001.png"})
            assert answer.status_code == 400
        assert (tmp_path / "users.yaml").is_file()


def test_without_a_folder_the_page_says_how_to_give_one(tmp_path: Path) -> None:
    serving = Serving("127.0.0.1", 0, users=str(users_file(tmp_path)))
    with server_alone(serving) as alone, browsing(alone.base, "erna") as browser:
        assert browser.get("/api/good-parts").json()["can"] is None
        answer = browser.post("/api/good-parts/confirm")
        assert (answer.status_code, "parts=FOLDER" in answer.json()["error"]) == (409, True)


def test_new_pictures_are_inspected_by_themselves_and_suspects_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("scipy", reason="an inspection needs the extra recalibrate")
    with station(tmp_path) as alone:
        workshop = alone.desk.workshop
        assert workshop is not None
        made = filled(tmp_path / "parts", 12)
        (made.folder / GOOD / "000007.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
        until(lambda: workshop.look() or made.read("inspection"))  # type: ignore[func-returns-value]
        suspects = {each["name"]: each["suspect"] for each in workshop.pictures}
        assert suspects["000007.png"]
        until(lambda: not workshop._is_busy)
        before = made.read("inspection")
        workshop.look()
        assert not workshop._is_busy  # nothing is new
        workshop.say("000007.png", False)
        until(lambda: workshop.look() or made.read("inspection") != before)  # type: ignore[func-returns-value]
        assert (made.read("inspection") or {})["images"] == 11
        workshop.close()


def test_the_stream_keeps_what_the_page_asks_for(tmp_path: Path) -> None:
    users = users_file(tmp_path)
    with fed_page(f"0?users={users}&parts={tmp_path / 'parts'}") as fed, browsing(fed.base, "otto") as browser:
        answer = browser.post("/api/good-parts/collect", {"camera": ONLY, "pictures": 3, "new": "yes"})
        assert answer.status_code == 200
        folder = tmp_path / "parts" / "0001" / GOOD

        def fed_until_done() -> bool:
            fed.feed()
            return len(list(folder.iterdir())) >= 3

        until(fed_until_done)
        until(lambda: browser.get("/api/good-parts").json()["set"]["collecting"] is None)
        fed.feed()
        found = browser.get("/api/good-parts").json()["set"]
        assert (found["counts"], found["by"]) == ({GOOD: 3, REFUSED: 0, TRIAL: 0}, "otto")
        assert browser.get("/api/good-parts/pictures").json()["pictures"][0]["decision"] == "OK"


def test_a_plan_is_built_while_no_part_passes_and_a_pause_of_somebody_else_stays(tmp_path: Path) -> None:
    with station(tmp_path) as alone:
        workshop = alone.desk.workshop
        assert workshop is not None
        alone.desk.board.hello.cameras[ONLY]["detector"] = str(tmp_path / "detector.plan")
        made = filled(tmp_path / "parts")
        running = workshop._running(made)
        assert (running.path, running.is_plan) == (tmp_path / "detector.onnx", True)
        steps = workshop._making("threshold", "erna", made, running)
        assert [(each.module, each.holds) for each in steps] == [
            ("calibration.recalibrate", False), ("export.engine", True),
        ]  # fmt: skip
        assert "--keep-statistics" in steps[0].words
        assert steps[1].words == (str(made.made),)
        workshop._hold(True, "erna")
        assert alone.desk.board.state["paused_by"] == "erna, while a plan is built"
        workshop._hold(False, "erna")
        assert alone.desk.board.state["paused_by"] is None
        alone.desk.ask({"pause": "otto"})
        workshop._hold(True, "erna")
        workshop._hold(False, "erna")
        assert alone.desk.board.state["paused_by"] == "otto"
