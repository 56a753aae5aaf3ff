"""CUDA as the TensorRT engine needs it: one small interface, through cuda-bindings or PyCUDA."""

from collections.abc import Callable

from runtime.cuda_driver import require_driver
from runtime.errors import EngineError
from runtime.tensorrt.cuda.base import Cuda, Device, Event, Graph, Memory, Stream, what_helps

__all__ = ["BINDINGS", "Cuda", "Device", "Event", "Graph", "Memory", "Stream", "open_cuda", "what_helps"]


def _cuda_bindings() -> Cuda:
    from runtime.tensorrt.cuda.bindings import CudaBindings

    return CudaBindings()


def _pycuda() -> Cuda:
    from runtime.tensorrt.cuda.pycuda import PyCuda

    return PyCuda()


# the first that is installed is taken by "auto": cuda-bindings has CUDA graphs, PyCUDA has none
BINDINGS: dict[str, Callable[[], Cuda]] = {"cuda-bindings": _cuda_bindings, "pycuda": _pycuda}


def open_cuda(binding: str = "auto") -> Cuda:
    """The GPU through a binding: ``auto``, ``cuda-bindings`` or ``pycuda``. The caller closes it.

    It is device 0; the environment variable CUDA_VISIBLE_DEVICES says which one that is. Raises `EngineError` for a
    missing driver, GPU or binding.
    """
    if binding not in ("auto", *BINDINGS):
        raise EngineError(f"the CUDA binding is {binding!r}; expected one of auto, {', '.join(BINDINGS)}")
    require_driver()
    for name in BINDINGS if binding == "auto" else (binding,):
        try:
            return BINDINGS[name]()
        except ModuleNotFoundError:
            continue
        except ImportError as error:
            raise EngineError(f"{name} cannot be loaded ({error}); install it again: pip install {name}") from error
    wanted = "cuda-bindings or pycuda" if binding == "auto" else binding
    raise EngineError(f"{wanted} is not installed; pip install cuda-bindings (or pycuda, where it is at home)")
