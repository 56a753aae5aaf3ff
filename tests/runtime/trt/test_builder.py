"""The builder: what TensorRT is asked for, its errors in words, and its progress."""

import io
import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from onnx_tensorrt import OnnxTensorRt, Severity
from recording_cuda import RecordingCuda
from runtime_samples import SIZE_HW, tiny_model

from runtime.errors import EngineError
from runtime.tensorrt.builder import BuildOptions, build_plan, parser_error
from runtime.tensorrt.messages import open_logger, reason
from runtime.tensorrt.progress import progress_monitor


@pytest.fixture
def trt() -> OnnxTensorRt:
    return OnnxTensorRt(RecordingCuda)


def build(trt: OnnxTensorRt, **options: Any) -> bytes:
    return build_plan(trt, tiny_model(), SIZE_HW, BuildOptions(**options)).plan


def test_the_network_is_strongly_typed_and_the_profile_reaches_to_the_largest_batch(trt: OnnxTensorRt) -> None:
    plan = build(trt, max_batch=5)
    assert trt.networks == [1 << 1]
    assert b'"frames": [[1, 16, 24, 3], [5, 16, 24, 3], [5, 16, 24, 3]]' in plan


def test_options_reach_the_builder(trt: OnnxTensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx_tensorrt

    configs = []

    class Watched(onnx_tensorrt.Config):
        def __init__(self, module: OnnxTensorRt) -> None:
            super().__init__(module)
            configs.append(self)

    monkeypatch.setattr(onnx_tensorrt, "Config", Watched)
    build(trt, workspace_mib=256, optimization_level=5)
    (config,) = configs
    assert config.pools == {onnx_tensorrt.MemoryPoolType.WORKSPACE: 256 << 20}
    assert config.builder_optimization_level == 5
    assert config.flags == set()  # no TF32


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            "parse",
            r"cannot read the detector: node node_max_pool \(MaxPool\): dilations are not supported; export it ag",
        ),
        ("build", "could not build the plan: no tactic found; give it more memory"),
        ("profile", "refused frames of 16×24 pixels"),
    ],
)
def test_each_failure_has_its_sentence(problem: str, message: str, trt: OnnxTensorRt) -> None:
    trt.problems.add(problem)
    with pytest.raises(EngineError, match=f"TensorRT 10.3.0 {message}"):
        build(trt)


def test_a_detector_with_another_input_is_refused(trt: OnnxTensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx_tensorrt

    def get_input(network: Any, index: int) -> Any:
        return onnx_tensorrt.Named("image")

    monkeypatch.setattr(onnx_tensorrt.Network, "get_input", get_input)
    with pytest.raises(EngineError, match="the detector has the inputs image, expected frames alone"):
        build(trt)


@pytest.mark.parametrize(
    ("name", "operator", "number", "text"),
    [
        ("conv_1", "Conv", 3, "node conv_1 (Conv): bad"),
        ("", "Conv", 3, "node 3 (Conv): bad"),
        ("conv_1", "", 3, "node conv_1: bad"),
        ("", "", -1, "bad"),
    ],
)
def test_a_parser_error_names_node_and_operator(name: str, operator: str, number: int, text: str) -> None:
    error = SimpleNamespace(
        node_name=lambda: name, node_operator=lambda: operator, node=lambda: number, desc=lambda: " bad.\n"
    )
    assert parser_error(error) == text


def test_warnings_go_to_the_log_and_errors_into_ours(trt: OnnxTensorRt, caplog: pytest.LogCaptureFixture) -> None:
    logger = open_logger(trt)
    assert reason(logger) == "it gave no reason"
    for number in range(5):
        logger.log(Severity.ERROR, f"error {number}\n")
    logger.log(Severity.WARNING, "slow")
    logger.log(Severity.VERBOSE, "chatter")
    assert reason(logger) == "error 2; error 3; error 4"
    assert caplog.messages == ["TensorRT: slow"]
    assert open_logger(trt) is logger  # TensorRT would ignore a second one
    assert reason(logger) == "it gave no reason"  # what was said before is of no use any more


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_that_is_wiped(trt: OnnxTensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("runtime.tensorrt.progress.time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    out = Terminal()
    monitor = progress_monitor(trt, out)
    monitor.phase_start("Building", None, 4)
    monitor.phase_start("Tactics", "Building", 9)
    assert monitor.step_complete("Tactics", 6)
    monitor.phase_finish("Tactics")
    monitor.step_complete("Building", 0)
    monitor.close()
    lines = out.getvalue().split("\r\033[K")
    assert lines[3] == "building the plan, 3 s: Building 0/4 > Tactics 7/9"
    assert lines[4] == "building the plan, 4 s: Building 1/4"
    assert lines[-1] == ""


def test_progress_in_a_log_is_a_line_now_and_then(trt: OnnxTensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 29.0, 31.0, 40.0])
    monkeypatch.setattr("runtime.tensorrt.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    out = io.StringIO()
    monitor = progress_monitor(trt, out)
    monitor.phase_start("Building", None, 4)
    for step in range(3):
        monitor.step_complete("Building", step)
    monitor.close()
    assert out.getvalue() == "building the plan, 31 s: Building 2/4\n"


def test_ctrl_c_ends_the_build_wherever_tensorrt_is(trt: OnnxTensorRt, caplog: pytest.LogCaptureFixture) -> None:
    before = signal.getsignal(signal.SIGINT)
    trt.problems.add("Ctrl-C")
    with pytest.raises(KeyboardInterrupt):
        build(trt)
    assert "TensorRT: a slow tactic" in caplog.text  # the message during which it was pressed was not lost
    assert signal.getsignal(signal.SIGINT) is before
    trt.problems.clear()
    assert build(trt)


def test_a_failed_build_leaves_ctrl_c_as_it_was(trt: OnnxTensorRt) -> None:
    before = signal.getsignal(signal.SIGINT)
    for problem in ("parse", "build"):
        trt.problems = {problem}
        with pytest.raises(EngineError):
            build(trt)
        assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_and_who_ignores_ctrl_c_are_left_alone(
    trt: OnnxTensorRt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a signal was touched")

    found: list[bytes] = []
    monkeypatch.setattr(signal, "signal", refuse)
    thread = threading.Thread(target=lambda: found.append(build(trt)))
    thread.start()
    thread.join()
    assert found
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN)
    assert build(trt)


def test_a_terminal_that_has_gone_away_ends_no_build(trt: OnnxTensorRt, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("runtime.tensorrt.progress.SHORTEST_PERIOD_S", 0.0)
    monitor = progress_monitor(trt, Gone())
    monitor.phase_start("Building", None, 4)
    assert monitor.step_complete("Building", 0)
    monitor.close()
