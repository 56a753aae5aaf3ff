"""The runtime: a detector file and a camera in, verdicts out. It never imports torch.

>>> from runtime import Detector
>>> with Detector.open("detector.onnx") as detector:  # doctest: +SKIP
...     verdict = detector.inspect(image)
"""

from runtime.detector import Detector
from runtime.errors import ProctorError
from runtime.frames import Frame
from runtime.recipe import Recipe
from runtime.verdict import Decision, Region, Verdict

__all__ = ["Decision", "Detector", "Frame", "ProctorError", "Recipe", "Region", "Verdict"]
