"""A detector as a model in Triton's repository: what its configuration says; what is never replaced, or half there."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc", reason="pip install 'proctor[triton]': NO model was written for Triton")
pytest.importorskip("onnx", reason="the graphs of these tests are built with the onnx package")

import onnx
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from export import triton_repository
from export.served_graph import check_served, served_graph
from export.serving_options import ServingOptions
from export.triton_repository import write_model
from runtime import atomic
from runtime.default_detector import DEMO_DETECTOR
from runtime.detector_file import read_detector, write_recipe
from runtime.engines.onnxruntime_engine import open_session
from runtime.errors import DetectorError, InputError, ParityError
from runtime.onnx_file import graph_sha256, with_metadata
from runtime.recipe import Quantization, recipe_from_metadata


def demo_model(repository: Path, **options: object) -> Path:
    """With two frames at once, if nothing else is said: it is computed so before it is written."""
    chosen: Any = {"batch": 2} | options
    return write_model(DEMO_DETECTOR, repository, "demo", ServingOptions(**chosen)).folder


def configured(folder: Path) -> pb.ModelConfig:
    return text_format.Parse((folder / "config.pbtxt").read_text(), pb.ModelConfig())


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are written without computing frames first: the demo detector's graph passes in the other tests."""
    monkeypatch.setattr(triton_repository, "check_served", lambda *given: None)


def adjusted(tmp_path: Path) -> Path:
    """The demo detector with another threshold."""
    path = tmp_path / "adjusted.onnx"
    model, recipe = read_detector(DEMO_DETECTOR)
    write_recipe(path, model, recipe.with_threshold(7.5))
    return path


@pytest.mark.parametrize(("backend", "file"), [("onnxruntime", "model.onnx"), ("python", "model.py")])
def test_a_configuration_says_what_the_graph_is(tmp_path: Path, backend: str, file: str) -> None:
    folder = demo_model(tmp_path / "models", backend=backend, batch=4, instances=2, delay_us=500, patience_ms=250)
    config, recipe = configured(folder), read_detector(DEMO_DETECTOR)[1]
    assert (config.name, config.backend, config.max_batch_size, config.default_model_filename) == (
        "demo", backend, 4, file,
    )  # fmt: skip
    assert (folder / "1" / file).is_file()
    (given,) = config.input
    assert (given.name, given.data_type, list(given.dims)) == ("frames", pb.TYPE_UINT8, [*recipe.size_hw, 3])
    model = onnx.load(folder / "1" / "model.onnx")
    for output, value in zip(
        sorted(config.output, key=lambda each: each.name),
        sorted(model.graph.output, key=lambda each: each.name),
        strict=True,
    ):
        dims = [each.dim_value for each in value.type.tensor_type.shape.dim][1:]
        assert output.name == value.name
        assert list(output.reshape.shape if output.HasField("reshape") else output.dims) == dims
        assert output.data_type == pb.TYPE_FP32
    policy = config.dynamic_batching.default_queue_policy
    assert list(config.dynamic_batching.preferred_batch_size) == [4]
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    assert (policy.timeout_action, policy.default_timeout_microseconds) == (pb.ModelQueuePolicy.REJECT, 250_000)
    assert policy.allow_timeout_override
    assert policy.max_queue_size == 64
    assert [(group.count, group.kind) for group in config.instance_group] == [(2, pb.ModelInstanceGroup.KIND_CPU)]
    assert list(config.version_policy.specific.versions) == [1]
    assert [sample.batch_size for sample in config.model_warmup] == [1, 4]
    assert recipe_from_metadata({key: each.string_value for key, each in config.parameters.items()}) == recipe


def test_a_gpu_computes_without_tf32(tmp_path: Path, unchecked: None) -> None:
    config = configured(demo_model(tmp_path / "models", provider="cuda"))
    assert [group.kind for group in config.instance_group] == [pb.ModelInstanceGroup.KIND_GPU]
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert (accelerator.name, dict(accelerator.parameters)) == ("cuda", {"use_tf32": "0"})


@pytest.mark.parametrize(("backend", "key"), [("onnxruntime", "intra_op_thread_count"), ("python", "threads")])
def test_threads_are_told_as_the_backend_reads_them(tmp_path: Path, unchecked: None, backend: str, key: str) -> None:
    config = configured(demo_model(tmp_path / "models", backend=backend, threads=3))
    assert config.parameters[key].string_value == "3"


