"""``python -m runtime.stream --line`` as a person runs it, with cameras that come and go."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import count, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from http_camera import MULTIPART, jpeg, part, serving

from runtime.default_detector import DEMO_DETECTOR
from runtime.demo import DemoLine

ROOT = Path(__file__).parents[3]
EXAMPLE = re.findall(r"```yaml\n(.*?)```", (ROOT / "runtime" / "station" / "README.md").read_text(), re.DOTALL)[0]
PERIOD_S = 0.25  # between pictures, so that a slow machine keeps up


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "runtime.stream", *map(str, arguments)]


def stream(folder: Path, environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A folder with the page's line and its detector."""
    shutil.copy(DEMO_DETECTOR, tmp_path / "lid.onnx")
    (tmp_path / "line.yaml").write_text(EXAMPLE)
    return tmp_path


def test_the_pages_line_is_checked_without_being_opened(example: Path, environment: dict[str, str]) -> None:
    done = stream(example, environment, "--line", "line.yaml", "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "line.yaml: 2 cameras, 1 engine",
        "top: camera demo?seed=3, detector lid.onnx, whose engine it shares with left",
        "left: camera demo, detector lid.onnx, whose engine it shares with top",
        "one verdict for each part that top, left see, within 2000 ms",
    ]
    assert not (example / "overlays").exists()


def test_the_pages_line_runs(example: Path, environment: dict[str, str]) -> None:
    text = EXAMPLE.replace("deadline_ms: 2000", "deadline_ms: 60000")  # a slow machine makes no stragglers here
    (example / "line.yaml").write_text(text)
    done = stream(example, environment, "--line", "line.yaml", "--frames", 4, "--json", "--summary", "summary.json")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    frames = {name: [each for each in found if each.get("camera") == name] for name in ("top", "left")}
    assert {name: [each["part_id"] for each in each_] for name, each_ in frames.items()} == {
        "top": ["0", "1", "2", "3"],
        "left": ["0", "1", "2", "3"],
    }
    parts = {each["part_id"]: each for each in found if "cameras" in each}
    worst = {"NG": 0, "NO_DECISION": 1, "OK": 2}
    for views in zip(*frames.values(), strict=True):
        decisions = {view["camera"]: view["decision"] for view in views}
        assert parts[views[0]["part_id"]]["cameras"] == decisions
        assert parts[views[0]["part_id"]]["decision"] == min(decisions.values(), key=worst.get)
    assert sorted(path.name for path in (example / "overlays").iterdir()) == ["left", "top"]
    assert len(list((example / "overlays" / "left").iterdir())) == 4
    summary = json.loads((example / "summary.json").read_text())
    assert (summary["frames"], summary["parts"]["parts"], summary["cameras_failed"]) == (8, 4, 0)
    assert list(summary["cameras"]) == ["top", "left"]


