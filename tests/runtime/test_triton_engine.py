"""A served detector over Triton's protocol: what it says, and what happens when the server is gone, late or another."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runtime_samples import grey_frame, write_detector

pytest.importorskip("grpc", reason="pip install 'proctor[triton]': NO served detector was tried")
pytest.importorskip("onnx", reason="the graph of these tests is built with the onnx package")

import grpc
from served_samples import make_certificates
from triton_stand_in import Change, StandIn

from export.serving_options import ServingOptions
from export.triton_repository import write_model
from runtime.detector import Detector
from runtime.detector_file import read_detector, write_recipe
from runtime.engines.triton_address import parse_triton
from runtime.errors import DetectorError, EngineError, InputError, ResultTimeout
from runtime.location import Address
from runtime.verdict import Decision

SPOT = grey_frame(spot=200)  # its score is 0.5625, above the threshold of 0.5
Starter = Callable[..., StandIn]


@pytest.fixture
def detector_file(tmp_path: Path) -> Path:
    return write_detector(tmp_path / "tiny.onnx")


@pytest.fixture
def folder(detector_file: Path, tmp_path: Path) -> Path:
    """The tiny detector as a model."""
    return write_model(detector_file, tmp_path / "models", "tiny", ServingOptions(backend="python")).folder


@pytest.fixture
def serve(folder: Path) -> Iterator[Starter]:
    """Starts servers of that model, or of another folder."""
    started: list[StandIn] = []

    def start(folder: Path = folder, **options: Any) -> StandIn:
        started.append(StandIn(folder, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def other_detector(detector_file: Path, tmp_path: Path) -> Path:
    """The model of the same graph with another threshold."""
    path = tmp_path / "other.onnx"
    model, recipe = read_detector(detector_file)
    write_recipe(path, model, recipe.with_threshold(0.9))
    return write_model(path, tmp_path / "others", "tiny", ServingOptions(backend="python")).folder


def judged_again(detector: Detector, reason: str) -> str:
    """Inspect until a frame is judged again; the reasons of those before begin with `reason`, and one is returned."""
    seen, deadline_s = "", time.monotonic() + 30
    while time.monotonic() < deadline_s:
        verdict = detector.inspect(SPOT)
        if verdict.decision is Decision.NG:
            return seen
        assert verdict.decision is Decision.NO_DECISION
        assert reason in verdict.reason
        seen = verdict.reason
        time.sleep(0.05)
    pytest.fail(f"no frame was judged within 30 s: {seen}")


def test_a_served_detector_gives_the_verdicts_of_its_file(serve: Starter, detector_file: Path) -> None:
    server = serve()
    with Detector.open(server.address()) as served, Detector.open(detector_file, threads=1) as local:
        assert served.recipe == local.recipe
        assert served.engine.description == f"Triton 2.51.0, tiny at 127.0.0.1:{server.port}"
        assert (served.engine.max_batch, served.engine.slots) == (8, 2)
        for frame in (SPOT, grey_frame(), grey_frame(grey=0)):
            found, expected = served.inspect(frame), local.inspect(frame)
            assert (found.decision, found.reason, found.score) == (expected.decision, expected.reason, expected.score)
            assert found.recipe_sha256 == expected.recipe_sha256


def test_a_detector_that_is_open_has_answered_once(serve: Starter) -> None:
    server = serve(change=lambda answer: answer.outputs[0].shape.append(1))
    with pytest.raises(EngineError, match=r"answered with anomaly_map float32 \[1, 16, 24, 1\]; expected"):
        Detector.open(server.address())
    assert server.asked == 1


def test_while_the_server_is_gone_nothing_is_decided_and_it_is_taken_up_again(serve: Starter) -> None:
    server = serve()
    with Detector.open(server.address()) as detector:
        assert detector.inspect(SPOT).decision is Decision.NG
        server.stop()
        verdict = detector.inspect(SPOT)
        assert verdict.decision is Decision.NO_DECISION
        assert f"engine error: tiny at 127.0.0.1:{server.port} cannot be reached (" in verdict.reason
        assert verdict.score is None
        serve(port=server.port)
        judged_again(detector, "cannot be reached (")


def test_another_detector_in_its_place_decides_nothing(serve: Starter, detector_file: Path, tmp_path: Path) -> None:
    server = serve()
    other = other_detector(detector_file, tmp_path)
    with Detector.open(server.address()) as detector:
        server.stop()
        serve(other, port=server.port)
        deadline_s = time.monotonic() + 30
        while "is now another detector" not in (reason := detector.inspect(SPOT).reason):
            assert "cannot be reached" in reason
            assert time.monotonic() < deadline_s
        verdict = detector.inspect(SPOT)
        assert verdict.decision is Decision.NO_DECISION
        assert f"at the start {detector.recipe.sha256[:12]}); start again to use it" in verdict.reason


def test_a_graph_that_was_exchanged_below_its_configuration_decides_nothing(
    serve: Starter, detector_file: Path, folder: Path, tmp_path: Path
) -> None:
    other = other_detector(detector_file, tmp_path)
    shutil.copy(other / "1" / "model.onnx", folder / "1" / "model.onnx")
    with pytest.raises(EngineError, match=r"tiny at .* is now another detector"):
        Detector.open(serve(folder).address())


def test_a_server_that_hangs_costs_the_time_that_the_address_allows(serve: Starter) -> None:
    server = serve()
    with Detector.open(server.address("?timeout_s=0.3")) as detector:
        server.gate.clear()
        verdict = detector.inspect(SPOT)
        assert verdict.decision is Decision.NO_DECISION
        assert f"tiny at 127.0.0.1:{server.port} did not answer within 0.3 s" in verdict.reason
        server.gate.set()
        judged_again(detector, "did not answer within")
    assert set(server.timeouts_us) == {300_000}  # the server drops it, too


def test_a_result_that_is_asked_for_too_early_stays_to_be_taken(serve: Starter) -> None:
    server = serve()
    with Detector.open(server.address()) as detector:
        server.gate.clear()
        ticket = detector.engine.submit(SPOT.image[None])
        with pytest.raises(ResultTimeout):
            detector.engine.result(ticket, timeout_s=0.01)
        server.gate.set()
        assert detector.engine.result(ticket).anomaly_score[0] == pytest.approx(0.5625)


def test_batches_are_under_way_side_by_side(serve: Starter) -> None:
    server = serve()
    with Detector.open(server.address("?slots=3")) as detector:
        server.gate.clear()
        tickets = [detector.engine.submit(SPOT.image[None]) for _ in range(3)]
        deadline_s = time.monotonic() + 30
        while server.asked < 1 + len(tickets):  # one when it was opened
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        server.gate.set()
        for ticket in tickets:
            detector.engine.result(ticket)


def test_closing_calls_off_what_is_under_way(serve: Starter) -> None:
    server = serve()
    detector = Detector.open(server.address())
    server.gate.clear()
    detector.submit(SPOT)
    detector.close()
    detector.close()


def renamed(answer: Any) -> None:
    answer.outputs[0].name = "something"


def shorter(answer: Any) -> None:
    answer.raw_output_contents[0] = answer.raw_output_contents[0][:-4]


def integers(answer: Any) -> None:
    answer.outputs[0].datatype = "INT32"


def unsigned(answer: Any) -> None:
    answer.raw_output_contents[-1] = b"\xff\xff\xff\xff" * 32


def too_large(answer: Any) -> None:
    answer.raw_output_contents.append(bytes(1 << 20))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (renamed, r"answered with anomaly_map none; expected float32 \[1, 16, 24\]"),
        (shorter, "answered with a damaged anomaly_map: "),
        (integers, r"answered with anomaly_map int32 \[1, 16, 24\]; expected float32"),
        (unsigned, r"is now another detector \(recipe \?, at the start"),
        (too_large, "gave no result: .*larger than max"),
    ],
)
def test_an_answer_that_is_none_is_refused(serve: Starter, change: Change, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        Detector.open(serve(change=change).address())


def test_a_model_that_is_not_there_is_named(serve: Starter) -> None:
    address = serve().address().replace("/tiny", "/large")
    with pytest.raises(
        EngineError, match=r"large at .* gave no result: Request for unknown model: 'large' is not found"
    ):
        Detector.open(address)


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(
        EngineError, match=r"tiny at 127\.0\.0\.1:1 cannot be reached \(.*\); check the address, and start"
    ):
        Detector.open("triton://127.0.0.1:1/tiny")


def test_a_model_without_a_recipe_is_no_detector(serve: Starter, folder: Path) -> None:
    config = folder / "config.pbtxt"
    config.write_text(config.read_text().replace('key: "recipe"', 'key: "notes"'))
    with pytest.raises(
        DetectorError, match=r"tiny at .* is no detector of Proctor's: its configuration holds no recipe"
    ):
        Detector.open(serve(folder).address())


def test_a_recipe_that_was_changed_by_hand_is_refused(serve: Starter, folder: Path) -> None:
    config = folder / "config.pbtxt"
    config.write_text(config.read_text().replace('\\"value\\": 0.5', '\\"value\\": 9.5'))
    with pytest.raises(DetectorError, match=r"tiny at .*: its recipe is not the one that was written into it"):
        Detector.open(serve(folder).address())


def test_a_model_without_the_hash_among_its_outputs_is_refused(serve: Starter, folder: Path) -> None:
    config = folder / "config.pbtxt"
    config.write_text(config.read_text().replace('name: "recipe_sha256"', 'name: "evidence"'))
    with pytest.raises(DetectorError, match="has no output recipe_sha256, by which an answer says which detector"):
        Detector.open(serve(folder).address())


def test_an_address_may_say_which_recipe_it_expects(serve: Starter, detector_file: Path) -> None:
    server, sha256 = serve(), read_detector(detector_file)[1].sha256
    Detector.open(server.address(f"?recipe={sha256[:16]}")).close()
    with pytest.raises(DetectorError, match=f"has the recipe {sha256[:12]}, the address expects 000000000000; change"):
        Detector.open(server.address(f"?recipe={'0' * 64}"))


def test_a_connection_goes_through_no_proxy(serve: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    Detector.open(serve().address()).close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_a_server_is_known_by_its_certificate(serve: Starter, certificates: Path) -> None:
    pair = ((certificates / "ours.key").read_bytes(), (certificates / "ours.pem").read_bytes())
    server = serve(keys=grpc.ssl_server_credentials([pair]))
    with Detector.open(server.address(f"?ca={certificates / 'ours.pem'}")) as detector:
        assert detector.inspect(SPOT).decision is Decision.NG
    for query in (f"?ca={certificates / 'theirs.pem'}", "?tls=yes", ""):
        with pytest.raises(EngineError, match="cannot be reached"):
            Detector.open(server.address(query))


def test_a_server_may_ask_for_a_certificate(serve: Starter, certificates: Path) -> None:
    pair = ((certificates / "ours.key").read_bytes(), (certificates / "ours.pem").read_bytes())
    server = serve(keys=grpc.ssl_server_credentials([pair], pair[1], require_client_auth=True))
    query = f"?ca={certificates / 'ours.pem'}"
    with pytest.raises(EngineError, match="cannot be reached"):
        Detector.open(server.address(query))
    own = f"&certificate={certificates / 'ours.pem'}&key={certificates / 'ours.key'}"
    Detector.open(server.address(query + own)).close()
    with pytest.raises(
        InputError, match=r"nowhere\.pem cannot be read \(No such file or directory\); check the address"
    ):
        Detector.open(server.address("?ca=nowhere.pem"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("triton://", "the detector is triton://; expected triton://HOST:PORT/MODEL"),
        ("triton://station", "the detector is triton://station; expected triton://HOST:PORT/MODEL"),
        ("triton://somebody:secret@station/demo", "expected triton://HOST:PORT/MODEL"),
        ("triton://station:port/demo", "Port could not be cast to integer"),
        ("triton://station/a/b", "the model is 'a/b'; expected letters"),
        (
            "triton://station/demo?colour=3",
            "has colour among its options; expected triton://HOST:PORT/MODEL?version=…&recipe=…",
        ),
        ("triton://station/demo?port=3", "has port among its options; expected triton://"),
        ("triton://station/demo?version=1&version=2", "has version twice among its options; expected triton://"),
        ("triton://station/demo?", "the detector is triton://station/demo?; expected triton://HOST:PORT/MODEL"),
        ("triton://station/demo?&", "has no names among its options; expected triton://"),
        ("triton://station/demo?version=0", "version is '0'; expected a number from 1 on"),
        ("triton://station/demo?recipe=abc", "recipe is 'abc'; expected 12 to 64 digits"),
        ("triton://station/demo?timeout_s=0", "timeout_s is 0; expected 0.01 to 600"),
        ("triton://station/demo?timeout_s=soon", "timeout_s is 'soon'; expected NUMBER"),
        ("triton://station/demo?slots=99", "slots is 99; expected 1 to 16"),
        ("triton://station/demo?key=a.pem", "certificate and key belong together"),
        ("triton://station/demo?tls=no&ca=a.pem", "ca, certificate and key are of TLS"),
        ("tritn://station/demo", "the detector is tritn://station/demo; expected a file, or an address that begins"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_asked(text: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        Detector.open(text)
    assert reason in str(caught.value)


def test_what_an_address_leaves_out_has_a_default() -> None:
    plain = parse_triton(Address("triton://station/demo"))
    assert (plain.target, plain.model, plain.version, plain.tls) == ("station:8001", "demo", "", False)
    full = parse_triton(Address("triton://[::1]:9000/demo?version=3&ca=ca.pem&timeout_s=0.5&slots=4"))
    assert (full.target, full.version, full.tls, full.ca) == ("[::1]:9000", "3", True, Path("ca.pem"))
    assert (full.timeout_s, full.slots) == (0.5, 4)


def test_an_engine_opens_files_or_addresses_and_says_so(detector_file: Path) -> None:
    with pytest.raises(InputError, match=f"Triton runs no file, and {detector_file} is one; give triton://HOST:PORT/"):
        Detector.open(detector_file, engine="triton")
    with pytest.raises(InputError, match="ONNX Runtime does not open triton://station/demo; leave out the engine"):
        Detector.open("triton://station/demo", engine="onnxruntime")
    with pytest.raises(
        InputError, match="threads is an option of ONNX Runtime and OpenVINO, and triton://station/demo"
    ):
        Detector.open("triton://station/demo", threads=2)


def test_an_address_that_was_made_a_path_is_refused() -> None:
    with pytest.raises(
        InputError, match="the detector is 'triton:/station/demo', an address that was made a path; give"
    ):
        Detector.open(Path("triton://station/demo"))


def test_one_frame_may_be_all_that_a_graph_takes(serve: Starter, tmp_path: Path) -> None:
    import onnx

    from runtime.onnx_file import graph_sha256

    path = write_detector(tmp_path / "single.onnx")
    recipe, proto = read_detector(path)[1], onnx.load(path)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del proto.metadata_props[:]
    model = proto.SerializeToString()
    write_recipe(path, model, replace(recipe, graph_sha256=graph_sha256(model)))
    done = write_model(path, tmp_path / "models", "single", ServingOptions(backend="python"))
    assert done.max_batch == 0
    with Detector.open(serve(done.folder).address()) as detector:
        assert detector.engine.max_batch == 1
        assert detector.inspect(SPOT).decision is Decision.NG
