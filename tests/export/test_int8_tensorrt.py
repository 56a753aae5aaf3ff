"""A real parser and a real builder take the INT8 file: TensorRT for RTX on a CPU, which is not TensorRT (see
tests/runtime/trt/test_real_builder.py). Its plans cannot be run here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.int8 import Options, quantize
from runtime.detector import read_detector
from runtime.tensorrt.builder import BuildOptions, build_plan, parser_error
from runtime.tensorrt.library import network_flags
from runtime.tensorrt.messages import open_logger
from train.data import Split

# there is no timing cache in TensorRT for RTX: its calls are there, and warn that they do nothing
pytestmark = pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")


@pytest.fixture(scope="module")
def trt() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: NO real builder was run")


@pytest.fixture(scope="module")
def make_int8(
    narrow_detector: Callable[..., Path], part_split: Split, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    def make(**form: Any) -> Path:
        out = tmp_path_factory.mktemp("int8") / "int8.onnx"
        options = Options(margin=0.05, threads=1, allow_slower=True)
        quantize(narrow_detector(**form), part_split, out, options)
        return out

    return make


def test_the_parser_takes_every_convolution_with_both_inputs_in_int8(trt: Any, make_int8: Callable[..., Path]) -> None:
    logger = open_logger(trt)
    network = trt.Builder(logger).create_network(network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    model = make_int8(form="atrous", stride=2).read_bytes()
    assert parser.parse(model), [parser_error(parser.get_error(index)) for index in range(parser.num_errors)]
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    dequantized = {layer.get_output(0).name for layer in layers if layer.type == trt.LayerType.DEQUANTIZE}
    convs = [layer for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
    quantized = [conv for conv in convs if conv.get_input(0).name in dequantized]
    assert (len(convs), len(quantized)) == (8, 6)
    assert all(conv.get_input(1).name in dequantized for conv in quantized)


def test_the_builder_builds_it(trt: Any, make_int8: Callable[..., Path]) -> None:
    model, recipe = read_detector(make_int8(stride=1, students=2))
    assert build_plan(trt, model, recipe.size_hw, BuildOptions(max_batch=2)).plan
