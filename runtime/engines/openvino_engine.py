"""OpenVINO: the same detector file on Intel's and ARM's processors, where it is the faster one."""

from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from runtime.detector_file import read_detector
from runtime.engines.base import Output
from runtime.engines.signature import Tensor, check_graph, output_of
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import EngineError
from runtime.machine import available_cores
from runtime.opening import OpenVinoOptions
from runtime.recipe import Recipe

TYPES = {"u8": "uint8", "f32": "float32"}  # NumPy's words for OpenVINO's
MAX_BATCH, SLOTS = 64, 2  # as of ONNX Runtime


class OpenVinoEngine(ThreadedEngine):
    """An `Engine` over one inference request on the CPU."""

    def __init__(self, model: bytes, recipe: Recipe, threads: int | None = None) -> None:
        """`threads` are the CPU threads of one inference; None takes all cores that this process may use.

        Raises `EngineError` where it cannot start, `DetectorError` for a graph of another input or other outputs than
        the recipe's.
        """
        cores = available_cores() if threads is None else threads
        compiled = compiled_model(model, cores)
        inputs, outputs = (
            tuple(_tensor(port, recipe) for port in each) for each in (compiled.inputs, compiled.outputs)
        )
        check_graph(inputs, outputs, recipe)
        self._names, self._recipe = [output.name for output in outputs], recipe
        self._request = compiled.create_infer_request()
        description = f"OpenVINO {version()}, {cores} CPU threads"
        super().__init__(self._run, recipe.size_hw, MAX_BATCH, SLOTS, description)

    def _run(self, frames: NDArray[np.uint8]) -> Output:
        try:
            self._request.infer({0: frames}, share_inputs=True)
            # copies: the next inference writes into the request's own tensors
            values = [self._request.get_output_tensor(index).data.copy() for index in range(len(self._names))]
        except Exception as error:  # OpenVINO raises plain RuntimeErrors
            raise EngineError(f"OpenVINO failed on a batch of {len(frames)}: {_first_line(error)}") from error
        return output_of(dict(zip(self._names, values, strict=True)), len(frames), self._recipe)


def open_openvino(path: Path, options: OpenVinoOptions) -> tuple[Recipe, OpenVinoEngine, str]:
    """The opener of `runtime.opening`."""
    model, recipe = read_detector(path)
    return recipe, OpenVinoEngine(model, recipe, options.threads), ""


def compiled_model(model: bytes, threads: int) -> Any:
    """A model compiled for the CPU. Raises `EngineError` where OpenVINO refuses it."""
    # FP32 stays FP32: on a CPU with matrix units OpenVINO would else compute in bfloat16, with other scores
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    try:
        core = _core()
        return core.compile_model(core.read_model(model), "CPU", settings)
    except Exception as error:  # OpenVINO raises plain RuntimeErrors
        raise EngineError(f"OpenVINO cannot load the file: {_first_line(error)}") from error


def _tensor(port: Any, recipe: Recipe) -> Tensor:
    """An input or output of a compiled model. A tensor may have several names: the recipe's goes before others."""
    name = next((each for each in recipe.outputs if each in port.names), port.any_name)
    shape = tuple(None if length.is_dynamic else length.get_length() for length in port.partial_shape)
    kind = port.element_type.get_type_name()
    return Tensor(name, TYPES.get(kind, kind), shape)


@lru_cache(maxsize=1)
def _core() -> Any:
    """OpenVINO's one core of this process, which is never freed.

    OpenVINO 2026.4 gives the thread that first compiles with a core a signal stack, and frees it with the core, in
    whichever order cores end: with a second one the first Ctrl-C would end the process by a segmentation fault. So
    there is one core, and a thread of its own, which no signal reaches, compiles with it first.
    """
    core = openvino.Core()
    thread = Thread(target=core.get_property, args=("CPU", "FULL_DEVICE_NAME"))
    thread.start()
    thread.join()
    return core


def version() -> str:
    """OpenVINO's, without the build."""
    return str(openvino.__version__).split("-")[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
