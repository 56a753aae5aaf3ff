"""Whatever is passed to the public functions: one sentence at once, and never a score."""

import copy
import multiprocessing
import pickle
import random
import threading
import warnings
from collections.abc import Callable
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import SIZE_HW, fake_detector, grey_frame

from runtime import Decision, Detector, Frame, ProctorError
from runtime.arguments import as_number, as_path, as_seconds, as_whole_number
from runtime.cameras import open_source
from runtime.engines.fake import deviation_from_grey
from runtime.errors import DetectorError, EngineError, ImageError, InputError
from runtime.set_threshold import set_threshold

PICTURE = np.full((*SIZE_HW, 3), 128, np.uint8)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (None, "the frame is None; cv2.imread returns None for a file it cannot read: check the path"),
        ("part.png", "the frame is 'part.png'; expected a NumPy array, uint8 [H, W, 3] in BGR order"),
        (Path("part.png"), "the frame is a PosixPath; expected a NumPy array"),
        ([[0]], "the frame is a list; expected a NumPy array"),
        (7, "the frame is 7; expected a NumPy array"),
        (b"\xff\xd8", "the frame is a bytes; expected a NumPy array"),
        (np.array([None, "a"], object), "a frame holds object pixels; expected uint8"),
        (np.zeros(0, np.uint8), "a frame has shape [0]; expected [H, W, 3] in BGR order or [H, W]"),
        (Frame(None, 0), "the frame is None; cv2.imread returns None"),  # type: ignore[arg-type]
        (Frame("part.png", 0), "the frame is 'part.png'; expected a NumPy array"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_picture_is_an_image_error(picture: Any, message: str) -> None:
    with fake_detector() as detector:
        for take in (detector.inspect, detector.submit):
            with pytest.raises(ImageError) as caught:
                take(picture)
            assert str(caught.value).startswith(message)
        assert detector.inspect(PICTURE).decision is Decision.OK


def test_submit_takes_pixels_as_inspect_does() -> None:
    with fake_detector() as detector:
        verdicts = [detector.result(detector.submit(PICTURE)) for _ in range(2)]
        verdicts.append(detector.inspect(PICTURE))
    assert [(verdict.frame_id, verdict.decision) for verdict in verdicts] == [(n, Decision.OK) for n in range(3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads is 0; expected a whole number from 1 to 1,024"),
        ({"threads": "2"}, "threads is '2'; expected a whole number from 1 to 1,024"),
        ({"threads": True}, "threads is True; expected a whole number"),
        ({"threads": 1.5}, "threads is 1.5; expected a whole number"),
        ({"threads": 0, "engine": "auto"}, "threads is 0; expected a whole number"),
        ({"provider": 5}, "provider is 5; expected one of cpu, cuda"),
        ({"provider": ""}, "provider is ''; expected one of cpu, cuda"),
        ({"provider": []}, "provider is a list; expected one of cpu, cuda"),
        ({"engine": np.zeros(2)}, "engine is a ndarray; expected one of auto, onnxruntime, openvino, tensorrt"),
        ({"cuda": 12}, "cuda is 12; expected one of auto, cuda-bindings, pycuda"),
        ({"rebuild": "no"}, "rebuild is 'no'; expected True or False"),
        ({"key_file": 3}, "key_file is 3; expected text or a pathlib.Path"),
    ],
)
def test_odd_options_of_open_are_refused(options: dict[str, Any], message: str, detector_file: Path) -> None:
    with pytest.raises((InputError, EngineError)) as caught:
        Detector.open(detector_file, **options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("path", [None, 5, b"detector.onnx", ["detector.onnx"], "a\0b.onnx", "\ud800.onnx"])
def test_a_path_that_is_none_is_refused(path: Any) -> None:
    for opened in (Detector.open, lambda path: set_threshold(path, 1.0)):
        with pytest.raises(InputError, match=r"^the detector is .*; (expected text or|check the path)"):
            opened(path)


@pytest.mark.parametrize("timeout_s", [-1, float("nan"), float("inf"), "5", None, True, [1], 1e300])
def test_a_time_that_is_none_is_refused_at_once(timeout_s: Any) -> None:
    with fake_detector() as detector:
        with pytest.raises(InputError, match=r"^timeout_s is "):
            detector.inspect(PICTURE, timeout_s)
        pending = detector.submit(PICTURE)
        with pytest.raises(InputError, match=r"^timeout_s is "):
            detector.result(pending, timeout_s)
        assert detector.result(pending, np.float32(5)).decision is Decision.OK  # type: ignore[arg-type]


@pytest.mark.parametrize("pending", [None, 0, PICTURE, grey_frame()])
def test_result_takes_what_submit_returned(pending: Any) -> None:
    with fake_detector() as detector, pytest.raises(InputError, match=r"^result got .*; expected what submit returned"):
        detector.result(pending)


def test_numbers_and_paths_of_other_libraries_are_taken() -> None:
    assert as_whole_number("n", np.int64(3), 1, 4) == 3
    assert as_seconds("t", np.float32(0.5)) == 0.5
    assert as_number("x", Fraction(1, 4)) == 0.25
    assert as_path("p", Path("a")) == Path("a")


def test_a_detector_is_neither_pickled_nor_copied() -> None:
    with fake_detector() as detector:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied; open the detector file in the process"):
                attempt(detector)


def _use(detector: Detector, pipe: Connection) -> None:
    """In a child made by fork."""
    found = []
    for call in (lambda: detector.inspect(PICTURE), lambda: detector.submit(PICTURE)):
        try:
            found.append(str(call()))
        except EngineError as error:
            found.append(f"EngineError: {error}")
    detector.close()  # which must not wait for threads that are not there
    pipe.send(found)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_child_made_by_fork_is_told_at_once_to_open_its_own() -> None:
    """While another thread of the parent holds the detector's lock: the child has the lock and not the thread."""
    entered, release = threading.Event(), threading.Event()

    def hold(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        entered.set()
        release.wait(60)
        return deviation_from_grey(frames)

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with fake_detector(hold) as detector:
        inspecting = threading.Thread(target=detector.inspect, args=(PICTURE,))
        inspecting.start()
        entered.wait(60)
        child = context.Process(target=_use, args=(detector, theirs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking beside threads: our very case
            child.start()
        answered = ours.poll(60)
        release.set()
        inspecting.join()
        child.kill()
        child.join()
        assert answered
        for answer in ours.recv():
            assert answer.startswith("EngineError: this detector was opened in process ")
            assert answer.endswith("; open the detector file in the process that uses it")
        assert detector.inspect(PICTURE).decision is Decision.OK


VALUES: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2**70,
    1.5,
    float("nan"),
    float("inf"),
    "",
    " ",
    ".",
    "/",
    "2",
    "\0",
    "\n",
    "\ud800",
    "x" * 5000,
    "demo:",
    "v4l2:",
    "gopher://x",
    b"",
    b"\xff",
    [],
    (),
    {},
    {"a": 1},
    {1, 2},
    object(),
    object,
    len,
    1j,
    Ellipsis,
    Path(),
    Path("gone.onnx"),
    np.zeros(3),
    np.zeros((2, 2, 2, 3), np.uint8),
    np.zeros((4, 4, 3), np.int64),
    np.zeros((0, 4, 3), np.uint8),
    np.array([None]),
    np.float32("nan"),
    np.int8(-3),
]


def _calls(detector: Detector, file: Path) -> dict[str, Callable[[Any, Any], object]]:
    """The public functions, each with two values in random places."""
    return {
        "open": lambda a, b: Detector.open(a, engine=b),
        "open's options": lambda a, b: Detector.open(file, threads=a, engine=b),
        "open's cuda": lambda a, b: Detector.open(file, cuda=a, rebuild=b, key_file=a),
        "inspect": lambda a, b: detector.inspect(a, b),
        "inspect's time": lambda a, b: detector.inspect(PICTURE, a),
        "inspect's frame": lambda a, b: detector.inspect(Frame(a, b)),
        "submit": lambda a, b: detector.submit(a),
        "result": lambda a, b: detector.result(a, b),
        "open_source": lambda a, b: open_source(a, b),
        "the demo line": lambda a, b: open_source("demo", None, a, b),
        "the demo line's size": lambda a, b: open_source("demo", size_hw=(a, b)),
        "set_threshold": lambda a, b: set_threshold(a, b),
        "set_threshold's value": lambda a, b: set_threshold(file, a, b),
    }


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_passed_the_answer_is_one_of_ours(
    seed: int, detector_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """780 calls, 60 of each function: none ends in an error of Python's, none hangs, none passes what is no picture."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    draw = random.Random(seed)
    faults = []
    with fake_detector() as detector:
        for name, call in _calls(detector, detector_file).items():
            for _ in range(10):
                first, second = draw.choice(VALUES), draw.choice(VALUES)
                try:
                    answer = call(first, second)
                except ProctorError:
                    continue
                except Exception as error:
                    faults.append((name, first, second, repr(error)))
                    continue
                if hasattr(answer, "close"):
                    answer.close()
    assert faults == []


def test_a_detector_that_was_refused_an_argument_still_works(detector_file: Path) -> None:
    with pytest.raises(DetectorError):
        Detector.open("gone.onnx")
    with Detector.open(str(detector_file), threads=np.int64(1)) as detector:  # type: ignore[arg-type]
        assert detector.inspect(PICTURE).decision is Decision.OK
