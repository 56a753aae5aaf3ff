"""``python -m runtime.line``: serves, drains when it is told to end, and refuses what could not work."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from line_samples import CLIENT, PATIENCE_S, ROOT, START_S, command, compiled, once_ready, refused_here, run

from runtime.cameras import open_source
from runtime.errors import LineError
from runtime.frames import Frame
from runtime.line.python_client import Accepted
from runtime.line.results import Cause, Code, Part
from runtime.line.tables import register_tables

DEMO = ROOT / "runtime" / "data" / "demo.onnx"
SIZE_HW = (256, 256)  # of the demo detector


@pytest.fixture(scope="module")
def parts() -> list[Frame]:
    """Good and defective parts of the demo line."""
    with open_source("demo?seed=3") as line:
        found = [frame for _ in range(12) if (frame := line.read()) is not None]
    good = [frame for frame in found if not frame.defective]
    return [*good[:2], *[frame for frame in found if frame.defective][:1]]


def test_the_demo_detector_serves_a_controller_and_drains_at_the_end(
    environment: dict[str, str], parts: list[Frame], tmp_path: Path
) -> None:
    path, good = tmp_path / "line.sock", tmp_path / "good.png"
    assert cv2.imwrite(str(good), parts[0].image)
    options = (
        "--socket",
        path,
        "--deadline-ms",
        "20000",
        "--good-frame",
        good,
        "--threads",
        "1",
        "--self-check-s",
        0.2,
    )
    with command(environment, DEMO, *options) as child:
        with once_ready(path, SIZE_HW) as line:
            found = []
            for part_id, frame in enumerate(parts):
                answer = line.trigger(frame.image, Part(part_id), timeout_s=PATIENCE_S)
                assert isinstance(answer, Accepted), answer
                found.append(line.result(PATIENCE_S))
            assert [result.code for result in found if result is not None] == [Code.OK, Code.OK, Code.NG]
            time.sleep(0.5)  # idle, with self-checks
            answer = line.trigger(parts[1].image, Part(9), recorded=True, timeout_s=PATIENCE_S)
            assert isinstance(answer, Accepted)
            child.send_signal(signal.SIGTERM)
            last = line.result(PATIENCE_S)  # drained: the part under way still has its verdict
            assert last is not None
            assert (last.code, last.part.part_id) == (Code.OK, 9)
            with pytest.raises(LineError, match=r"STOPPED.*the runtime ends"):
                line.result(PATIENCE_S)
        _, said = child.communicate(timeout=START_S)
        assert child.returncode == 0, said
    assert not path.exists()
    assert "4 triggers accepted, 0 refused; 0 answers came too late" in said
    assert int(re.findall(r"(\d+) self-checks", said)[0]) >= 1


def test_while_it_drains_triggers_are_refused(environment: dict[str, str], parts: list[Frame], tmp_path: Path) -> None:
    path = tmp_path / "line.sock"
    with (
        command(environment, DEMO, "--socket", path, "--deadline-ms", "3000", "--threads", "1") as child,
        once_ready(path, SIZE_HW) as line,
    ):
        assert isinstance(line.trigger(parts[0].image, Part(1), timeout_s=PATIENCE_S), Accepted)
        child.send_signal(signal.SIGTERM)
        refused = None
        until_s = time.monotonic() + PATIENCE_S
        while refused is None and time.monotonic() < until_s:  # its result is not taken, so that it waits
            answer = line.trigger(parts[0].image, Part(2), timeout_s=PATIENCE_S)
            refused = None if isinstance(answer, Accepted) or answer.cause is not Cause.STOPPED else answer
            time.sleep(0.01)
        assert refused is not None


def test_the_c_example_feeds_the_demo_detector(environment: dict[str, str], parts: list[Frame], tmp_path: Path) -> None:
    path = tmp_path / "line.sock"
    program = compiled(tmp_path, "feed_pgm", [CLIENT / "examples" / "feed_pgm.c"])
    names = [str(tmp_path / f"{number}.ppm") for number in range(len(parts))]
    for name, frame in zip(names, parts, strict=True):
        assert cv2.imwrite(name, frame.image)
    with command(environment, DEMO, "--socket", path, "--deadline-ms", "20000", "--threads", "1"):
        once_ready(path, SIZE_HW).close()
        lines = run([str(program), str(path), "--count", "6", *names]).stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [
        [str(n), *(("OK", "NONE"), ("OK", "NONE"), ("NG", "JUDGED"))[n % 3]] for n in range(6)
    ]


def ended(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "runtime.line", *map(str, words)]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)


def test_what_could_not_work_is_refused(
    environment: dict[str, str],
    parts: list[Frame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, bad = tmp_path / "line.sock", tmp_path / "bad.png"
    assert cv2.imwrite(str(bad), parts[-1].image)
    for words, said in [
        ((), "give a detector, or --recipes FOLDER"),
        ((DEMO,), "give --socket PATH"),
        ((DEMO, "--recipes", tmp_path, "--socket", path), "give a detector, or --recipes FOLDER"),
        (("--recipes", tmp_path, "--socket", path), "no recipe in"),
        (("--recipes", tmp_path, "--socket", path, "--good-frame", bad), "its good.png"),
        ((DEMO, "--socket", path, "--deadline-ms", "0"), "error: the deadline of a part"),
        ((DEMO, "--socket", path, "--self-check-s", "nan"), "the period of the self-check"),
        ((DEMO, "--socket", path, "--good-frame", bad), "the good frame is NG"),
    ]:
        refused_here(monkeypatch, capsys, words, said)
    done = ended(environment, *words)  # of the last as a process of its own
    assert (done.returncode, done.stdout) == (2, ""), done
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not path.exists()


def test_a_check_infers_and_opens_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    place, words = tmp_path / "line.sock", ("--threads", "1", "--records", tmp_path / "records")
    with command(environment, DEMO, "--socket", place, *words, "--check") as child:
        out, err = child.communicate(timeout=START_S)
    assert (child.returncode, err) == (0, "")
    assert "infers on ONNX Runtime" in out
    assert list(tmp_path.iterdir()) == []


def test_a_check_takes_a_detector_for_recipes_that_nobody_has_put_in_force(
    environment: dict[str, str], tmp_path: Path
) -> None:
    words = ("--recipes", tmp_path / "recipes", "--key-file", tmp_path / "gone", "--socket", "x", "--threads", "1")
    done = ended(environment, DEMO, *words, "--check")
    assert done.returncode == 0, done.stderr
    assert "no recipe in" in done.stdout
    assert f"{DEMO} infers on" in done.stdout
    assert "give a detector, or --recipes" in ended(environment, DEMO, *words).stderr


@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [
        ("pymodbus", "modbus", ("--camera", "demo", "--modbus", "127.0.0.1:0")),
        ("starlette", "web", ("--socket", "line.sock", "--serve", "8080")),
        ("uvicorn", "web", ("--socket", "line.sock", "--serve", "8080")),
    ],
)
def test_a_check_loads_what_page_and_bindings_need(
    environment: dict[str, str], tmp_path: Path, module: str, extra: str, words: tuple[str, ...]
) -> None:
    (tmp_path / f"{module}.py").write_text(
        f"raise ModuleNotFoundError(name='{module}')"
    )  # as where it is not installed
    paths = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{environment['PYTHONPATH']}"}
    with command(environment | paths, DEMO, *words, "--check") as child:
        _, err = child.communicate(timeout=START_S)
    assert child.returncode == 2
    assert f"{module} is not installed; pip install 'proctor[{extra}]'" in err


def test_a_line_goes_on_with_its_own_release_when_another_is_put_in_force(
    environment: dict[str, str], tmp_path: Path
) -> None:
    for name, data in (("1", DEMO.read_bytes()), ("2", b"a detector of a later schema")):
        (tmp_path / "releases" / name).mkdir(parents=True)
        (tmp_path / "releases" / name / "bundle.env").touch()
        (tmp_path / "releases" / name / "detector.onnx").write_bytes(data)
    current, own = tmp_path / "current", tmp_path / "releases" / "1" / "detector.onnx"
    current.symlink_to("releases/1")
    with command(environment, current / "detector.onnx", "--socket", tmp_path / "x.sock", "--threads", "1") as child:
        once_ready(tmp_path / "x.sock", SIZE_HW).close()
        current.unlink()
        current.symlink_to("releases/2")
        child.send_signal(signal.SIGHUP)
        assert child.stderr is not None
        said = [child.stderr.readline() for _ in range(3)]
        once_ready(tmp_path / "x.sock", SIZE_HW).close()
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=START_S)
    assert child.returncode == 0
    assert said[0].startswith(f"{own} on ")
    assert f"{own} is in force in place of {own}" in said[2]


def test_the_page_has_the_register_map(environment: dict[str, str]) -> None:
    page = (ROOT / "runtime" / "line" / "README.md").read_text()
    assert register_tables() in page, "python -m runtime.line --registers"
    assert ended(environment, "--registers").stdout == register_tables() + "\n"
    assert ended(environment, "--c-header").stdout == (CLIENT / "proctor_wire.h").read_text()
