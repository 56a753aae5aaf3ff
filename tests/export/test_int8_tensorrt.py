"""A real parser and a real builder take the INT8 file: TensorRT for RTX on a CPU, which is not TensorRT (see
tests/runtime/trt/test_real_builder.py). Its plans cannot be run here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.int8_detector import Options, quantize
from runtime.detector_file import read_detector
from runtime.tensorrt.builder import BuildOptions, build_plan, parser_error
from runtime.tensorrt.library import network_flags
from runtime.tensorrt.messages import open_logger
from train.data import Split

NarrowDetector = Callable[..., Path]

# there is no timing cache in TensorRT for RTX: its calls are there, and warn that they do nothing
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")]


@pytest.fixture(scope="module")
def trt() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: NO real builder was run")


def test_the_parser_takes_every_convolution_but_the_last_in_int8(trt: Any, int8_file: Path) -> None:
    logger = open_logger(trt)
    network = trt.Builder(logger).create_network(network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    taken = parser.parse(int8_file.read_bytes())
    assert taken, [parser_error(parser.get_error(index)) for index in range(parser.num_errors)]
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    dequantized = {layer.get_output(0).name for layer in layers if layer.type == trt.LayerType.DEQUANTIZE}
    convs = [layer for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
    inputs = [{conv.get_input(index).name for index in (0, 1)} for conv in convs]
    assert len(convs) == 8
    assert sum(names <= dequantized for names in inputs) == 6
    assert sum(not names & dequantized for names in inputs) == 2


def test_the_builder_builds_separable_students_before_and_after(
    trt: Any, narrow_detector: NarrowDetector, part_split: Split, tmp_path: Path
) -> None:
    fp32, int8 = narrow_detector(separable=True), tmp_path / "int8.onnx"
    quantize(fp32, part_split, int8, Options(margin=0.05, threads=1, allow_slower=True))
    for path in (fp32, int8):
        model, recipe = read_detector(path)
        assert build_plan(trt, model, recipe.size_hw, BuildOptions(max_batch=2)).plan


def test_the_builder_builds_it(trt: Any, int8_file: Path) -> None:
    model, recipe = read_detector(int8_file)
    assert build_plan(trt, model, recipe.size_hw, BuildOptions(max_batch=2)).plan
