"""The page's process beside a stream: what it is told, that nothing waits for it, and what happens when it breaks."""

import ast
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from runtime_samples import ListSource, explaining_detector, fake_detector, grey_frame
from waiting import until
from web_samples import PATIENCE_S, Fed, browsing, fed_page, users_file

from runtime.errors import InputError
from runtime.line.handshake import Refusal
from runtime.line.results import Cause, Code, Mode, Part, Result
from runtime.location import Address
from runtime.pause import Pause
from runtime.pipeline import Pipeline
from runtime.records.reading import Question, Records, in_words
from runtime.records.record import record_of
from runtime.records.store import RecordStore
from runtime.verdict import Decision, Verdict
from runtime.web import page as page_module
from runtime.web.page import Page
from runtime.web.serving import parse_serving
from runtime.web.totals import KINDS, ONLY, kind_of

ROOT = Path(__file__).parents[3]


def news(base: str, wanted: Any) -> dict[str, Any]:
    """The first news for which `wanted` is true."""
    end_s = time.monotonic() + 3 * PATIENCE_S
    with (
        httpx.Client(base_url=base, timeout=PATIENCE_S, trust_env=False) as client,
        client.stream("GET", "/api/events") as stream,
    ):
        for line in stream.iter_lines():
            found = json.loads(line)
            if wanted(found):
                return dict(found)
            assert time.monotonic() < end_s, f"it was not told: {line}"
    raise AssertionError("the news ended")


class Told:
    """Gathers verdicts from the news, until there are so many of them and the state counts as many."""

    def __init__(self, count: int) -> None:
        self.count, self.verdicts = count, list[dict[str, Any]]()

    def __call__(self, each: dict[str, Any]) -> bool:
        self.verdicts += each["verdicts"]
        cameras = each["state"].get("cameras", {}).values()
        found = sum(count for camera in cameras for *_, count in camera.get("verdicts", ()))
        return len(self.verdicts) == found == self.count


def get(fed: Fed, path: str) -> httpx.Response:
    return httpx.get(f"{fed.base}{path}", timeout=PATIENCE_S, trust_env=False)


def counted(state: dict[str, Any]) -> dict[str, int]:
    return {f"{code} {kind}".strip(): count for code, kind, count in state["cameras"]["camera"]["verdicts"]}


def test_a_viewer_sees_verdicts_counts_and_pictures() -> None:
    with fed_page() as fed:
        for spot in (None, 255, None):
            fed.feed(spot)
        all_three = Told(3)
        told = news(fed.base, all_three)
        assert counted(told["state"]) == {"OK": 2, "NG judged": 1}
        assert [each["decision"] for each in all_three.verdicts] == ["OK", "NG", "OK"]
        assert all_three.verdicts[1]["regions"][0]["box_xywh"] == [10, 4, 2, 2]

        def pictured(each: dict[str, Any]) -> bool:
            fed.feed(255)
            return bool(each["pictures"])

        with (
            httpx.Client(base_url=fed.base, timeout=PATIENCE_S, trust_env=False) as client,
            client.stream("GET", "/api/events") as stream,
        ):
            lines = (json.loads(line) for line in stream.iter_lines())
            shown = next(each for each in lines if pictured(each))["pictures"]["camera"]
            place = f"/api/cameras/camera/{shown['number']}"
            assert client.get(f"{place}.jpg").content.startswith(b"\xff\xd8\xff")
            assert client.get(f"{place}.png").content.startswith(b"\x89PNG")
            assert client.get("/api/cameras/camera/999999.jpg").status_code == 404
            assert client.get("/api/cameras/other/1.jpg").status_code == 404
        assert shown["frame_hw"] == [16, 24]


def test_of_a_file_that_explains_itself_each_kind_of_evidence_has_its_heat_map() -> None:
    with fed_page(opened=explaining_detector) as fed:
        fed.feed(255)
        (part,) = until(lambda: get(fed, "/api/rejects").json()["parts"])
        assert [each["kind"] for each in part["terms"]] == [kind.name for kind in fed.detector.recipe.method.evidence]
        assert sum(each["value"] for each in part["terms"]) == pytest.approx(part["score"], rel=1e-4)
        pictures = [get(fed, each["heat"]) for each in part["terms"]]
        assert all(each.content.startswith(b"\x89PNG") for each in pictures)
        assert len({each.content for each in pictures}) == 4
        assert get(fed, part["terms"][0]["heat"].replace("/0.png", "/4.png")).status_code == 404

        def pictured(each: dict[str, Any]) -> bool:
            fed.feed(255)
            return bool(each["pictures"])

        shown = news(fed.base, pictured)["pictures"]["camera"]
        assert shown["kinds"] == [kind.name for kind in fed.detector.recipe.method.evidence]
        assert get(fed, f"/api/cameras/camera/{shown['number']}/3.png").content.startswith(b"\x89PNG")
        assert get(fed, f"/api/cameras/camera/{shown['number']}/4.png").status_code == 404


