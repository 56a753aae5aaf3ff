"""Which detector file runs where none is given: the packaged one for the demo line, or the one in this folder."""

from pathlib import Path

from runtime.errors import DetectorError
from runtime.location import Location

DEMO = "demo"
DEMO_DETECTOR = Path(__file__).parent / "data" / "demo.onnx"
DEFAULTS = (Path("detector.plan"), Path("detector.onnx"))  # in the working folder, the first that is there


def is_demo(camera: str) -> bool:
    """Whether a camera's address is that of the demo line."""
    return camera.partition("?")[0] == DEMO


def default_in_folder() -> Path | None:
    """The detector file that runs from the working folder where none is given, if one is there."""
    return next((path for path in DEFAULTS if path.is_file()), None)


def choose_detector(given: Location | None, camera: str) -> Location:
    """The detector to run: the one given, the packaged one for the demo line, or the one in the working folder.

    Raises `DetectorError` when there is none, and when the packaged one is given for another camera: it knows the demo
    line's parts alone.
    """
    if is_demo(camera) and given is None:
        if not DEMO_DETECTOR.is_file():
            raise DetectorError(f"this installation lacks the demo detector {DEMO_DETECTOR}; install Proctor again")
        return DEMO_DETECTOR
    if given is None:
        given = default_in_folder()
        if given is None:
            raise DetectorError(
                "no detector.plan or detector.onnx in this folder; train one with "
                "python -m train --data GOOD_IMAGES --out detector.onnx, or give --detector FILE"
            )
    if isinstance(given, Path) and not is_demo(camera) and given.resolve() == DEMO_DETECTOR.resolve():
        raise DetectorError(f"{given} knows the demo line's parts alone; train a detector for this camera")
    return given
