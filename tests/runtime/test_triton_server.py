"""What only a real Triton can say: whether it takes the configurations, computes the same, and refuses what is late."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_samples import grey_frame, write_detector

pytest.importorskip("tritonclient.grpc", reason="pip install 'proctor[triton]': NO served detector was tried")
pytest.importorskip("onnx", reason="the graphs of these tests are built with the onnx package")

from google.protobuf import text_format
from served_samples import make_certificates
from tritonclient.grpc import model_config_pb2 as pb

from benchmarks.line.triton_server import TritonServer, environment
from export.serving_options import ServingOptions
from export.triton_repository import configuration, write_model
from runtime.default_detector import DEMO_DETECTOR
from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.detector_file import read_detector, write_recipe
from runtime.engines import Engine
from runtime.errors import EngineError
from runtime.parity import Scored, agreement_of
from runtime.verdict import Decision

pytestmark = pytest.mark.peer

SPOT = grey_frame(spot=200)  # of the tiny detector: its score is 0.5625, above the threshold
PYTHON = ServingOptions(backend="python", threads=1)
TLS_FILES = {"server-cert": "ours.pem", "server-key": "ours.key", "root-cert": "ours.pem"}
NARROW = {"batch": 1, "queue": 1, "patience_ms": 60_000}
Starter = Callable[..., TritonServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts servers of ``models``."""
    environment()
    started: list[TritonServer] = []

    def starting(*options: str, **settings: Any) -> TritonServer:
        started.append(TritonServer(tmp_path / "models", tmp_path, *options, **settings))
        return started[-1]

    yield starting
    for server in started:
        server.stop()


def serve_tiny(folder: Path, threshold: float = 0.5) -> None:
    """Write the tiny detector's model, or put one of another threshold in its place."""
    path = write_detector(folder / "tiny.onnx")
    if threshold != 0.5:
        model, recipe = read_detector(path)
        write_recipe(path, model, recipe.with_threshold(threshold))
    write_model(path, folder / "models", "tiny", PYTHON, force=True)


def until(detector: Detector, decision: Decision, reason: str, within_s: float = 60.0) -> None:
    """Inspect until the verdict is that one."""
    deadline_s = time.monotonic() + within_s
    while True:
        verdict = detector.inspect(SPOT)
        if verdict.decision is decision and reason in verdict.reason:
            return
        assert time.monotonic() < deadline_s, f"{verdict.decision.name}: {verdict.reason}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Serves the demo detector in batches, to frames that wait for 1 ms at most, and to one at a time."""
    environment()
    folder = tmp_path_factory.mktemp("demo")
    for name, bound in {"demo": {"batch": 4}, "impatient": {"batch": 1, "patience_ms": 1}, "narrow": NARROW}.items():
        write_model(DEMO_DETECTOR, folder / "models", name, ServingOptions("python", threads=1, **bound))
    server = TritonServer(folder / "models", folder)
    yield server.wait_until_ready()
    server.stop()


def test_a_served_detector_computes_what_it_does_here(demo_server: TritonServer) -> None:
    server, line = demo_server, DemoLine(0, (256, 256), 0.5)
    frames = np.stack([line.part(index).image for index in range(4)])
    with (
        Detector.open(server.address("demo")) as served,
        Detector.open(DEMO_DETECTOR, threads=1) as local,
    ):
        assert served.engine.description.startswith("Triton 2.")
        assert served.engine.max_batch == 4
        recipe = local.recipe
        expected = Scored.by(local.engine, frames)
        compared = agreement_of(served.engine, recipe, frames, expected)
        assert compared.problem("served", "here") is None
        batch = served.engine.result(served.engine.submit(frames))
        np.testing.assert_allclose(batch.anomaly_score, expected.scores, rtol=1e-4)
        for image in frames:
            assert served.inspect(image).decision is local.inspect(image).decision


@pytest.mark.parametrize(
    ("backend", "provider"), [("onnxruntime", "cpu"), ("onnxruntime", "cuda"), ("tensorrt", "cpu")]
)
@pytest.mark.parametrize("max_batch", [0, 4])
def test_the_configuration_of_a_backend_that_is_not_here_is_taken_up_to_it(
    start: Starter, tmp_path: Path, backend: str, provider: str, max_batch: int
) -> None:
    recipe = read_detector(write_detector(tmp_path / "tiny.onnx"))[1]
    config = configuration("tiny", recipe, ServingOptions(backend, batch=4, provider=provider), max_batch)
    folder = tmp_path / "models" / "tiny"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / config.default_model_filename).touch()
    (folder / "config.pbtxt").write_text(text_format.MessageToString(config))
    server = start("--exit-on-error=true", "--disable-auto-complete-config")
    assert server.ended() != 0
    assert f"unable to find backend library for backend '{backend}'" in server.log, server.log


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt"])
def test_all_else_in_it_is_taken_by_a_backend_that_is_here(start: Starter, tmp_path: Path, backend: str) -> None:
    path = write_detector(tmp_path / "tiny.onnx")
    folder = write_model(path, tmp_path / "models", "tiny", PYTHON).folder
    options = ServingOptions(backend, batch=4, delay_us=200)
    config = configuration("tiny", read_detector(path)[1], options, 4)
    config.backend, config.default_model_filename = "python", "model.py"
    config.instance_group[0].kind = pb.ModelInstanceGroup.KIND_CPU
    (folder / "config.pbtxt").write_text(text_format.MessageToString(config))
    server = start("--exit-on-error=true", "--disable-auto-complete-config").wait_until_ready()
    with Detector.open(server.address("tiny")) as detector:
        assert detector.inspect(SPOT).decision is Decision.NG


