"""Another detector in place of the one at work: by the controller, by a signal, and never by half."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest
from line_samples import GREY, PATIENCE_S, ROOT, SPOTTED, command
from modbus_controller import answering, connected, reading, run_parts, writing
from runtime_samples import fake_detector
from waiting import free_port, until

from runtime.detector import Detector
from runtime.errors import BrokeDown, DetectorError, InputError, SourceError
from runtime.frames import Frame
from runtime.line import serving
from runtime.line.challenge import Challenge
from runtime.line.changes import DetectorChanges, check_readable
from runtime.line.handshake import Acquisition, Handshake, Refusal
from runtime.line.inspection_loop import InspectionLoop
from runtime.line.levels import Levels
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, values_of, words_of
from runtime.line.results import Cause, Code, Part, Result
from runtime.line.self_check import SelfCheck
from runtime.line.serving import Asked, serve
from runtime.location import Address
from runtime.recipes.choice import Choice, in_force
from runtime.recipes.store import RecipeStore

DEMO = ROOT / "runtime" / "data" / "demo.onnx"


class Station:
    """A runtime in this process, over recipes whose detectors are fakes; what it opened and closed, in order."""

    def __init__(self, folder: Path, challenge: Challenge | None = None) -> None:
        self.store = RecipeStore(folder)
        self.handshake = Handshake(PATIENCE_S, at_once=2, challenge=challenge)
        self.levels = Levels(self.handshake)
        self.log: list[str] = []
        self.broken, self.changed = set[str](), set[str]()  # what cannot be opened, and what is another one by then
        self.opening: dict[str, Callable[[], object]] = {}  # what happens meanwhile
        self.ended: BaseException | None = None  # by what serving ended
        self.asked = threading.Event()

    def open(self, path: Path) -> Detector:
        name = f"{path.parent.parent.name} {int(path.parent.name)}"
        self.log.append(f"open {name}")
        self.opening.pop(name, lambda: None)()
        if name in self.broken:
            raise DetectorError(f"{path} cannot be run")
        detector, log, closed = fake_detector(), self.log, Detector.close
        if name in self.changed and log.count(f"open {name}") > 1:
            detector.recipe = detector.recipe.with_threshold(0.9)

        class Watched(Detector):
            def close(self) -> None:
                log.append(f"close {name}")
                closed(self)

        detector.__class__ = Watched
        return detector

    @contextmanager
    def serving(self) -> Iterator[None]:
        ending = threading.Event()

        def wait(seconds: float) -> Asked:
            if ending.wait(0.01):
                return Asked.END
            reload = self.asked.is_set()
            self.asked.clear()
            return Asked.RELOAD if reload else Asked.NOTHING

        def make(choice: Choice, detector: Detector, self_check: SelfCheck) -> InspectionLoop:
            return InspectionLoop(self.handshake, detector, lambda one: Frame(GREY, one.acquisition_id), self_check)

        with DetectorChanges(self.handshake, in_force(self.store), self.open, 1e6, self.store) as changes:
            self.reload = changes.reload
            work = (self.handshake, changes.inspected_by(make), wait, changes)

            def run() -> None:
                try:
                    serve(*work)
                except BaseException as error:
                    self.ended = error

            thread = threading.Thread(target=run)
            thread.start()
            try:
                until(lambda: self.handshake.view().error in (Cause.NONE, Cause.CHALLENGE))
                yield
            finally:
                ending.set()
                thread.join(PATIENCE_S)
                assert not thread.is_alive()

    def write(self, **values: object) -> None:
        self.levels.write(words_of(TO_RUNTIME, {"trigger_enable": True, **values}))

    def read(self) -> dict[str, object]:
        return values_of(FROM_RUNTIME, self.levels.read())

    def switch(self, name: str) -> dict[str, object]:
        """As a controller does it; the registers when it was answered."""
        self.write(switch_recipe=True, recipe=name)
        until(lambda: bool(self.read()["recipe_acknowledge"] or self.read()["recipe_refused"]))
        seen = self.read()
        self.write()
        return seen

    def judged(self, number: int) -> Result:
        assert isinstance(self.handshake.trigger(Part(number)), Acquisition)
        result = self.handshake.wait_for_result(PATIENCE_S)
        assert result is not None
        self.handshake.acknowledge(result.inspection_id)
        return result


@pytest.fixture
def station(tmp_path: Path) -> Station:
    station = Station(tmp_path / "recipes")
    (tmp_path / "detector.onnx").write_bytes(b"a detector")
    for name in ("bottle", "bottle", "can"):
        station.store.seal(name, [tmp_path / "detector.onnx"], "the test", "for it")
    station.store.activate("bottle", "the test", "to begin with", 1)
    return station


def test_a_controller_switches_recipes_and_the_detector_before_is_closed_first(station: Station) -> None:
    with station.serving():
        seen = station.read()
        assert (seen["active_recipe"], seen["recipe_version"]) == ("bottle", 1)
        seen = station.switch("can")
        assert (seen["recipe_acknowledge"], seen["active_recipe"], seen["recipe_version"]) == (True, "can", 1)
        assert station.judged(1).passes
        assert not station.read()["recipe_acknowledge"]  # its level has fallen
        assert station.switch("bottle")["recipe_version"] == 1  # that was in force; nobody released the newest
        seen = station.switch("bottle@2")
        assert (seen["active_recipe"], seen["recipe_version"]) == ("bottle", 2)
        assert station.switch("bottle@1")["recipe_version"] == 1
        assert station.judged(2).passes
    assert station.log == [
        "open bottle 1", "close bottle 1", "open can 1", "close can 1", "open bottle 1", "close bottle 1",
        "open bottle 2", "close bottle 2", "open bottle 1", "close bottle 1",
    ]  # fmt: skip
    history = [(each.name, each.version, each.by) for each in station.store.history() if each.action == "activated"]
    assert history[1:] == [
        (name, version, "line controller")
        for name, version in (("can", 1), ("bottle", 1), ("bottle", 2), ("bottle", 1))
    ]


def test_what_a_controller_was_told_is_in_force_after_a_start_too(station: Station) -> None:
    with station.serving():
        station.store.activate("can", "erna", "for tomorrow")  # and no reload
        assert station.switch("bottle")["recipe_acknowledge"]
        found = station.store.active()
        assert found is not None
        assert (found.name, found.version) == ("bottle", 1)
        journal = len(station.store.history())
        assert station.switch("bottle")["recipe_acknowledge"]
        assert len(station.store.history()) == journal
    assert station.log == ["open bottle 1", "close bottle 1"]


def test_a_reload_that_comes_with_a_controllers_wish_is_done_after_it(station: Station) -> None:
    with DetectorChanges(station.handshake, in_force(station.store), station.open, 1e6, station.store) as changes:
        station.store.activate("can", "erna", "released")
        station.handshake.ask_recipe("nothing")
        changes.reload()
        assert changes.wanted(True) is None
        assert station.handshake.view().inspected.refused
        assert changes.wanted(False) == "the recipe can 1"


@pytest.mark.parametrize("asked", ["nothing", "bottle@9", "bottle@x", "../bottle", "", "can@", "CAN"])
def test_parts_of_a_recipe_that_is_not_there_are_refused_until_one_is(station: Station, asked: str) -> None:
    with station.serving():
        seen = station.switch(asked)
        assert (seen["recipe_refused"], seen["recipe_acknowledge"], seen["trigger_ready"]) == (True, False, False)
        assert (seen["active_recipe"], seen["error"]) == ("bottle", Cause.NOT_READY)
        refusal = station.handshake.trigger(Part(1))
        assert isinstance(refusal, Refusal)
        assert refusal.cause is Cause.NOT_READY
        seen = station.switch("bottle@1")  # which is in force: nothing is opened again
        assert (seen["recipe_refused"], seen["recipe_acknowledge"]) == (False, True)
        assert station.judged(2).passes
    assert station.log == ["open bottle 1", "close bottle 1"]


def test_a_detector_that_cannot_be_opened_leaves_the_one_before_in_force_and_judges_nothing(station: Station) -> None:
    station.broken.add("can 1")
    with station.serving():
        assert station.switch("can")["recipe_refused"]
        assert isinstance(station.handshake.trigger(Part(1)), Refusal)
        beats = station.handshake.heartbeat
        until(lambda: station.handshake.heartbeat != beats)  # it is alive, and takes another
        station.broken.clear()
        assert station.switch("can")["recipe_acknowledge"]
        assert station.judged(2).passes
    active = station.store.active()
    assert active is not None
    assert (active.name, station.log[:5]) == (
        "can", ["open bottle 1", "close bottle 1", "open can 1", "close bottle 1", "open bottle 1"],
    )  # fmt: skip


def test_a_recipe_that_was_changed_on_the_disk_is_refused(station: Station) -> None:
    (station.store.path("can", 1) / "detector.onnx").write_bytes(b"another one")
    with station.serving():
        assert station.switch("can")["recipe_refused"]
    assert station.log == ["open bottle 1", "close bottle 1"]


def test_its_good_picture_decides_whether_a_recipe_comes_into_force(station: Station, tmp_path: Path) -> None:
    for name, picture in (("spotted", SPOTTED), ("plain", GREY)):
        assert cv2.imwrite(str(tmp_path / "good.png"), picture)
        station.store.seal(name, [tmp_path / "detector.onnx", tmp_path / "good.png"], "the test", "for it")
    with station.serving():
        assert station.switch("spotted")["recipe_refused"]
        assert station.switch("plain")["recipe_acknowledge"]


@pytest.mark.parametrize("by", ["signal", "page"])
def test_what_the_journal_says_is_put_in_force_and_a_bad_one_changes_nothing(station: Station, by: str) -> None:
    def reload() -> None:
        station.asked.set() if by == "signal" else station.reload()

    with station.serving():
        station.store.activate("can", "the test", "from the shell")
        reload()
        until(lambda: station.read()["active_recipe"] == "can")
        assert station.judged(1).passes
        station.broken.add("bottle 2")
        station.store.activate("bottle", "the test", "from the shell")
        reload()
        until(lambda: station.log.count("open can 1") == 2)
        until(lambda: station.handshake.view().trigger_ready)
        assert station.read()["active_recipe"] == "can"
        assert station.judged(2).passes


@pytest.mark.parametrize("is_broken", [True, False])
def test_what_is_put_in_force_from_the_shell_is_no_answer_to_a_controller(station: Station, is_broken: bool) -> None:
    """Its parts are other ones than the recipe's, whatever comes into force without it."""
    with station.serving():
        assert station.switch("nothing")["recipe_refused"]
        station.write(switch_recipe=True, recipe="nothing")
        until(lambda: bool(station.read()["recipe_refused"]))
        station.broken |= {"can 1"} if is_broken else set()
        station.store.activate("can", "the test", "from the shell")
        station.reload()
        until(lambda: "open can 1" in station.log and (not is_broken or station.log.count("open bottle 1") == 2))
        until(lambda: station.read()["active_recipe"] == ("bottle" if is_broken else "can"))
        time.sleep(0.2)
        seen = station.read()
        assert (seen["recipe_refused"], seen["recipe_acknowledge"], seen["trigger_ready"]) == (True, False, False)
        assert "nothing" in station.handshake.view().error_text
        station.write()
        assert station.switch("bottle@1")["recipe_acknowledge"]
        assert station.judged(1).passes


