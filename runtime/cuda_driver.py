"""The NVIDIA driver asked directly, through ctypes, with no package of anybody's.

TensorRT without a driver hands out objects over null pointers, and the next call ends the process; PyCUDA cannot even
be imported. So the driver is asked first. `runtime.doctor` asks in a process of its own:
``python -m runtime.cuda_driver LIBRARY`` prints one JSON object: ``loaded`` (with ``reason`` when it is false),
``initialized`` (with ``error``), ``driver`` as [major, minor] of the CUDA version it supports, and ``devices``. Names
and numbers are those of cuda.h.
"""

import ctypes
import json
import sys
from typing import Any

from runtime.errors import EngineError

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
SUCCESS = 0
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
_NAME_BYTES = 256


class DriverError(Exception):
    """A call that the driver refused."""


def require_driver(library: str = LIBRARY) -> None:
    """Raise `EngineError` unless a driver is loaded and finds a GPU."""
    found = examine(library)
    if not found["loaded"]:
        raise EngineError(
            f"there is no NVIDIA driver ({library} cannot be loaded); install it (in a container: --gpus all, on a "
            "Jetson --runtime nvidia), or run the detector.onnx on the CPU"
        )
    error = found.get("error")
    if error is None and found["devices"]:
        return
    if error is None or "CUDA_ERROR_NO_DEVICE" in error:
        raise EngineError(
            "the NVIDIA driver finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES, or run the detector.onnx on "
            "the CPU"
        )
    raise EngineError(f"the NVIDIA driver does not start ({error}); check nvidia-smi, or restart the machine")


def examine(library: str) -> dict[str, Any]:
    """Load the driver's library and ask it. Every failure is part of the answer."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError as error:
        return {"loaded": False, "reason": str(error)}
    found: dict[str, Any] = {"loaded": True, "initialized": False, "driver": None, "devices": []}
    try:
        found["driver"] = _version(cuda)
        _call(cuda, "cuInit", ctypes.c_uint(0))
        found["initialized"] = True
        count = _integer(cuda, "cuDeviceGetCount")
        found["devices"] = [_device(cuda, ordinal) for ordinal in range(count)]
    except DriverError as error:
        found["error"] = str(error)
    return found


def _version(cuda: ctypes.CDLL) -> list[int]:
    number = _integer(cuda, "cuDriverGetVersion")  # 1000 · major + 10 · minor
    return [number // 1000, number % 1000 // 10]


def _device(cuda: ctypes.CDLL, ordinal: int) -> dict[str, Any]:
    device = ctypes.c_int(_integer(cuda, "cuDeviceGet", ctypes.c_int(ordinal)))
    name, memory_bytes = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_size_t()
    _call(cuda, "cuDeviceGetName", name, ctypes.c_int(_NAME_BYTES), device)
    _call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(memory_bytes), device)
    capability = [
        _integer(cuda, "cuDeviceGetAttribute", ctypes.c_int(attribute), device)
        for attribute in (COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR)
    ]
    return {
        "name": name.value.decode(errors="replace"),
        "compute_capability": capability,
        "memory_bytes": memory_bytes.value,
    }


def _integer(cuda: ctypes.CDLL, function: str, *arguments: Any) -> int:
    value = ctypes.c_int()
    _call(cuda, function, ctypes.byref(value), *arguments)
    return value.value


def _call(cuda: ctypes.CDLL, function: str, *arguments: Any) -> None:
    try:
        status = getattr(cuda, function)(*arguments)
    except AttributeError as error:
        raise DriverError(f"the library has no {function}") from error
    if status != SUCCESS:
        raise DriverError(f"{function} returned {_error_name(cuda, status)}")


def _error_name(cuda: ctypes.CDLL, status: int) -> str:
    name = ctypes.c_char_p()
    try:
        known = cuda.cuGetErrorName(ctypes.c_int(status), ctypes.byref(name)) == SUCCESS
    except AttributeError:
        known = False
    return f"{name.value.decode()} ({status})" if known and name.value else f"error {status}"


if __name__ == "__main__":
    print(json.dumps(examine(sys.argv[1])))
