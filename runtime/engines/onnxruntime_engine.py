"""ONNX Runtime: the engine of every machine without TensorRT."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from runtime.arguments import as_threads
from runtime.detector_file import read_detector
from runtime.engines.base import Output
from runtime.engines.signature import Tensor, check_graph, output_of
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import EngineError
from runtime.machine import available_cores
from runtime.opening import OnnxRuntimeOptions
from runtime.recipe import Recipe
from runtime.served import INPUT

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# without TF32, which keeps ten bits of a mantissa: scores are those of training on every provider
PROVIDER_OPTIONS: dict[str, dict[str, str]] = {"cpu": {}, "cuda": {"use_tf32": "0"}}
TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}  # NumPy's words for ONNX Runtime's
MAX_BATCH = 64  # the graph takes any number; this bounds the memory one call may ask for
SLOTS = 2


class OnnxRuntimeEngine(ThreadedEngine):
    """An `Engine` over one ONNX Runtime session.

    The provider asked for is the one that runs, or this refuses to start: a fall-back to the CPU would be too slow for
    a line and nobody would see why.
    """

    def __init__(self, model: bytes, recipe: Recipe, provider: str = "cpu", threads: int | None = None) -> None:
        """`threads` are the CPU threads of one inference; None takes all cores that this process may use.

        Raises `EngineError` where it cannot start, `DetectorError` for a graph of another input or other outputs than
        the recipe's.
        """
        cores = available_cores() if threads is None else threads
        self._session = open_session(model, provider, cores)
        inputs, outputs = (
            tuple(map(_tensor, each())) for each in (self._session.get_inputs, self._session.get_outputs)
        )
        check_graph(inputs, outputs, recipe)
        self._names, self._recipe = [output.name for output in outputs], recipe
        device = f"{cores} CPU threads" if provider == "cpu" else "CUDA"
        description = f"ONNX Runtime {onnxruntime.__version__}, {device}"
        super().__init__(self._run, recipe.size_hw, MAX_BATCH, SLOTS, description)

    def _run(self, frames: NDArray[np.uint8]) -> Output:
        try:
            # the outputs are views of ONNX Runtime's own tensors, without a copy: binding arrays of ours saves nothing
            values = self._session.run(self._names, {INPUT: frames})
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise EngineError(f"ONNX Runtime failed on a batch of {len(frames)}: {_first_line(error)}") from error
        return output_of(dict(zip(self._names, values, strict=True)), len(frames), self._recipe)


def open_onnxruntime(path: Path, options: OnnxRuntimeOptions) -> tuple[Recipe, OnnxRuntimeEngine, str]:
    """The opener of `runtime.opening`."""
    model, recipe = read_detector(path)
    return recipe, OnnxRuntimeEngine(model, recipe, options.provider, options.threads), ""


def open_session(model: bytes, provider: str, threads: int) -> onnxruntime.InferenceSession:
    """A session on exactly the provider asked for.

    Raises `EngineError` where it cannot start, `InputError` for a number of threads that is none.
    """
    if not isinstance(provider, str) or provider not in PROVIDERS:
        raise EngineError(f"provider is {provider!r}; expected one of {', '.join(PROVIDERS)}")
    if PROVIDERS[provider] not in onnxruntime.get_available_providers():
        raise EngineError(
            f"this ONNX Runtime has no {PROVIDERS[provider]}; pip install onnxruntime-gpu in place of onnxruntime, "
            "or use --provider cpu"
        )
    threads = as_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # without VNNI the fast product of INT8 saturates at 16 bits: scores would differ from those of other machines
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = onnxruntime.InferenceSession(
            model, options, providers=[(PROVIDERS[provider], PROVIDER_OPTIONS[provider])]
        )
    except Exception as error:  # ONNX Runtime's own exceptions have no common base
        raise EngineError(f"ONNX Runtime cannot load the detector: {_first_line(error)}") from error
    if session.get_providers()[0] != PROVIDERS[provider]:
        raise EngineError(
            f"{PROVIDERS[provider]} did not start (ONNX Runtime fell back to {session.get_providers()[0]}); "
            "check the NVIDIA driver and CUDA libraries, or use --provider cpu"
        )
    return session


def _tensor(found: onnxruntime.NodeArg) -> Tensor:
    shape = tuple(length if isinstance(length, int) else None for length in found.shape)
    return Tensor(found.name, TYPES.get(found.type, found.type), shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