def test_what_a_controller_asks_for_while_another_recipe_is_opened_comes_after_it(station: Station) -> None:
    with station.serving():
        station.opening = {"can 1": lambda: station.write(switch_recipe=True, recipe="bottle@2")}
        station.store.activate("can", "the test", "from the shell")
        station.reload()
        until(lambda: bool(station.read()["recipe_acknowledge"]))
        assert (station.read()["active_recipe"], station.read()["recipe_version"]) == ("bottle", 2)
        assert station.judged(1).passes


def test_what_it_asks_for_last_is_not_refused_for_what_it_asked_for_before(station: Station) -> None:
    station.broken.add("can 1")
    with station.serving():
        station.opening = {"can 1": lambda: (station.write(), station.write(switch_recipe=True, recipe="bottle@2"))}
        station.write(switch_recipe=True, recipe="can")
        until(lambda: bool(station.read()["recipe_acknowledge"] or station.read()["recipe_refused"]))
        assert not station.read()["recipe_refused"]
        assert (station.read()["active_recipe"], station.read()["recipe_version"]) == ("bottle", 2)


def test_a_detector_whose_file_was_changed_while_it_was_in_force_is_not_gone_back_to(
    station: Station,
) -> None:
    """Nobody released what lies there now."""
    station.broken.add("can 1")
    station.changed.add("bottle 1")  # from its second opening on
    with station.serving():
        station.write(switch_recipe=True, recipe="can")
        until(lambda: station.ended is not None)
        assert isinstance(station.handshake.trigger(Part(1)), Refusal)
    assert isinstance(station.ended, DetectorError)
    assert "the recipe bottle 1 is not what it was" in str(station.ended)