def test_a_served_graph_computes_the_same_and_says_of_each_frame_whose_it_is(tmp_path: Path) -> None:
    model, recipe = read_detector(DEMO_DETECTOR)
    served = served_graph(model, recipe)
    frames = np.random.default_rng(0).integers(0, 256, (3, *recipe.size_hw, 3), np.uint8)
    check_served(model, served, recipe, frames, 2)
    (identity,) = open_session(served, "cpu", 1).run(["recipe_sha256"], {"frames": frames})
    assert identity.shape == (3, 32)
    assert {row.astype(np.uint8).tobytes().hex() for row in identity} == {recipe.sha256}
    with pytest.raises(ParityError, match="does not say which recipe it is of"):
        check_served(model, served, recipe.with_threshold(3.0), frames, 2)
    with pytest.raises(DetectorError, match="has an output recipe_sha256 already"):
        served_graph(served, recipe)


def test_a_graph_that_computes_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(model: bytes, recipe: object) -> bytes:
        proto = onnx.load_model_from_string(served_graph(model, recipe))  # type: ignore[arg-type]
        weight = max(proto.graph.initializer, key=lambda each: len(each.raw_data))
        values = np.frombuffer(weight.raw_data, np.uint8).copy()
        values[::64] ^= 1
        weight.raw_data = values.tobytes()
        return bytes(proto.SerializeToString())

    monkeypatch.setattr(triton_repository, "served_graph", spoiled)
    with pytest.raises(ParityError, match="the served graph computes another anomaly_map than the detector"):
        demo_model(tmp_path / "models")
    assert not list(tmp_path.iterdir())


def mixing(model: bytes) -> bytes:
    """The graph with the first frame's answer for all frames of a batch."""
    proto = onnx.load_model_from_string(model)
    graph, helper = proto.graph, onnx.helper
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "first"))
    for name in [each.name for each in graph.output]:
        for node in graph.node:
            for names in (node.input, node.output):
                for place, each in enumerate(names):
                    if each == name:
                        names[place] = f"{name}.own"
        graph.node.append(helper.make_node("Gather", [f"{name}.own", "first"], [f"{name}.first"], axis=0))
        graph.node.append(helper.make_node("Shape", [f"{name}.own"], [f"{name}.shape"]))
        graph.node.append(helper.make_node("Expand", [f"{name}.first", f"{name}.shape"], [name]))
    return bytes(proto.SerializeToString())


def test_a_detector_that_mixes_the_frames_of_a_batch_is_not_written(tmp_path: Path) -> None:
    model, recipe = read_detector(DEMO_DETECTOR)
    graph = with_metadata(mixing(model), {})
    detector = tmp_path / "mixing.onnx"
    detector.write_bytes(with_metadata(graph, replace(recipe, graph_sha256=graph_sha256(graph)).metadata))
    said = "the detector with 3 frames at once deviates from itself with one by .*; nothing was written. Give --batch 1"
    with pytest.raises(ParityError, match=said):
        write_model(detector, tmp_path / "models", "mixing", ServingOptions(batch=3))
    assert not (tmp_path / "models").exists()
    assert write_model(detector, tmp_path / "models", "mixing", ServingOptions(batch=1)).max_batch == 1


def test_another_detector_is_replaced_only_when_asked(tmp_path: Path, unchecked: None) -> None:
    models = tmp_path / "models"
    before = read_detector(DEMO_DETECTOR)[1].sha256
    demo_model(models)
    demo_model(models, batch=3)  # the same detector, served otherwise
    assert configured(models / "demo").max_batch_size == 3
    with pytest.raises(
        InputError, match=f"demo holds another detector \\(recipe {before[:12]}\\); give another --name"
    ):
        write_model(adjusted(tmp_path), models, "demo", ServingOptions())
    assert configured(models / "demo").parameters["recipe_sha256"].string_value == before
    done = write_model(adjusted(tmp_path), models, "demo", ServingOptions(), force=True)
    assert configured(models / "demo").parameters["recipe_sha256"].string_value == done.recipe.sha256 != before


def test_what_is_no_model_of_proctors_is_replaced_only_when_asked(tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "demo").mkdir(parents=True)
    (models / "demo" / "config.pbtxt").write_text('name: "demo" backend: "pytorch"')
    with pytest.raises(InputError, match="demo holds a model that is not Proctor's; give another --name, or --force"):
        demo_model(models)
    (models / "file").touch()
    with pytest.raises(InputError, match="file is no folder; give another --name"):
        write_model(DEMO_DETECTOR, models, "file", ServingOptions(), force=True)