def test_a_configuration_that_is_wrong_is_told_apart(start: Starter, tmp_path: Path) -> None:
    serve_tiny(tmp_path)
    path = tmp_path / "models" / "tiny" / "config.pbtxt"
    text = path.read_text()
    for wrong, said in (
        (text.replace("max_batch_size", "most_frames"), "Error parsing text-format inference.ModelConfig"),
        (
            text.replace("preferred_batch_size: 8", "preferred_batch_size: 9"),
            "preferred size must be <= max batch size",
        ),
    ):
        path.write_text(wrong)
        server = start("--exit-on-error=true", "--disable-auto-complete-config")
        assert server.ended() != 0
        assert said in server.log, server.log


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("impatient", "is overloaded: the frame waited too long for its turn, and was not computed"),
        ("narrow", "is overloaded: too many frames wait for their turn, and this one was not computed"),
    ],
)
def test_what_would_be_late_is_refused_and_not_computed(demo_server: TritonServer, model: str, reason: str) -> None:
    with Detector.open(demo_server.address(model, "?slots=8&timeout_s=60")) as detector:
        frame = np.full((1, *detector.recipe.size_hw, 3), 128, np.uint8)
        refusals = [refusal(detector.engine, ticket) for ticket in [detector.engine.submit(frame) for _ in range(8)]]
    assert "" in refusals
    assert any(refusals)
    assert all(reason in each for each in refusals if each)


def refusal(engine: Engine, ticket: int) -> str:
    """Why a frame was not computed; "" for one that was."""
    try:
        engine.result(ticket)
    except EngineError as error:
        return str(error)
    return ""


def test_a_server_that_hangs_or_ends_decides_nothing_and_is_taken_up_again(start: Starter, tmp_path: Path) -> None:
    serve_tiny(tmp_path)
    server = start().wait_until_ready()
    with Detector.open(server.address("tiny", "?timeout_s=0.5")) as detector:
        until(detector, Decision.NG, "")
        server.pause()
        until(detector, Decision.NO_DECISION, "did not answer within 0.5 s")
        server.resume()
        until(detector, Decision.NG, "")
        server.stop()
        until(detector, Decision.NO_DECISION, "cannot be reached")
        start(port=server.port).wait_until_ready()
        until(detector, Decision.NG, "")


def test_a_model_that_is_replaced_meanwhile_decides_nothing(start: Starter, tmp_path: Path) -> None:
    serve_tiny(tmp_path)
    server = start("--model-control-mode=poll", "--repository-poll-secs=1").wait_until_ready()
    with Detector.open(server.address("tiny")) as detector:
        until(detector, Decision.NG, "")
        serve_tiny(tmp_path, threshold=0.9)
        until(detector, Decision.NO_DECISION, "is now another detector")
    with opened(server.address("tiny")) as detector:
        assert detector.inspect(SPOT).decision is Decision.OK


def opened(address: str) -> Detector:
    """Once the server answers. While it loads a model anew it still tells the configuration of the one before, which
    is refused."""
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        try:
            return Detector.open(address)
        except EngineError as error:
            reason = str(error)
            time.sleep(0.1)
    pytest.fail(reason)


def test_a_server_and_a_station_know_each_other_by_certificates(start: Starter, tmp_path: Path) -> None:
    serve_tiny(tmp_path)
    folder = make_certificates(tmp_path)
    files = [f"--grpc-{name}={folder / file}" for name, file in TLS_FILES.items()]
    server = start("--grpc-use-ssl=1", "--grpc-use-ssl-mutual=1", *files)
    own = f"&certificate={folder / 'ours.pem'}&key={folder / 'ours.key'}"
    with opened(server.address("tiny", f"?ca={folder / 'ours.pem'}{own}")) as detector:
        assert detector.inspect(SPOT).decision is Decision.NG
    for query in ("", f"?ca={folder / 'ours.pem'}", f"?ca={folder / 'theirs.pem'}{own}"):
        with pytest.raises(EngineError, match="cannot be reached"):
            Detector.open(server.address("tiny", query))


def test_a_graph_that_takes_one_frame_is_served_without_batches(start: Starter, tmp_path: Path) -> None:
    path = write_detector(tmp_path / "tiny.onnx")
    folder = write_model(path, tmp_path / "models", "tiny", PYTHON).folder
    config = configuration("tiny", read_detector(path)[1], PYTHON, 0)
    (folder / "config.pbtxt").write_text(text_format.MessageToString(config))
    server = start("--disable-auto-complete-config").wait_until_ready()
    with Detector.open(server.address("tiny")) as detector:
        assert detector.engine.max_batch == 1
        until(detector, Decision.NG, "")