def test_parts_under_way_are_finished_by_the_detector_that_they_were_triggered_for(station: Station) -> None:
    with station.serving():
        assert isinstance(station.handshake.trigger(Part(1)), Acquisition)
        station.write(switch_recipe=True, recipe="can")
        result = station.handshake.wait_for_result(PATIENCE_S)
        assert result is not None
        assert result.passes
        station.handshake.acknowledge(result.inspection_id)
        refusal = station.handshake.trigger(Part(2))
        assert isinstance(refusal, Refusal) or station.read()["active_recipe"] == "can"
        until(lambda: bool(station.read()["recipe_acknowledge"]))


def test_a_controller_that_wants_another_one_meanwhile_gets_the_last_and_is_not_ready_before() -> None:
    handshake = Handshake(1.0)
    handshake.ready()
    handshake.ask_recipe("can")
    handshake.ask_recipe("box")
    handshake.set_recipe("can", 1, "can")
    handshake.ready()
    assert (handshake.view().trigger_ready, handshake.asked_recipe) == (False, "box")
    handshake.set_recipe("box", 1, "box")
    handshake.ready()
    assert (handshake.view().trigger_ready, handshake.asked_recipe) == (True, None)


def test_challenge_parts_are_due_after_a_change(tmp_path: Path, station: Station) -> None:
    again = Station(tmp_path / "recipes", Challenge(1, 0))
    with again.serving():
        assert isinstance(again.handshake.trigger(Part(1, challenge=Code.OK)), Acquisition)
        result = again.handshake.wait_for_result(PATIENCE_S)
        assert result is not None
        again.handshake.acknowledge(result.inspection_id)
        assert not again.read()["challenge_due"]
        assert again.switch("can")["challenge_due"]