def test_a_server_that_looks_meanwhile_never_sees_half_a_model(
    tmp_path: Path, unchecked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, seen = tmp_path / "models", []
    write = triton_repository.write_atomically

    def looking(path: Path, data: bytes) -> None:
        write(path, data)
        seen.append(sorted(str(each.relative_to(models)) for each in models.rglob("*")))

    monkeypatch.setattr(triton_repository, "write_atomically", looking)
    demo_model(models)
    assert seen == [[], []]
    demo_model(models)
    assert all(each == ["demo", "demo/1", "demo/1/model.onnx", "demo/config.pbtxt"] for each in seen[2:])
    assert [each.name for each in tmp_path.iterdir()] == ["models"]


def test_a_model_that_cannot_be_moved_leaves_the_one_before(
    tmp_path: Path, unchecked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    demo_model(models, batch=2)

    def failing(one: Path, other: Path) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "_exchanged", failing)
    said = (
        r"demo cannot be written \(No space left on device\); free space or choose another place; a model is prepared"
    )
    with pytest.raises(InputError, match=said):
        demo_model(models, batch=4)
    assert configured(models / "demo").max_batch_size == 2
    assert [each.name for each in tmp_path.iterdir()] == ["models"]


@pytest.mark.parametrize(
    ("exchanges", "step"), [*((True, step) for step in range(1, 4)), *((False, step) for step in range(1, 7))]
)
def test_ctrl_c_leaves_the_model_of_before_or_the_new_one(
    exchanges: bool, step: int, tmp_path: Path, unchecked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, calls = tmp_path / "models", []
    demo_model(models, batch=2)

    def interrupted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*words: Path) -> Any:
            found = call(*words)
            calls.append(words)
            if len(calls) == step:
                raise KeyboardInterrupt
            return found

        return counted

    monkeypatch.setattr(Path, "rename", interrupted(Path.rename))
    monkeypatch.setattr(atomic, "_exchanged", interrupted(atomic._exchanged if exchanges else lambda one, other: False))
    steps = 2 if exchanges else 5
    with pytest.raises(KeyboardInterrupt) if step <= steps else contextlib.nullcontext():
        demo_model(models, batch=4)
    assert configured(models / "demo").max_batch_size == (2 if step < steps else 4)
    assert [each.name for each in tmp_path.iterdir()] == ["models"]
    assert [each.name for each in models.iterdir()] == ["demo"]


def test_ctrl_c_while_a_first_model_is_written_leaves_nothing(
    tmp_path: Path, unchecked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = triton_repository.write_atomically

    def interrupted(path: Path, data: bytes) -> None:
        write(path, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(triton_repository, "write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo_model(tmp_path / "models")
    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")] == ["models"]


def test_int8_is_not_left_to_a_backend_that_may_round_it_otherwise(tmp_path: Path) -> None:
    recipe = read_detector(DEMO_DETECTOR)[1]
    triton_repository.check_precision(recipe, ServingOptions())
    quantization = Quantization("a" * 64, "max", 32, "b" * 64, 0.01, 4, 1.0, 4, 0, 0, None, None, 1.5, "a CPU")
    recipe = replace(recipe, precision="int8", quantization=quantization)
    with pytest.raises(InputError, match="cannot be told to multiply INT8 exactly on every processor"):
        triton_repository.check_precision(recipe, ServingOptions())
    triton_repository.check_precision(recipe, ServingOptions(backend="python"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"backend": "pytorch"}, "the backend is 'pytorch'; expected one of onnxruntime, tensorrt, python"),
        ({"batch": 65}, "--batch is 65; expected 1 to 64"),
        ({"delay_us": -1}, "--delay-us is -1; expected 0 to 1e+06"),
        ({"backend": "python", "provider": "cuda"}, "--provider cuda is of the backend onnxruntime; leave it out"),
        ({"backend": "tensorrt", "threads": 2}, "--threads are of inference on CPU cores; leave them out"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        ServingOptions(**options)  # type: ignore[arg-type]
    assert str(caught.value) == reason


def run(*words: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "export.triton", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_the_command_says_where_the_model_is_and_how_it_is_used(tmp_path: Path, environment: dict[str, str]) -> None:
    detector = tmp_path / "lid.onnx"
    shutil.copy(DEMO_DETECTOR, detector)
    done = run(detector, tmp_path / "models", environment=environment)
    sha256 = read_detector(detector)[1].sha256
    assert done.returncode == 0, done.stderr
    assert f"lid written for the backend onnxruntime, recipe {sha256}" in done.stdout
    assert f"--detector 'triton://HOST:8001/lid?recipe={sha256[:16]}'" in done.stdout
    for words in ([DEMO_DETECTOR, tmp_path / "models", "--name", "a/b"], ["nowhere.onnx", tmp_path / "models"]):
        refused = run(*words, environment=environment)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