def test_records_keep_what_each_kind_of_evidence_had_to_do_with_a_reject(tmp_path: Path) -> None:
    with RecordStore(tmp_path) as records, fed_page(records=records, opened=explaining_detector) as fed:
        frame = grey_frame(1, spot=255)
        verdict = fed.detector.inspect(frame)
        records.add(record_of(verdict), frame.image)
        fed.page.write(frame, verdict)
        assert records.settle()
        (part,) = until(lambda: [each for each in get(fed, "/api/rejects").json()["parts"] if each["heat"]])
        assert part["record"] is not None
        assert sum(each["value"] for each in part["terms"]) == pytest.approx(part["score"], rel=1e-4)
        assert get(fed, part["terms"][3]["heat"]).content.startswith(b"\x89PNG")
        with Records(tmp_path) as kept:
            (row,) = kept.find(Question(rejected=True), 5)
        assert "at its highest: regression error, p = 17" in "\n".join(in_words(row))


def test_rejects_are_kept_though_nobody_looks() -> None:
    with fed_page("0?rejects=3") as fed:
        for number in range(5):
            fed.feed(255 if number != 2 else None)
            time.sleep(2 * page_module.LOOK_S)
        parts = until(lambda: len(found := get(fed, "/api/rejects").json()["parts"]) == 3 and found)
        assert [each["part_id"] for each in parts] == ["part-5", "part-4", "part-2"]
        assert all(each["record"] is None for each in parts)
        assert get(fed, parts[0]["image"]).headers["content-type"] == "image/jpeg"
        assert get(fed, parts[0]["heat"]).headers["content-type"] == "image/png"


def test_nothing_waits_for_a_page_that_takes_nothing() -> None:
    """Its process is stopped: parts go on at once, and neither pictures nor verdicts pile up."""
    with fed_page() as fed:
        process = until(lambda: fed.page._process)
        until(lambda: get(fed, "/healthz").status_code == 200)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            frame = grey_frame(1, spot=255)
            verdict = fed.detector.inspect(frame)
            slowest_s = 0.0
            for _ in range(5000):
                began_s = time.thread_time()
                fed.page.write(frame, verdict)
                slowest_s = max(slowest_s, time.thread_time() - began_s)
            assert slowest_s < 0.05  # of this thread's own time; a wait would be none of it, and 5000 of them minutes
            assert len(fed.page._verdicts) <= page_module.VERDICTS
            assert len(fed.page._rejects) <= page_module.REJECTS
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert fed.page._totals["camera"].verdicts["NG", "judged"] == 5000