def test_without_recipes_a_controller_that_asks_for_one_gets_no_verdict(tmp_path: Path) -> None:
    handshake = Handshake(1.0)
    choice = Choice(tmp_path / "1" / "detector.onnx")
    with DetectorChanges(handshake, choice, lambda path: fake_detector(), 1e6) as changes:
        handshake.ready()
        handshake.ask_recipe("can")
        assert changes.wanted(reload=False) is None
        view = handshake.view()
        assert (view.inspected.refused, view.trigger_ready) == (True, False)
        assert "--recipes" in view.error_text


class Ending:
    """An inference loop that ends by an error, or hangs."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.hangs = error, threading.Event()

    def run(self) -> None:
        if self.error is not None:
            raise self.error
        self.hangs.wait(PATIENCE_S)

    def stop(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "ends_by"),
    [
        (SourceError("the camera is over: 3 attempts to reopen it failed"), BrokeDown),
        (DetectorError("the recipe bottle 1 is not what it was"), DetectorError),
        (ValueError("a fault of ours"), ValueError),
    ],
)
def test_what_worked_and_broke_down_is_told_from_what_somebody_has_to_change(
    error: Exception, ends_by: type[Exception]
) -> None:
    """A supervisor starts the one again, and not the other."""

    def wait(seconds: float) -> Asked:
        time.sleep(0.01)
        return Asked.NOTHING

    with pytest.raises(ends_by, match=str(error)) as ended:
        serve(Handshake(0.1), Ending(error), wait)
    assert type(ended.value) is ends_by


def test_an_engine_that_hangs_while_another_is_to_take_its_place_broke_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "DRAIN_S", 0.1)
    (tmp_path / "detector.onnx").write_bytes(DEMO.read_bytes())
    handshake, loop = Handshake(0.1), Ending()
    with DetectorChanges(handshake, Choice(tmp_path / "detector.onnx"), lambda path: fake_detector(), 1e6) as changes:
        with pytest.raises(BrokeDown, match="the engine before it hangs; start the runtime again"):
            serve(handshake, loop, lambda seconds: Asked.RELOAD, changes)
        loop.hangs.set()


@pytest.mark.parametrize("spoilt", ["detector.onnx", "good.png"])
def test_a_file_that_cannot_be_read_again_leaves_the_detector_at_work_open(
    tmp_path: Path, spoilt: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"detector.onnx": DEMO.read_bytes(), "good.png": cv2.imencode(".png", GREY)[1].tobytes()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    handshake, choice = Handshake(1.0), Choice(tmp_path / "detector.onnx", tmp_path / "good.png")
    opened = list[Detector]()

    def open_detector(path: Path) -> Detector:
        opened.append(fake_detector())
        return opened[-1]

    with DetectorChanges(handshake, choice, open_detector, 1e6) as changes:
        handshake.ready()
        (tmp_path / spoilt).write_bytes(files[spoilt][:30])
        assert changes.wanted(reload=True) is None
        assert "nothing else was put in force: " in caplog.text
        assert handshake.view().trigger_ready
        assert changes.detector.inspect(Frame(GREY, 0)).score is not None
        (tmp_path / spoilt).write_bytes(files[spoilt])
        assert changes.wanted(reload=True) == str(tmp_path / "detector.onnx")
    assert len(opened) == 1


@pytest.mark.parametrize(("suffix", "data"), [(".onnx", b"no model"), (".plan", b"a plan without its sidecar")])
def test_what_no_engine_could_open_is_not_readable(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"detector{suffix}"
    path.write_bytes(data)
    with pytest.raises(DetectorError):
        check_readable(path)
    check_readable(Address("triton://nowhere:1/model"))


def test_a_store_with_nothing_in_force_or_without_a_detector_is_refused(tmp_path: Path) -> None:
    store = RecipeStore(tmp_path / "recipes")
    with pytest.raises(InputError, match="is in force; activate one"):
        in_force(store)
    (tmp_path / "line.yaml").write_text("a: 1")
    store.seal("bottle", [tmp_path / "line.yaml"], "the test", "for it")
    store.activate("bottle", "the test", "for it")
    with pytest.raises(InputError, match=r"has no detector\.plan or detector\.onnx"):
        in_force(store)


def test_the_command_changes_recipes_over_modbus_and_by_sighup(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "detector.onnx").write_bytes(DEMO.read_bytes())
    key = tmp_path / "key"
    key.write_text("0123456789abcdef" * 2)
    store = RecipeStore(tmp_path / "recipes", b"0123456789abcdef" * 2)
    for name in ("first", "second"):
        store.seal(name, [tmp_path / "detector.onnx"], "the test", "for it")
    store.activate("first", "the test", "to begin with")
    port = free_port()
    words = ("--recipes", tmp_path / "recipes", "--key-file", key, "--camera", "demo", "--modbus", f"127.0.0.1:{port}")
    options = ("--deadline-ms", 20_000, "--threads", 1, "--records", tmp_path / "records")
    with command(environment, *words, *options) as child, connected(port) as client:
        answering(client, child)
        read, write = reading(client), writing(client)
        assert len(run_parts(2, read, write)) == 2
        for asked, register in (
            ("second", "recipe_acknowledge"),
            ("third", "recipe_refused"),
            ("first", "recipe_acknowledge"),
        ):
            write({"trigger_enable": True, "switch_recipe": True, "recipe": asked})
            until(lambda register=register: bool(read()[register]))  # type: ignore[misc]
            write({"trigger_enable": True})
        assert len(run_parts(2, read, write)) == 2
        store.activate("second", "the test", "from the shell")
        child.send_signal(signal.SIGHUP)
        until(lambda: read()["active_recipe"] == "second")
        assert len(run_parts(1, read, write)) == 1
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 0, said
    assert "5 triggers accepted" in said
    assert "there is no recipe third" in said
