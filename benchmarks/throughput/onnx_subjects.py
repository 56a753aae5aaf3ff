"""Rows of files: our detectors and plans through the runtime, any other ONNX file through the same engines."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.throughput.arithmetic import Arithmetic, count
from benchmarks.throughput.subject import TIMEOUT_S, Frames, Subject, limit_of
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.engines.onnxruntime_engine import open_session
from runtime.errors import DetectorError, EngineError, InputError

FLOATS = ("tensor(float)", "tensor(float16)")
MANY = 64  # frames a batch of a file that takes any number


def subject_of_detector(name: str, path: Path, engine: str, threads: int) -> Subject:
    """The row of a ``detector.onnx`` in one of ENGINES. Raises `DetectorError`, or `EngineError` where it is absent."""

    model, recipe = read_detector(path)
    arithmetic = count(model, (1, *recipe.size_hw, 3))
    if engine == "openvino":
        return _foreign(name, model, engine, recipe.size_hw, threads)
    library, provider = engine.split("-")
    opened = Detector.open(path, engine="onnxruntime", provider=provider, threads=threads).engine
    return _of_engine(name, opened, library, provider, recipe.size_hw, arithmetic.precision, arithmetic)


def subject_of_plan(name: str, path: Path, key_file: Path | None) -> Subject:
    """The row of a ``detector.plan``, which is never rebuilt for it. Its arithmetic is that of the ONNX file beside it.

    Raises what `Detector.open` raises.
    """

    detector = Detector.open(path, rebuild=False, key_file=key_file)
    recipe, arithmetic = detector.recipe, _arithmetic_beside(path, detector.recipe.graph_sha256)
    note = "" if arithmetic else f"{name}: the detector.onnx of this plan is not beside it; no arithmetic"
    precision = arithmetic.precision if arithmetic else recipe.precision
    return _of_engine(name, detector.engine, "tensorrt", "cuda", recipe.size_hw, precision, arithmetic, note)


def subject_of_foreign(name: str, path: Path, engine: str, size_hw: tuple[int, int], threads: int) -> Subject:
    """The row of any ONNX file of one image input, in one of ENGINES; `size_hw` counts where the file leaves it open.

    The input is uint8 or float, [N, 3, H, W] or [N, H, W, 3]; a float one gets RGB in [0, 1], prepared within the timed
    call. Float outputs are fetched, which are map and score; labels and masks are not. Raises `InputError` for another
    input, `EngineError` where the engine is absent or refuses the file.
    """
    try:
        model = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    return _foreign(name, model, engine, size_hw, threads)


@dataclass(frozen=True)
class ImageInput:
    """The one input of a graph."""

    name: str
    dtype: np.dtype[Any]
    channels_first: bool
    size_hw: tuple[int, int]
    max_batch: int

    @property
    def shape(self) -> tuple[int, ...]:
        """At a batch of one."""
        return (1, 3, *self.size_hw) if self.channels_first else (1, *self.size_hw, 3)

    def of_frames(self, frames: Frames) -> NDArray[Any]:
        """Frames uint8 [n, H, W, 3], BGR, as the graph takes them: as they are, or as RGB in [0, 1]."""
        pixels = frames.transpose(0, 3, 1, 2) if self.channels_first else frames
        if self.dtype == np.uint8:
            return np.ascontiguousarray(pixels)
        rgb = pixels[:, ::-1] if self.channels_first else pixels[..., ::-1]
        values = np.ascontiguousarray(rgb, self.dtype)
        values *= self.dtype.type(1 / 255)
        return values


def image_input(model: bytes, size_hw: tuple[int, int]) -> ImageInput:
    """The input of a model. Raises `DetectorError` for no model, `InputError` for one that takes no image."""
    import onnx
    from onnx import helper

    try:
        graph = onnx.load_model_from_string(model).graph
    except Exception as error:  # protobuf's own exceptions have no common base
        raise DetectorError("not an ONNX file, or a damaged one") from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise InputError(f"the file has {len(inputs)} inputs; expected one, an image")
    tensor = inputs[0].type.tensor_type
    dims = [dim.dim_value or None for dim in tensor.shape.dim]
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if len(dims) != 4 or 3 not in (dims[1], dims[3]) or dtype not in (np.uint8, np.float32, np.float16):
        shown = [dim or "?" for dim in dims]
        raise InputError(f"the file takes {dtype} {shown}; expected uint8 or float [N, 3, H, W] or [N, H, W, 3]")
    channels_first = dims[1] == 3
    height, width = dims[2:4] if channels_first else dims[1:3]
    return ImageInput(
        inputs[0].name, dtype, channels_first, (height or size_hw[0], width or size_hw[1]), dims[0] or MANY
    )


def _foreign(name: str, model: bytes, engine: str, size_hw: tuple[int, int], threads: int) -> Subject:
    source = image_input(model, size_hw)
    arithmetic = count(model, source.shape)
    open_engine = _open_openvino if engine == "openvino" else partial(_open_onnxruntime, engine.split("-")[1])
    device = "cuda" if engine == "onnxruntime-cuda" else "cpu"
    words, infer = open_engine(model, source, threads)
    return Subject(
        name=name,
        device=device,
        size_hw=source.size_hw,
        precision=arithmetic.precision,
        limit=limit_of(engine.split("-")[0], device, arithmetic.precision),
        arithmetic=arithmetic,
        describe=lambda: words,
        infer=infer,
        close=lambda: None,
        max_batch=source.max_batch,
    )


Opened = tuple[str, Callable[[Frames], object]]


def _open_onnxruntime(provider: str, model: bytes, source: ImageInput, threads: int) -> Opened:
    import onnxruntime

    session = open_session(model, provider, threads)
    outputs = [output.name for output in session.get_outputs() if output.type in FLOATS]

    def infer(frames: Frames) -> object:
        try:
            return session.run(outputs, {source.name: source.of_frames(frames)})
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise EngineError(f"ONNX Runtime failed on a batch of {len(frames)}: {_first_line(error)}") from error

    device = f"{threads} CPU threads" if provider == "cpu" else "CUDA"
    return f"ONNX Runtime {onnxruntime.__version__}, {device}", infer


def _open_openvino(model: bytes, source: ImageInput, threads: int) -> Opened:
    try:
        from runtime.engines.openvino_engine import compiled_model, version
    except ModuleNotFoundError as error:
        raise EngineError("OpenVINO is not installed; pip install openvino, or leave it out of --engines") from error
    compiled = compiled_model(model, threads)
    request = compiled.create_infer_request()
    floats = [index for index, port in enumerate(compiled.outputs) if port.get_element_type().is_real()]

    def infer(frames: Frames) -> object:
        try:
            request.infer({0: source.of_frames(frames)}, share_inputs=True)
            return [request.get_output_tensor(index).data.copy() for index in floats]
        except Exception as error:  # OpenVINO raises plain RuntimeErrors
            raise EngineError(f"OpenVINO failed on a batch of {len(frames)}: {_first_line(error)}") from error

    return f"OpenVINO {version()}, {threads} CPU threads", infer


def _of_engine(
    name: str,
    engine: Any,
    library: str,
    provider: str,
    size_hw: tuple[int, int],
    precision: str,
    arithmetic: Arithmetic | None,
    note: str = "",
) -> Subject:
    return Subject(
        name=name,
        device=provider,
        size_hw=size_hw,
        precision=precision,
        limit=limit_of(library, provider, precision),
        arithmetic=arithmetic,
        describe=lambda: str(engine.description),
        infer=lambda frames: engine.result(engine.submit(frames), TIMEOUT_S),
        close=engine.close,
        max_batch=engine.max_batch,
        engine=engine,
        note=note,
    )


def _arithmetic_beside(plan: Path, graph_sha256: str) -> Arithmetic | None:
    onnx = plan.with_suffix(".onnx")
    if not onnx.is_file():
        return None
    model, recipe = read_detector(onnx)
    return count(model, (1, *recipe.size_hw, 3)) if recipe.graph_sha256 == graph_sha256 else None


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
