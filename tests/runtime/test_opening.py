"""The table of engines: each option belongs to one, and a caller reads it as it was written."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime import Decision, Detector
from runtime.errors import EngineError, InputError
from runtime.opening import ENGINES, open_engine


def as_flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@pytest.mark.parametrize(
    ("options", "in_python", "as_flags"),
    [
        ({"key_file": Path("key")}, "key_file is an option of TensorRT", "--key-file is an option of TensorRT"),
        ({"provider": "gpu"}, "provider is 'gpu'; expected", "--provider is 'gpu'; expected"),
        ({"colour": 3}, "colour is no option of an engine", "--colour is no option of an engine"),
    ],
)
def test_a_message_names_an_option_as_its_caller_wrote_it(
    options: dict[str, Any], in_python: str, as_flags: str, detector_file: Path
) -> None:
    for spelled, message in ((str, in_python), (as_flag, as_flags)):
        with pytest.raises(InputError) as caught:
            open_engine(detector_file, None, options, spelled)
        assert str(caught.value).startswith(message)


def test_an_engine_that_is_not_installed_is_named(detector_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "runtime.engines.openvino_engine", raising=False)
    with pytest.raises(EngineError, match="OpenVINO is not installed; pip install openvino"):
        Detector.open(detector_file, engine="openvino")


def test_openvino_gives_the_demo_detectors_verdicts() -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed; pip install openvino")
    from runtime.default_detector import DEMO_DETECTOR
    from runtime.demo import DemoLine

    line = DemoLine(0, (256, 256), 0.5)
    with (
        Detector.open(DEMO_DETECTOR, threads=1) as reference,
        Detector.open(DEMO_DETECTOR, engine="openvino", threads=1) as detector,
    ):
        assert detector.engine.description.startswith("OpenVINO ")
        for index in range(4):
            image = line.part(index).image
            expected, found = reference.inspect(image), detector.inspect(image)
            assert found.decision is expected.decision
            assert expected.score is not None
            assert found.score == pytest.approx(expected.score, rel=1e-3)
            assert found.decision is not Decision.NO_DECISION


SIGNAL = """
import os, signal, sys
from runtime import Detector
for _ in range(3):
    Detector.open(sys.argv[1], engine="openvino", threads=1).close()
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_after_several_openvino_engines_is_only_a_signal(
    detector_file: Path, environment: dict[str, str]
) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed; pip install openvino")
    command = [sys.executable, "-c", SIGNAL, str(detector_file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "interrupted\n")


def test_every_row_can_be_reached_without_loading_a_library() -> None:
    assert all(":" in row.opener and row.suffix in (".onnx", ".plan", "triton://") for row in ENGINES.values())
    program = (
        "import sys\n"
        "from runtime.location import Address\n"
        "from runtime.opening import check_engine\n"
        "check_engine(Address('triton://station/lid?slots=3'), None, {})\n"
        "print('grpc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    monkeypatch.delitem(sys.modules, "runtime.engines.triton_engine", raising=False)
    with pytest.raises(
        EngineError, match=r"Triton is not installed; pip install 'proctor\[triton\]', or choose another"
    ):
        Detector.open("triton://station/lid")
