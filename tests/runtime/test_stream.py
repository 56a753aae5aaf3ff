"""The stream command as a person runs it: in a process of its own, with its exit status, stdout and stderr."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from runtime_samples import SIZE_HW

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def stream(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime.stream", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Three images: good, defective, and damaged."""
    folder = tmp_path / "parts"
    folder.mkdir()
    image = np.full((*SIZE_HW, 3), 128, np.uint8)
    cv2.imwrite(str(folder / "a.png"), image)
    image[4:6, 10:12] = 255
    cv2.imwrite(str(folder / "b.png"), image)
    (folder / "c.png").write_bytes(b"not an image")
    return folder


def test_a_folder_gives_json_verdicts_and_a_summary_in_words(detector_file: Path, parts: Path, tmp_path: Path) -> None:
    """Without --detector: the file in the working folder is taken."""
    done = stream("--camera", parts, "--json", "--threads", 1, cwd=tmp_path)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [(verdict["name"], verdict["decision"]) for verdict in verdicts] == [
        ("a.png", "OK"),
        ("b.png", "NG"),
        ("c.png", "NO_DECISION"),
    ]
    assert verdicts[1]["regions"][0]["box_xywh"] == [10, 4, 2, 2]
    assert "c.png is not an image that can be decoded" in verdicts[2]["reason"]
    assert "detector.onnx on ONNX Runtime" in done.stderr.splitlines()[0]
    assert "1 CPU threads (by default); camera" in done.stderr.splitlines()[0]
    assert done.stderr.splitlines()[-1].startswith("3 frames: 1 OK, 1 NG, 1 NO_DECISION; ")


def test_without_json_the_rejects_and_the_summary_are_printed(detector_file: Path, parts: Path, tmp_path: Path) -> None:
    options = ("--threads", 1, "--summary", tmp_path / "summary.json", "--save", tmp_path / "overlays")
    done = stream("--camera", parts, "--detector", detector_file, *options, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0] == "NG          frame 1 (b.png): score 0.992 above 0.500; 1 region, peak at x 10, y 4"
    assert lines[1].startswith("NO_DECISION frame 2 (c.png): ")
    assert lines[2] == "3 frames: 1 OK, 1 NG, 1 NO_DECISION"
    assert lines[-1].startswith("threshold 0.500: ")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["NG"], summary["threshold"]["value"]) == (1, 0.5)
    names = sorted(path.name for path in (tmp_path / "overlays").iterdir())
    assert names == ["000000-OK-a.jpg", "000001-NG-b.jpg", "000002-NO_DECISION-c.jpg"]
    assert cv2.imread(str(tmp_path / "overlays" / names[1])) is not None


