"""Whether there is an NVIDIA driver with a GPU, asked of the driver itself, without any binding.

TensorRT without a driver hands out objects over null pointers, and the next call ends the process; PyCUDA cannot even
be imported. So the driver is asked first, by calls that every version of its library has.
"""

import ctypes

from runtime.errors import EngineError

LIBRARY = "libcuda.so.1"
SUCCESS, NO_DEVICE = 0, 100


def require_driver() -> None:
    """Raise `EngineError` unless a driver is loaded and finds a GPU."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise EngineError(
            f"there is no NVIDIA driver ({LIBRARY} is missing); install it (in a container run with --gpus all), "
            "or run the detector.onnx on the CPU"
        ) from error
    count = ctypes.c_int(0)
    code = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    if code == NO_DEVICE or (code == SUCCESS and count.value == 0):
        raise EngineError(
            "the NVIDIA driver finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES, or run the detector.onnx on "
            "the CPU"
        )
    if code != SUCCESS:
        raise EngineError(
            f"the NVIDIA driver does not start ({_name(library, code)}); check nvidia-smi, or restart the machine"
        )


def _name(library: ctypes.CDLL, code: int) -> str:
    name = ctypes.c_char_p()
    if library.cuGetErrorName(code, ctypes.byref(name)) == SUCCESS and name.value:
        return name.value.decode()
    return f"error {code}"
