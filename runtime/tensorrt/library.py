"""The TensorRT library: found, its version checked. Every difference between its versions is handled in this module.

Checked against the published binding sources of 10.3 (JetPack 6) to 11.1 and the bindings of 11.4; a test compares
every name that this package uses with them.
"""

import importlib
import logging
import re
from typing import Any

from runtime.errors import EngineError

OLDEST = (10, 3)
NEWEST_MAJOR = 11
SUPPORTED = "10.3 to 11"
AGAIN = "build the plan anew with python -m export.engine"
INSTALL = "pip install 'proctor[tensorrt]' (on a Jetson use JetPack's own, see runtime/tensorrt/README.md)"

log = logging.getLogger("proctor.tensorrt")


def load() -> Any:
    """The `tensorrt` module. Ask CUDA for a driver first: without one TensorRT ends the whole process.

    Raises `EngineError` when it is missing, cannot be loaded, or is too old. A version after 11 is tried, with a
    warning.
    """
    try:
        trt = importlib.import_module("tensorrt")
    except ModuleNotFoundError as error:
        raise EngineError(f"TensorRT is not installed; {INSTALL}, or run the detector.onnx instead") from error
    except (ImportError, OSError) as error:
        raise EngineError(f"TensorRT cannot be loaded ({error}); install it again: {INSTALL}") from error
    check_version(version(trt))
    return trt


def version(trt: Any) -> str:
    """The library's version, such as 10.3.0."""
    return str(getattr(trt, "__version__", "unknown"))


def check_version(text: str) -> None:
    """Raise `EngineError` for a version before 10.3 or none at all."""
    numbers = parsed(text)
    if numbers is None:
        raise EngineError(f"TensorRT's version is {text!r}, expected 10.3 or later; install it again: {INSTALL}")
    if numbers < OLDEST:
        raise EngineError(
            f"TensorRT {text} is too old, 10.3 or later is needed; on a Jetson upgrade to JetPack 6, elsewhere "
            f"{INSTALL}, or run the detector.onnx instead"
        )
    if numbers[0] > NEWEST_MAJOR:
        log.warning("TensorRT %s is newer than any that Proctor was checked against (%s)", text, SUPPORTED)


def parsed(text: str) -> tuple[int, int] | None:
    """Major and minor number of a version, None for what is none."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def network_flags(trt: Any) -> int:
    """Flags of a strongly typed network: every layer runs in the precision that the ONNX file says.

    From 11 on there is no other kind, and the flag may go one day.
    """
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def can_show_progress(trt: Any) -> bool:
    """Whether this version reports the progress of a build, and lets it be cancelled."""
    return hasattr(trt, "IProgressMonitor")


def share_profile(context: Any, stream: int) -> None:
    """Give a further execution context the plan's only optimization profile.

    The first context of an engine has it already; 10.x and 11.x let contexts share one. Raises `EngineError`.
    """
    try:
        done = context.set_optimization_profile_async(0, stream)
    except RuntimeError as error:  # the binding's: "Error in set optimization profile async."
        raise EngineError(f"TensorRT refused the optimization profile ({error}); {AGAIN}") from error
    if not done:
        raise EngineError(f"TensorRT refused the optimization profile; {AGAIN}")