def test_pictures_that_nobody_will_see_are_not_kept() -> None:
    """While the page's process takes nothing: hundreds of a large camera would be gigabytes."""
    with fed_page() as fed:
        process = until(lambda: fed.page._process)
        until(lambda: get(fed, "/healthz").status_code == 200)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            alive, frame = [], grey_frame(1, spot=255)
            verdict = fed.detector.inspect(frame)
            for _ in range(5000):  # what lies between the processes is full then
                fed.page.write(frame, verdict)
                time.sleep(0.0001)
            for number in range(50):
                frame = grey_frame(number, spot=255 if number % 2 else None)
                verdict = fed.detector.inspect(frame)
                fed.page.write(frame, verdict)
                alive += [weakref.ref(frame.image), weakref.ref(verdict)]
                del frame, verdict
            gc.collect()
            assert sum(each() is not None for each in alive) <= 2 * (2 * page_module.REJECTS + 2)
        finally:
            os.kill(process.pid, signal.SIGCONT)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_is_started_again_with_all_counts(
    how: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("STUCK_S", "CLOSE_S", "FIRST_PAUSE_S"):
        monkeypatch.setattr(page_module, name, 0.3)
    with fed_page() as fed:
        first = until(lambda: fed.page._process)
        until(lambda: get(fed, "/healthz").status_code == 200)
        fed.feed(255)
        os.kill(first.pid, how)

        def is_another() -> bool:
            # what is sent to a process that hangs fills the way to it at last
            fed.page._rejects.append(("camera", grey_frame(1, grey=1), fed.detector.inspect(grey_frame(1))))
            return fed.page._process is not first

        until(is_another)
        told = until(lambda: _answered(fed))
        assert told["cameras"]["camera"]["verdicts"] == [["NG", "judged", 1]]
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(said) == 1
    assert "and is started again in 0.3 s; inspection goes on" in said[0]


def _answered(fed: Fed) -> dict[str, Any] | None:
    try:
        return dict(news(fed.base, lambda each: counted(each["state"]))["state"])
    except (httpx.HTTPError, KeyError):
        return None


def test_a_page_that_is_closed_leaves_no_process() -> None:
    with fed_page() as fed:
        process = until(lambda: fed.page._process)
    assert process.poll() is not None


def test_the_process_ends_when_the_stream_is_killed(tmp_path: Path) -> None:
    """Nothing is left that would hold the port."""
    script = (
        "import sys, time; sys.path[:0] = sys.argv[1:]\n"
        "from web_samples import fed_page\nfrom waiting import until\n"
        "with fed_page() as fed:\n"
        "    print(until(lambda: fed.page._process).pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    folders = (ROOT, ROOT / "tests" / "runtime", Path(__file__).parent)
    command = [sys.executable, "-c", script, *map(str, folders)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as stream:
        assert stream.stdout is not None
        pid = int(stream.stdout.readline())
        stream.kill()
    until(lambda: not _is_alive(pid))


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_the_process_has_a_low_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROCTOR_PRIORITY")
    with fed_page() as fed:
        process = until(lambda: fed.page._process)
        until(lambda: get(fed, "/healthz").status_code == 200)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match=r"cannot listen on 127.0.0.1.*choose another one"):
            Page(parse_serving(str(other.getsockname()[1])))


def test_a_paused_stream_rejects_every_part_and_says_who_did_it() -> None:
    pause, seen = Pause(), list[Verdict]()

    def sink(frame: Any, verdict: Verdict) -> None:
        seen.append(verdict)
        if frame.frame_id == 2:
            pause.pause("otto")
        if frame.frame_id == 5:
            pause.resume()

    frames = [grey_frame(number, grey=100 + number, spot=255 if number == 4 else None) for number in range(8)]
    with fake_detector(slots=1) as detector:
        summary = Pipeline(ListSource(frames), detector, sink, pause=pause).run()
    assert [each.decision.value for each in seen] == ["OK"] * 3 + ["NO_DECISION"] * 3 + ["OK"] * 2
    assert {each.reason for each in seen[3:6]} == {"paused by otto"}
    assert all(each.score is None and not each.regions for each in seen[3:6])
    assert summary.decisions[Decision.NO_DECISION] == 3


def test_an_operator_pauses_a_real_stream_through_the_page(tmp_path: Path) -> None:
    with fed_page(f"0?users={users_file(tmp_path)}") as fed:
        until(lambda: get(fed, "/readyz").status_code == 200)
        with browsing(fed.base, "otto") as browser:
            assert browser.post("/api/pause").json() == {"paused_by": "otto"}
            assert fed.pause.reason == "paused by otto"
            assert get(fed, "/readyz").json() == {"status": "paused"}
            assert browser.post("/api/resume").json() == {"paused_by": None}
            assert fed.pause.reason is None


def test_a_line_shows_what_its_controller_was_told() -> None:
    with fake_detector() as detector, Page(parse_serving("0")) as page:
        page.watch(None, "/run/line.sock", Path("detector.onnx"), detector, None)
        page.start(Pause(), parts={"controller": lambda: {"ready": False, "error": "CAMERA"}})
        frame = grey_frame(1)
        page.inspected(7, frame, detector.inspect(frame))
        part = Part(17, serial="S")
        page.given(Result(1, 7, part, Code.NO_DECISION, Cause.LATE, "no result within 500 ms", Mode.RUN, 10.0, 10.5))
        page.missed(Refusal(Part(18), Cause.OVERRUN, "2 parts are under way, 2 can be"))
        both = Told(2)
        told = news(page.address, both)
        assert [each["part_id"] for each in both.verdicts] == ["17", "18"]
        assert both.verdicts[0]["latency_ms"] == 500.0
        assert counted(told["state"]) == {"NO_DECISION no result": 1, "NO_DECISION trigger refused": 1}
        answer = httpx.get(f"{page.address}readyz", trust_env=False)
        assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_reason_counts_under_what_it_begins_with(kind: str) -> None:
    assert kind_of(Decision.NO_DECISION, f"{kind}: 12.3 of 255") == kind
    assert kind_of(Decision.NO_DECISION, "never heard of") == "other"


def test_each_kind_is_what_something_here_says_and_the_page_has_words_for() -> None:
    said = set[str]()
    for path in (ROOT / "runtime").rglob("*.py"):
        if "web" not in path.relative_to(ROOT).parts:
            said |= {
                node.value
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    words = (ROOT / "runtime" / "web" / "static" / "words.js").read_text()
    for kind in KINDS:
        assert any(text.startswith((f"{kind}: ", f"{kind} ", f"{kind}, ")) or text == kind for text in said), kind
    for kind in (*KINDS, "other"):
        assert words.count(f' "kind {kind}": "') == 2, kind  # in both languages


def test_a_served_detector_keeps_its_address() -> None:
    with fake_detector() as detector, Page(parse_serving("0")) as page:
        page.watch(None, "demo", Address("triton://127.0.0.1:8001/lid"), detector, None)
        page.watch("left", "demo", Path("lid.onnx"), detector, None)
        cameras = page._hello()["cameras"]
    assert cameras[ONLY]["detector"] == "triton://127.0.0.1:8001/lid"
    assert cameras["left"]["detector"] == str(Path("lid.onnx").resolve())


@contextmanager
def running_line(folder: Path, cameras: str, *words: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """``runtime.stream --line`` with a page: its address, and its process."""
    (folder / "line.yaml").write_text(cameras)
    command = [sys.executable, "-m", "runtime.stream", "--line", "line.yaml", "--serve", "0", "--json", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as stream:
        try:
            assert stream.stderr is not None
            yield next(line.split(" ", 2)[2].strip() for line in stream.stderr if line.startswith("live page:")), stream
        finally:
            stream.kill()


def ended(stream: "subprocess.Popen[str]") -> str:
    """What a stream says that is interrupted; it ends well."""
    assert stream.stderr is not None
    stream.send_signal(signal.SIGINT)
    said = stream.stderr.read()
    assert stream.wait(PATIENCE_S) == 0, said
    return said


def test_the_stream_serves_its_page_and_ends_as_it_did_without(detector_file: Path, tmp_path: Path) -> None:
    zone = tmp_path / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("48500\n")
    (zone / "type").write_text("cpu-thermal\n")
    cameras = (
        f"detectors:\n  d:\n    file: {detector_file}\n    threads: 1\n"
        "cameras:\n  left: {uri: demo, trigger: software}\n  right: {uri: demo, trigger: software, seed: 4}\n"
        "parts: {deadline_ms: 5000, every_ms: 100}\n"
    )
    pictured = set[str]()

    def both(each: dict[str, Any]) -> bool:
        """Whether each camera's picture came: they may take turns, and never come together."""
        pictured.update(each["pictures"])
        return len(pictured) == 2

    with running_line(tmp_path, cameras, "--thermal", "thermal") as (base, stream):
        told = news(base, both)
        text = httpx.get(f"{base}metrics", trust_env=False).text
        rest = ended(stream)
    assert set(told["state"]["cameras"]) == {"left", "right"}
    assert told["state"]["temperatures"] == {"cpu-thermal": 48.5}
    assert 'proctor_temperature_celsius{line="",site="",station="",zone="cpu-thermal"} 48.5' in text
    assert "Traceback" not in rest
    assert "KeyboardInterrupt" not in rest


@pytest.mark.parametrize("names", [("left", "right"), ("top",)])
def test_the_drift_of_each_camera_of_a_station_is_shown_and_kept(tmp_path: Path, names: tuple[str, ...]) -> None:
    several = len(names) > 1
    shown = set(names) if several else {ONLY}
    cameras = "".join(f"  {name}: {{uri: demo, seed: {seed}}}\n" for seed, name in enumerate(names, 3))
    files = [tmp_path / (f"drift.{name}.json" if several else "drift.json") for name in names]
    parts: dict[str, int] = {}

    def watched(each: dict[str, Any]) -> bool:
        drift = each["state"].get("drift", {})
        return set(drift) == shown and all(found["parts"] > parts.get(name, 0) for name, found in drift.items())

    for _ in range(2):  # the second time it goes on with what it knew
        with running_line(tmp_path, f"cameras:\n{cameras}", "--drift", "drift.json") as (base, stream):
            told = news(base, watched)
            text = httpx.get(f"{base}metrics", trust_env=False).text
            assert "Traceback" not in ended(stream)
        for name, found in told["state"]["drift"].items():
            labels = f'camera="{name}",line="",site="",state="steady",station=""'
            assert f"proctor_drift_state{{{labels}}} 1.0" in text
            assert found["text"].startswith("drift: none found in ")
        kept = [json.loads(path.read_text())["parts"] for path in files]
        parts = dict(zip(names if several else (ONLY,), kept, strict=True))


def test_thermal_alone_is_refused(detector_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runtime.stream", "--camera", "demo", "--thermal", "."]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "error: --thermal is shown on the live page; give --serve PORT, too\n"
