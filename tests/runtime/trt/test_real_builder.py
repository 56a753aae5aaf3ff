"""The build with a real parser and a real builder: TensorRT for RTX, on a CPU. It is not TensorRT; it shares its API.

A plan that it builds cannot be run here. What it shows: the calls are the right ones in the right order, the parser
takes the detector in both forms and precisions, and errors arrive in words.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.detector_file import read_detector
from runtime.errors import EngineError
from runtime.tensorrt import builder
from runtime.tensorrt.builder import BuildOptions, Built, build_plan
from runtime.tensorrt.progress import progress_monitor

# there is no timing cache in TensorRT for RTX: its calls are there, and warn that they do nothing
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")]

DEMO = Path(__file__).parents[3] / "runtime" / "data" / "demo.onnx"


@pytest.fixture(scope="module")
def trt() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: NO real builder was run")


@pytest.fixture(scope="module")
def built(trt: Any) -> Built:
    model, recipe = read_detector(DEMO)
    return build_plan(trt, model, recipe.size_hw, BuildOptions(max_batch=4))


def test_the_demo_detector_becomes_a_plan(built: Built) -> None:
    assert len(built.plan) > 1_000_000  # its weights are in it
    assert built.timing_cache


def test_a_graph_for_a_server_becomes_a_plan(trt: Any) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed: NO graph for a server was built")
    from export.served_graph import served_graph

    model, recipe = read_detector(DEMO)
    assert build_plan(trt, served_graph(model, recipe), recipe.size_hw, BuildOptions(max_batch=4)).plan


def test_a_timing_cache_is_taken_up_again_and_a_damaged_one_begun_anew(
    trt: Any, built: Built, caplog: pytest.LogCaptureFixture
) -> None:
    model, recipe = read_detector(DEMO)
    build_plan(trt, model, recipe.size_hw, BuildOptions(), built.timing_cache)
    assert "begun anew" not in caplog.text
    assert build_plan(trt, model, recipe.size_hw, BuildOptions(), b"not a timing cache").plan


def test_an_exported_detector_of_students_is_parsed_and_built(trt: Any, detector_file: Path) -> None:
    model, recipe = read_detector(detector_file)
    assert build_plan(trt, model, recipe.size_hw, BuildOptions(max_batch=3)).plan


@pytest.mark.parametrize(("form", "half"), [("bailer", True), ("atrous", False)])
def test_every_exported_form_is_parsed_and_built(
    trt: Any, form: Any, half: bool, make_scale: Callable[..., Any]
) -> None:
    """At output stride 2, where the forms differ."""
    from runs import run_of

    from calibration.maps import Moments
    from export.fused import FusedDetector
    from export.graph import export_graph

    run = run_of([make_scale(33, 1, width=0.25)], [Moments(1.0, 0.5)], (32, 36), 2)
    graph = export_graph(FusedDetector(run, form=form, half=half, explain=True), (32, 36))
    assert build_plan(trt, graph, (32, 36), BuildOptions(max_batch=3)).plan


@pytest.mark.parametrize(("run", "precision"), [("bank_run", "fp32"), ("shallow_bank_run", "fp16")])
def test_a_memory_bank_with_evidence_of_the_frame_is_parsed_and_built(
    trt: Any, precision: str, run: str, exported_file: Callable[..., Path], request: pytest.FixtureRequest
) -> None:
    model, recipe = read_detector(exported_file(request.getfixturevalue(run), explain=True, precision=precision))
    assert "evidence_scores" in recipe.outputs
    assert build_plan(trt, model, recipe.size_hw, BuildOptions(max_batch=3)).plan


@pytest.mark.parametrize(
    ("backbone", "stages", "size_hw", "half"),
    [("resnet18", (), (37, 54), False), ("resnet18", ("layer2",), (48, 80), True), ("", ("group5",), (64, 48), False)],
)
def test_every_backbone_and_shape_of_frames_is_parsed_and_built(
    trt: Any, backbone: str, stages: tuple[str, ...], size_hw: tuple[int, int], half: bool, shallow_backbone: Path
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: NO backbone was built")
    import numpy as np
    from runs import bank_of

    from export.fused import FusedDetector
    from export.graph import export_graph

    frames = np.random.default_rng(0).integers(0, 256, (3, *size_hw, 3), np.uint8)
    run = bank_of(backbone or str(shallow_backbone), stages, size_hw, frames)
    graph = export_graph(FusedDetector(run, half=half), size_hw)
    assert build_plan(trt, graph, size_hw, BuildOptions(max_batch=2)).plan


def test_what_is_no_model_is_refused_in_the_parsers_words(trt: Any) -> None:
    with pytest.raises(EngineError, match=r"cannot read the detector: .*[Pp]arse"):
        build_plan(trt, b"not a model", (192, 192), BuildOptions())


def test_an_operator_that_tensorrt_lacks_is_named_with_its_node(trt: Any) -> None:
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    pool = {"kernel_shape": [2, 2], "strides": [1, 1], "dilations": [2, 2]}
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=types.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("MaxPool", ["planes"], ["anomaly_map"], name="dilated_pool", **pool),
    ]
    shape = ["N", 16, 24, 3]
    graph = helper.make_graph(
        nodes,
        "dilated",
        [helper.make_tensor_value_info("frames", types.UINT8, shape)],
        [helper.make_tensor_value_info("anomaly_map", types.FLOAT, ["N", 3, 14, 22])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    with pytest.raises(EngineError, match=r"node dilated_pool \(MaxPool\): .*dilation"):
        build_plan(trt, model, (16, 24), BuildOptions())


@pytest.mark.parametrize("when", ["phase_start", "step_complete", "phase_finish"])
def test_ctrl_c_ends_a_build(trt: Any, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pressed while TensorRT calls the monitor, as it would be raised there had it come a moment earlier."""
    model, recipe = read_detector(DEMO)
    steps: list[str] = []

    def interrupting(*arguments: Any, **options: Any) -> Any:
        monitor = progress_monitor(*arguments, **options)
        for name in ("phase_start", "step_complete", "phase_finish"):
            monkeypatch.setattr(monitor, name, called(name, getattr(monitor, name)))
        return monitor

    def called(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            steps.append(name)
            if name == when and steps.count(name) == 1:
                os.kill(os.getpid(), signal.SIGINT)
            return call(*arguments)

        return watched

    monkeypatch.setattr(builder, "progress_monitor", interrupting)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        build_plan(trt, model, recipe.size_hw, BuildOptions())
    after = steps[steps.index(when) :]
    assert after.count("step_complete") <= 2, "the build went on"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_profile_that_does_not_fit_is_refused_in_the_builders_words(trt: Any) -> None:
    model, _ = read_detector(DEMO)
    with pytest.raises(EngineError, match=r"could not build the plan: .*profile has min=190"):
        build_plan(trt, model, (190, 192), BuildOptions())
