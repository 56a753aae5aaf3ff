"""A real parser and a real builder take the INT8 file: TensorRT for RTX on a CPU, which is not TensorRT (see
tests/runtime/trt/test_real_builder.py). Its plans cannot be run here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.int8 import Options, quantize
from runtime.detector import read_detector
from runtime.tensorrt.builder import BuildOptions, build_plan
from train.data import Split

# there is no timing cache in TensorRT for RTX: its calls are there, and warn that they do nothing
pytestmark = pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")


@pytest.fixture(scope="module")
def trt() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: NO real builder was run")


@pytest.mark.parametrize(("form", "stride"), [("bailer", 4), ("bailer", 1), ("atrous", 2)])
def test_an_int8_file_is_parsed_and_built(
    trt: Any, form: str, stride: int, narrow_detector: Callable[..., Path], part_split: Split, tmp_path: Path
) -> None:
    out = tmp_path / "int8.onnx"
    options = Options(margin=0.05, threads=1, allow_slower=True)
    quantize(narrow_detector(form=form, stride=stride, students=2, channels=16), part_split, out, options)
    model, recipe = read_detector(out)
    assert build_plan(trt, model, recipe.size_hw, BuildOptions(max_batch=2)).plan
