"""The names of TensorRT's API that the code uses, against the published binding sources and the real bindings.

``names.csv`` was read from NVIDIA's binding sources of 10.3 (JetPack 6) to 11.1: each name with its parameters, and the
first and the last of these versions that has it. The runtime half is also held to the lean runtime's wheel, whose
classes are the real ones and import without a GPU; both halves to TensorRT for RTX, which is not TensorRT and shares
its API.
"""

import ast
import csv
import importlib
import inspect
from pathlib import Path
from typing import Any

import onnx_tensorrt
import pytest
from names_used import Use, names_used
from onnx_tensorrt import OnnxTensorRt
from recording_cuda import RecordingCuda

from runtime.tensorrt.engine import DTYPES

OLDEST, NEWEST = "10.3", "11.1"
BUILDER_HALF = (
    *("Builder", "BuilderFlag.", "IBuilderConfig", "INetworkDefinition", "ITensor", "OnnxParser", "ParserError"),
    "NetworkDefinitionCreationFlag",
)

with (Path(__file__).parent / "names.csv").open() as file:
    TABLE = {row["name"]: row for row in csv.DictReader(file)}
USES = sorted(names_used(), key=lambda use: (use.name, str(use.arguments)))
PUBLISHED = [use for use in USES if not use.name.endswith("__")]  # but __version__ and __init__, which every module has


def problem(use: Use) -> str | None:
    """What is wrong with a use, by the table."""
    row = TABLE.get(use.name)
    if row is None:
        return f"{use.name} is in none of the binding sources"
    if (row["first"], row["last"]) != (OLDEST, NEWEST):
        return f"{use.name} is there from {row['first']} to {row['last']} only"
    parameters = row["parameters"].split()
    if use.arguments is not None and use.arguments > len(parameters):
        return f"{use.name} takes {parameters}, and is given {use.arguments} arguments"
    return None


@pytest.mark.parametrize("use", PUBLISHED, ids=lambda use: use.name)
def test_every_name_used_is_in_every_version_from_10_3_to_11(use: Use) -> None:
    assert problem(use) is None


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (Use("BuilderFlag.FP16", None), "from 10.3 to 10.16 only"),
        (Use("IBuilderConfig.int8_calibrator", None), "from 10.3 to 10.16 only"),
        (Use("IExecutionContext.execute_async_v4", 1), "in none of the binding sources"),
        (Use("IExecutionContext.set_tensor_address", 3), "is given 3 arguments"),
    ],
)
def test_a_name_that_is_gone_unknown_or_called_wrongly_is_caught(use: Use, message: str) -> None:
    assert message in str(problem(use))


def test_the_code_is_read_whole() -> None:
    found = {use.name for use in USES}
    assert found > {
        "ITimingCache.serialize",
        "ITensor.name",
        "ILogger.Severity.WARNING",
        "IProgressMonitor.phase_start",
    }
    assert len(found) > 50


def test_overridden_methods_take_what_tensorrt_passes() -> None:
    trt = OnnxTensorRt(RecordingCuda)
    from runtime.tensorrt.messages import open_logger
    from runtime.tensorrt.progress import progress_monitor

    for base, made in (("ILogger", open_logger(trt)), ("IProgressMonitor", progress_monitor(trt))):
        for name in ("log", "phase_start", "step_complete", "phase_finish"):
            if f"{base}.{name}" in TABLE:
                parameters = inspect.signature(getattr(made, name)).parameters
                assert len(parameters) == len(TABLE[f"{base}.{name}"]["parameters"].split()), name


def real(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        pytest.skip(f"{package} is not installed ({error}): the names were NOT compared with the real binding")


def missing_from(trt: Any, uses: list[Use]) -> list[str]:
    """Names that a real binding lacks, or whose signature it documents with fewer parameters than they are given."""
    missing = []
    for use in uses:
        found: Any = trt
        for part in use.name.split("."):
            found = getattr(found, part, None)
        if found is None:
            missing.append(use.name)
        elif use.arguments is not None and not _takes(found, use.arguments):
            missing.append(f"{use.name} with {use.arguments} arguments")
    return missing


def _takes(function: Any, count: int) -> bool:
    """Whether any signature in a binding's docstring has room for `count` arguments; classes document their init."""
    text = (function.__init__ if inspect.isclass(function) else function).__doc__ or ""
    signatures = [line for line in text.splitlines() if "(self" in line]
    return not signatures or any(_parameters(line) >= count for line in signatures)


def _parameters(signature: str) -> int:
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    depth, commas = 0, 0
    for character in inside:
        depth += (character in "[(<") - (character in "])>")
        commas += character == "," and depth == 0
    return commas


def test_the_runtime_half_is_in_the_real_bindings() -> None:
    trt = real("tensorrt_lean_bindings", "tensorrt-lean-cu13-bindings")
    runtime_half = [use for use in USES if not use.name.startswith(BUILDER_HALF)]
    assert len(runtime_half) > 20
    assert missing_from(trt, runtime_half) == []
    assert all(hasattr(trt.DataType, name) for name in DTYPES)
    assert missing_from(trt, [Use("ICudaEngine.get_tensor_nose", 1), Use("IExecutionContext.execute_async_v3", 2)]) == [
        "ICudaEngine.get_tensor_nose",
        "IExecutionContext.execute_async_v3 with 2 arguments",
    ]


def test_both_halves_are_in_tensorrt_for_rtx() -> None:
    trt = real("tensorrt_rtx", "tensorrt-rtx")
    assert missing_from(trt, USES) == []


def test_the_stand_in_has_no_names_that_tensorrt_lacks() -> None:
    trt = real("tensorrt_rtx", "tensorrt-rtx")
    classes = {"Context": "IExecutionContext", "Engine": "ICudaEngine", "Config": "IBuilderConfig"}
    classes |= {"Network": "INetworkDefinition", "Profile": "IOptimizationProfile", "TimingCache": "ITimingCache"}
    tree = ast.parse(Path(onnx_tensorrt.__file__).read_text())
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name not in ("OnnxTensorRt", "Named"):
            name = {"Severity": "ILogger.Severity"}.get(node.name, classes.get(node.name, node.name))
            found = trt
            for part in name.split("."):
                found = getattr(found, part)
            methods = [each.name for each in node.body if isinstance(each, ast.FunctionDef) and each.name[0] != "_"]
            assert [method for method in methods if not hasattr(found, method)] == [], name
