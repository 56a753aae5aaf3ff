"""The questions that only vendors' libraries can answer. The doctor runs this file in a process of its own.

::

    python -m runtime.doctor.vendor version MODULE        {"version": …}
    python -m runtime.doctor.vendor imports MODULE        {}
    python -m runtime.doctor.vendor opencv                version, back ends
    python -m runtime.doctor.vendor onnxruntime           version, providers, cores
    python -m runtime.doctor.vendor golden PROVIDER       the demo detector's largest deviation on its golden frame
    python -m runtime.doctor.vendor detector FILE         a detector file's recipe in short
"""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"


def version(module: str) -> dict[str, Any]:
    """A module's ``__version__``. Nothing else in it is touched: TensorRT without a driver kills the process."""
    return {"version": str(importlib.import_module(module).__version__)}


def imports(module: str) -> dict[str, Any]:
    """Whether a module can be imported, with the compiled parts that it loads."""
    importlib.import_module(module)
    return {}


def opencv() -> dict[str, Any]:
    """OpenCV's version and what it can read cameras and streams with."""
    import cv2

    registry: Any = cv2.videoio_registry
    build = cv2.getBuildInformation()
    return {
        "version": cv2.__version__,
        # the registry also names plugins that are not installed
        "camera_backends": [registry.getBackendName(b) for b in registry.getCameraBackends() if registry.hasBackend(b)],
        "stream_backends": [registry.getBackendName(b) for b in registry.getStreamBackends() if registry.hasBackend(b)],
        "gstreamer": re.search(r"GStreamer:\s*YES", build) is not None,
        "ffmpeg": re.search(r"FFMPEG:\s*YES", build) is not None,
    }


def onnxruntime() -> dict[str, Any]:
    """ONNX Runtime's version, its execution providers, and the cores it may use."""
    import onnxruntime

    from runtime.machine import available_cores

    providers = onnxruntime.get_available_providers()
    return {"version": onnxruntime.__version__, "providers": providers, "cores": available_cores()}


def golden(provider: str, folder: str = str(DATA)) -> dict[str, Any]:
    """Open the demo detector, score its golden frame, and compare.

    The deviation is the largest of the maps, and of the scores, in units of the golden map's standard deviation: for
    scores, of the map that they are taken from.
    """
    import numpy as np

    from runtime.detector import Detector

    with np.load(Path(folder) / "demo.golden.npz", allow_pickle=False) as arrays:
        expected = dict(arrays)
    # one thread: a health check must not take the cores from a line that runs
    with Detector.open(Path(folder) / "demo.onnx", provider=provider, threads=1) as detector:
        output = detector.engine.result(detector.engine.submit(expected["prepared"][None]))
    scored = expected["deviation_map" if "deviation_map" in expected else "anomaly_map"]
    of_map = np.abs(output.anomaly_map[0] - expected["anomaly_map"]).max() / expected["anomaly_map"].std()
    of_scored_map = np.abs(output.scored_map[0] - scored).max() / scored.std()
    pairs = [(output.anomaly_score[0], expected["anomaly_score"])]
    if "evidence_scores" in expected:
        assert output.evidence_scores is not None
        pairs.append((output.evidence_scores[0], expected["evidence_scores"]))
    of_scores = [np.abs(one - other).max() / scored.std() for one, other in pairs]
    return {"deviation": float(max(of_map, of_scored_map, *of_scores))}


def detector(path: str) -> dict[str, Any]:
    """What a detector file or plan is, in short; a plan is held against its sidecar, and not deserialized."""
    from runtime.detector_file import read_detector
    from runtime.tensorrt.plans import PLAN, current_recipe, read_plan

    file = Path(path)
    if file.suffix == PLAN:
        recipe = current_recipe(read_plan(file).sidecar, file.with_suffix(".onnx"), signed=False)
    else:
        recipe = read_detector(file)[1]
    return {"size_hw": recipe.size_hw, "threshold": recipe.threshold.value, "recipe_sha256": recipe.sha256}


QUESTIONS = {f.__name__: f for f in (version, imports, opencv, onnxruntime, golden, detector)}


def main() -> None:
    from runtime.errors import ProctorError

    question, *arguments = sys.argv[1:]
    try:
        answer = QUESTIONS[question](*arguments)
    except ProctorError as error:  # says in a sentence what is wrong
        sys.exit(str(error))
    print(f"\n{json.dumps(answer)}")


if __name__ == "__main__":
    main()