def test_a_line_that_triggers_its_cameras_gives_every_part_one_verdict(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    cameras = "  top: {uri: demo, trigger: software, deadline_s: 30}\n  left: {uri: demo, seed: 2, trigger: software}"
    (tmp_path / "line.yaml").write_text(f"cameras:\n{cameras}\nparts: {{deadline_ms: 30000, every_ms: 400}}")
    done = stream(tmp_path, environment, "--line", "line.yaml", "--frames", 4, "--json")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    views = {(each["part_id"], each["camera"]): each["decision"] for each in found if "camera" in each}
    parts = [each for each in found if "cameras" in each]
    assert sorted(each["part_id"] for each in parts) == ["0", "1", "2", "3"]
    assert {(each["part_id"], camera): each["cameras"][camera] for each in parts for camera in each["cameras"]} == views


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--line", "line.yaml"), "error: line.yaml, line 2, cameras.top.sed: sed is for no camera"),
        (("--line", "line.yaml", "--check"), "error: line.yaml, line 2, cameras.top.sed: sed is for no camera"),
        (("--line", "none.yaml"), "error: none.yaml cannot be read (No such file or directory); check the path"),
        (
            ("--line", "line.yaml", "--seed", "3", "--wait-for-camera"),
            "error: --seed, --wait-for-camera cannot stand beside --line; write it into line.yaml",
        ),
        (("--camera", "demo", "--check"), "error: --check is for a line's description; give --line FILE"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_status_2(
    arguments: tuple[str, ...], expected: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "line.yaml").write_text("cameras:\n  top: {uri: demo, sed: 1}")
    done = stream(tmp_path, environment, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (error,) = done.stderr.splitlines()
    assert error.startswith(expected)


class PartsCamera:
    """An HTTP camera of rendered good parts, which can be taken off the net and put back at the same address."""

    def __init__(self, seed: int) -> None:
        line = DemoLine(seed, defect_rate=0)
        self._parts = [line.good(number).image for number in range(8)]
        self._numbers, self._gone = count(), threading.Event()
        self._stack = ExitStack()
        self.sent = 0
        self.url = ""
        self.put_back()

    def put_back(self) -> None:
        self._gone.clear()
        self.url = self._stack.enter_context(serving(self._handle, urlsplit(self.url).port or 0))

    def take_off(self) -> None:
        self._gone.set()
        self._stack.close()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", MULTIPART)
        request.end_headers()
        while not self._gone.is_set():
            number = next(self._numbers)
            image = self._parts[number % len(self._parts)].copy()
            image[:8, :8] = number % 250  # a slow machine drops some, and none may look like the one before
            request.wfile.write(part(jpeg(image)))
            self.sent += 1
            time.sleep(PERIOD_S)


class RunningLine:
    """A line in a process of its own, and the verdicts that it printed so far, by camera."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: object) -> None:
        self.process = subprocess.Popen(
            command("--line", "line.yaml", "--json", "--summary", "summary.json", *arguments),
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.verdicts: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.verdicts.append(json.loads(line))
                self._changed.notify_all()

    def of(self, camera: str) -> list[dict[str, Any]]:
        return [verdict for verdict in self.verdicts if verdict["camera"] == camera]

    def count(self, camera: str, scored: bool = True) -> int:
        """How many verdicts a camera has: on pictures, or on what was no picture."""
        return sum((verdict["score"] is not None) == scored for verdict in self.of(camera))

    def wait(self, camera: str, more: int, scored: bool = True, before: int | None = None) -> None:
        """Wait until a camera has `more` verdicts than `before`, or than now."""
        with self._changed:
            least = more + (self.count(camera, scored) if before is None else before)
            assert self._changed.wait_for(lambda: self.count(camera, scored) >= least, 60), (camera, self.verdicts[-3:])

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it by a signal: its status and what it said."""
        self.process.send_signal(number)
        return self.wait_for_end()

    def wait_for_end(self) -> tuple[int, str]:
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        self._reader.join(60)
        return self.process.wait(60), said


@contextmanager
def line_of(folder: Path, environment: dict[str, str], cameras: str) -> Iterator[RunningLine]:
    shutil.copy(DEMO_DETECTOR, folder / "lid.onnx")
    (folder / "line.yaml").write_text(f"detectors: {{lid: {{file: lid.onnx, threads: 1}}}}\ncameras:\n{cameras}")
    line = RunningLine(folder, environment)
    try:
        yield line
    finally:
        line.process.kill()
        line.wait_for_end()
        for pipe in (line.process.stdout, line.process.stderr):
            assert pipe is not None
            pipe.close()


def test_a_camera_that_is_killed_and_gone_for_seconds_costs_the_other_no_verdict(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    left, right = PartsCamera(3), PartsCamera(4)
    try:
        urls = f"  left: {{uri: '{left.url}'}}\n  right: {{uri: '{right.url}'}}"
        with line_of(tmp_path, environment, urls) as line:
            line.wait("left", 3)
            lost_before = line.count("left", scored=False)  # it may be told while the camera still ends
            left.take_off()
            line.wait("left", 1, scored=False, before=lost_before)
            line.wait("right", 10)  # 2.5 s
            lost = [verdict["reason"] for verdict in line.of("left") if verdict["decision"] == "NO_DECISION"]
            left.put_back()
            line.wait("left", 3)
            sent = right.sent
            status, said = line.end()
    finally:
        left.take_off()
        right.take_off()
    assert status == 0, said
    assert len(lost) == 1
    assert lost[0].startswith("camera lost: ")
    others = line.of("right")
    ids = [verdict["frame_id"] for verdict in others]
    # a machine that is busy drops one or the other, but nobody waits for a camera that is gone for ten frames
    assert all(1 <= after - before <= 5 for before, after in pairwise(ids)), ids
    assert all(verdict["score"] is not None for verdict in others)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["cameras"]["left"]["reconnects"] == 1
    assert summary["cameras"]["right"]["reconnects"] == 0
    assert summary["cameras_failed"] == 0
    # but for a few before it was open, and on the way at the end
    assert summary["cameras"]["right"]["frames"] + summary["cameras"]["right"]["drops"] >= sent - 8


def test_a_camera_that_does_not_come_back_is_said_and_the_line_ends_with_status_3(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    left, right = PartsCamera(3), PartsCamera(4)
    try:
        urls = f"  left: {{uri: '{left.url}', reconnect_limit: 1}}\n  right: {{uri: '{right.url}'}}"
        with line_of(tmp_path, environment, urls) as line:
            line.wait("left", 1)
            lost_before = line.count("left", scored=False)  # it may be told while the camera still ends
            left.take_off()
            line.wait("left", 1, scored=False, before=lost_before)
            line.wait("right", 6)
            status, said = line.end()
    finally:
        left.take_off()
        right.take_off()
    assert status == 3
    *_, error = said.splitlines()
    assert re.match(r"error: 1 of 2 cameras broke down: left: http://\S+ lost: 1 attempts to reopen it failed; ", error)
    assert "error: camera left broke down, right goes on: " in said
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["cameras_failed"] == 1
    assert summary["cameras"]["right"]["NO_DECISION"] == 0
    assert all(verdict["score"] is not None for verdict in line.of("right"))


def test_a_camera_that_is_absent_at_the_start_is_said_with_its_place(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    shutil.copy(DEMO_DETECTOR, tmp_path / "lid.onnx")
    cameras = "cameras:\n  top: {uri: demo}\n  left: {uri: 'http://127.0.0.1:1/video'}"
    (tmp_path / "line.yaml").write_text(f"detectors: {{lid: {{file: lid.onnx}}}}\n{cameras}")
    done = stream(tmp_path, environment, "--line", "line.yaml", "--frames", 1)
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert error.startswith(
        "error: line.yaml, line 4, cameras.left: http://127.0.0.1:1/video cannot be opened as video"
    )