def test_the_demo_line_ends_after_frames_with_its_ground_truth(detector_file: Path, tmp_path: Path) -> None:
    done = stream("--camera", "demo", "--detector", detector_file, "--frames", 12, "--threads", 1, cwd=tmp_path)
    assert done.returncode == 0
    assert "12 frames: " in done.stdout
    assert "image AUROC 0." in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_stream_with_its_summary(number: int, detector_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runtime.stream", "--camera", "demo", "--json", "--threads", "1"]
    with subprocess.Popen(
        [*command, "--detector", str(detector_file)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(number)
        sent_s = time.monotonic()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert time.monotonic() - sent_s < 5
    count = 5 + len(out.splitlines())
    assert err.splitlines()[-1].startswith(f"{count} frames: ")
    assert "Traceback" not in err


# the stream with an engine, a camera or a disk that fails in its own way; files of up to 8192 bytes can be written
FAULTS = """
import resource, signal, sys, threading
from pathlib import Path
import runtime_samples
from runtime import cli, pipeline, stream
from runtime.detector import Detector
from runtime.engines import threaded
from runtime.engines.fake import deviation_from_grey
from runtime.errors import SourceError

def hang_at_the_third(frames):
    seen.append(None)
    if len(seen) == 3:
        threading.Event().wait()
    return deviation_from_grey(frames)

fault, seen = sys.argv.pop(1), []
maps = hang_at_the_third if fault == "hang" else deviation_from_grey
stream.open_detector = lambda path, arguments: runtime_samples.fake_detector(maps)
items = [runtime_samples.grey_frame(number, spot=150) for number in range(5)]
if fault == "source":
    items.append(SourceError("the camera is gone for good"))
stream.open_camera = lambda *arguments, **options: runtime_samples.ListSource(items)
pipeline.Pipeline.__init__.__defaults__ = (None, 0.5)
threaded.CLOSE_S = 0.1
if fault == "disk":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
cli.run(stream.main)
"""
ENDS = {  # fault: exit status, frames in the summary, the last line on stderr
    "source": (3, 5, "error: the camera is gone for good"),
    "disk": (0, 5, "warning: overlays are not written ([Errno 27] File too large); inspection goes on, 1 lost so far"),
    "hang": (0, 5, "fake engine still hangs after 0.1 s and is left behind"),
}


@pytest.mark.parametrize("fault", ENDS)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_whatever_ends_the_stream_its_summary_is_published(
    options: tuple[str, ...], fault: str, detector_file: Path, tmp_path: Path
) -> None:
    status, frames, last = ENDS[fault]
    saving = ("--save", "overlays") if fault == "disk" else ()
    command = [sys.executable, "-c", FAULTS, fault, "--camera", "0", "--summary", "summary.json", *options, *saving]
    environment = ENVIRONMENT | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert last in done.stderr.splitlines()
    if fault == "disk":
        assert "5 overlays were NOT written" in (done.stderr if options else done.stdout)
    assert f"{frames} frames: " in (done.stderr if options else done.stdout)
    assert json.loads((tmp_path / "summary.json").read_text())["frames"] == frames
    assert "Traceback" not in done.stderr
    assert not any((tmp_path / "overlays").glob("*"))


@pytest.mark.parametrize("options", [("--json",), ("--defect-rate", "1")])
def test_a_reader_that_leaves_ends_the_stream_with_a_status_that_a_supervisor_sees(
    options: tuple[str, ...], detector_file: Path, tmp_path: Path
) -> None:
    """As ``| head -n 1`` does."""
    command = [sys.executable, "-m", "runtime.stream", "--camera", "demo", "--detector", str(detector_file), *options]
    with subprocess.Popen(
        [*command, "--threads", "1", "--summary", "summary.json"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        *_, summary, error = process.stderr.read().splitlines()
        assert process.wait(30) == 141
    assert error == "error: nobody reads stdout any more (Broken pipe), and the stream ended with it"
    assert summary.startswith(f"{json.loads((tmp_path / 'summary.json').read_text())['frames']} frames: ")


HANG_UP = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, '-m', 'runtime.stream', *sys.argv[1:]])
"""


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_terminal_that_hangs_up_ends_the_stream_with_its_summary_file(
    options: tuple[str, ...], detector_file: Path, tmp_path: Path
) -> None:
    """The system sends SIGHUP, and whatever is written to the terminal from then on fails."""
    ours, theirs = os.openpty()
    arguments = ["--camera", "demo", "--detector", str(detector_file), "--threads", "1", "--defect-rate", "1"]
    command = [sys.executable, "-c", HANG_UP, *arguments, "--summary", "summary.json", *options]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        shown = b""
        while shown.count(b"frame ") + shown.count(b'"frame_id"') < 3:
            shown += os.read(ours, 4096)
        os.close(ours)
        assert child.wait(30) in (0, 141)  # by whether a verdict was under way when it hung up
    assert json.loads((tmp_path / "summary.json").read_text())["frames"] >= 3


def test_a_second_hang_up_does_not_lose_the_summary_and_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from runtime.stream import stopping_on_signals\n"
        "with stopping_on_signals(lambda: print('stopping', flush=True)):\n"
        "    for name in sys.argv[1:]:\n"
        "        os.kill(os.getpid(), getattr(signal, name))\n"
        "print('done')"
    )

    def ends(*names: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [sys.executable, "-c", program, *names], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
        )
        return done.returncode, done.stdout.split()

    assert ends("SIGHUP", "SIGHUP") == (0, ["stopping", "done"])
    assert ends("SIGTERM", "SIGTERM") == (-signal.SIGTERM, ["stopping"])
    assert ends("SIGHUP", "SIGTERM") == (-signal.SIGTERM, ["stopping"])


def test_under_nohup_a_hang_up_means_nothing() -> None:
    program = (
        "import os, signal\n"
        "from runtime.stream import stopping_on_signals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with stopping_on_signals(lambda: print('stopping')):\n"
        "    os.kill(os.getpid(), signal.SIGHUP)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_name_cannot_forge_a_line_of_the_log(detector_file: Path, tmp_path: Path) -> None:
    """A newline and a verdict, an escape code, and a mark that turns the direction of writing, in files' names."""
    parts = tmp_path / "parts"
    parts.mkdir()
    image = np.full((*SIZE_HW, 3), 128, np.uint8)
    image[4:6, 10:12] = 255
    data = cv2.imencode(".png", image)[1].tobytes()
    for name in ("a)\nOK          frame 7 (b.png", "b\x1b[2K\x1b[1A.png", "c\u202egpj.png"):
        (parts / f"{name}.png").write_bytes(data)
    (parts / "d\nerror: forged.png").write_bytes(b"not an image")
    done = stream("--camera", "parts", "--save", "seen\nNG frame 8", "--threads", 1, cwd=tmp_path)
    assert done.returncode == 0
    rejected, first, *_ = (done.stdout.splitlines()[at] for at in (slice(0, 4), slice(4, 5)))
    assert [line.partition(" (")[0].split() for line in rejected] == [
        ["NG", "frame", "0"],
        ["NG", "frame", "1"],
        ["NG", "frame", "2"],
        ["NO_DECISION", "frame", "3"],
    ]
    assert "a)\\nOK          frame 7 (b.png.png)" in rejected[0]
    assert first == ["4 frames: 0 OK, 3 NG, 1 NO_DECISION"]
    assert not {"\x1b", "\u202e"} & set(done.stdout + done.stderr)
    again = stream("--camera", "parts", "--save", "seen\nNG frame 8", "--json", "--threads", 1, cwd=tmp_path)
    verdicts = [json.loads(line) for line in again.stdout.splitlines()]
    assert verdicts[0]["name"] == "a)\nOK          frame 7 (b.png.png"
    assert again.stderr.splitlines()[0].startswith("seen\\nNG frame 8 has overlays of an earlier run")
    assert len(again.stderr.splitlines()) == 3


REFUSALS = {
    "no detector": (
        ("--camera", "parts"),
        "no detector.plan or detector.onnx in this folder; train one with "
        "python -m train --data GOOD_IMAGES --out detector.onnx, or give --detector FILE",
    ),
    "missing detector": (
        ("--camera", "parts", "--detector", "gone.onnx"),
        "gone.onnx cannot be read (No such file or directory); check the path",
    ),
    "plan": (
        ("--camera", "parts", "--detector", "a.plan"),
        "a.plan has no a.plan.json beside it to vouch for it; build the plan anew with python -m export.engine",
    ),
    "not a detector": (
        ("--camera", "parts", "--detector", "parts/c.png"),
        "parts/c.png: not an ONNX file, or a damaged one; copy the file again; if the original",
    ),
    "no camera": (
        ("--camera", "no-folder", "--detector", "good.onnx"),
        "camera 'no-folder' is no file or folder; expected 0 or v4l2:0",
    ),
    "unknown scheme": (
        ("--camera", "gopher://x", "--detector", "good.onnx"),
        "camera 'gopher://x' has a scheme that is not known; expected 0 or v4l2:0",
    ),
    "unwritable overlays": (
        ("--camera", "parts", "--detector", "good.onnx", "--save", "good.onnx/overlays"),
        "overlays cannot be saved in good.onnx/overlays (Not a directory); choose another folder",
    ),
    "unwritable summary": (
        ("--camera", "parts", "--detector", "good.onnx", "--summary", "good.onnx/summary.json"),
        "good.onnx/summary.json cannot be written (Not a directory); choose a folder that can",
    ),
    "overlays nowhere": (
        ("--camera", "parts", "--detector", "good.onnx", "--save", ""),
        "argument --save: '' is no path; give one, and . for this folder",
    ),
    "summary nowhere": (
        ("--camera", "parts", "--detector", "good.onnx", "--summary", " "),
        "argument --summary: ' ' is no path; give one, and . for this folder",
    ),
    "empty detector": (
        ("--camera", "parts", "--detector", ""),
        "argument --detector: '' is no path; give one, and . for this folder",
    ),
    "a rate of another camera": (
        ("--camera", "parts", "--detector", "good.onnx", "--defect-rate", "0.3"),
        "--defect-rate is for demo, also as demo?seed=3&defect_rate=0.5, and this camera is 'parts'; leave it out",
    ),
    "a seed of another camera": (
        ("--camera", "0", "--detector", "good.onnx", "--seed", "0"),
        "--seed is for demo, also as demo?seed=3&defect_rate=0.5, and this camera is '0'; leave it out",
    ),
    "no frames": (
        ("--camera", "parts", "--detector", "good.onnx", "--frames", "0"),
        "argument --frames: '0' is not a whole number of 1 or more",
    ),
    "unknown provider": (
        ("--camera", "parts", "--detector", "good.onnx", "--provider", "npu"),
        "argument --provider: invalid choice: 'npu'",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_one_sentence_and_a_status(case: str, detector_file: Path, parts: Path, tmp_path: Path) -> None:
    detector_file.rename(tmp_path / "good.onnx")
    arguments, message = REFUSALS[case]
    done = stream(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_camera_that_is_not_there_is_one_sentence(detector_file: Path, tmp_path: Path) -> None:
    if Path("/dev/video0").exists():
        pytest.skip("this machine has a camera")
    done = stream("--camera", 0, cwd=tmp_path)
    assert done.returncode == 2
    error, *more = done.stderr.splitlines()
    assert error.startswith("error: camera 0 cannot be opened; there is no /dev/video0 (found ")
    assert more == []


def test_cuda_without_its_package_is_refused_and_nothing_runs_in_its_place(detector_file: Path, tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    done = stream("--camera", "demo", "--detector", detector_file, "--provider", "cuda", cwd=tmp_path)
    assert done.returncode == 2
    assert "this ONNX Runtime has no CUDAExecutionProvider; pip install onnxruntime-gpu" in done.stderr


@pytest.mark.parametrize("modules", ["runtime", "runtime, runtime.stream, runtime.info, runtime.set_threshold"])
def test_importing_the_runtime_loads_neither_torch_nor_onnx_nor_onnxruntime(modules: str) -> None:
    code = f"import {modules}, sys; print([m for m in ('torch', 'onnx', 'scipy', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"
