"""The runtime: a detector file and a camera in, verdicts out. It never imports torch.

>>> from runtime import Detector
>>> with Detector.open("detector.onnx") as detector:  # doctest: +SKIP
...     verdict = detector.inspect(image)
"""

from importlib import import_module
from typing import TYPE_CHECKING

from runtime.private import switch_telemetry_off

if TYPE_CHECKING:
    from runtime.detector import Detector
    from runtime.errors import ProctorError
    from runtime.frames import Frame
    from runtime.recipe import Recipe
    from runtime.verdict import Decision, Region, Verdict

__all__ = ["Decision", "Detector", "Frame", "ProctorError", "Recipe", "Region", "Verdict"]

_HOMES = {
    "Decision": "verdict",
    "Detector": "detector",
    "Frame": "frames",
    "ProctorError": "errors",
    "Recipe": "recipe",
    "Region": "verdict",
    "Verdict": "verdict",
}

switch_telemetry_off()  # before anything can load ONNX Runtime


def __getattr__(name: str) -> object:
    # on first use: `python -m runtime.doctor` must start where NumPy or OpenCV is missing or broken
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
