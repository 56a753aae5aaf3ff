"""Where a detector is to be written: checked before the work, so that nothing of somebody else's is replaced."""

from pathlib import Path

from runtime.detector_file import read_detector
from runtime.errors import DetectorError, InputError
from runtime.onnx_file import read_metadata


def check_destination(out: Path) -> None:
    """Raise `InputError` unless a detector can be written to `out`: a new file, or one that is a detector already."""
    if out.suffix != ".onnx":
        raise InputError(f"--out is {out}; expected a name ending in .onnx")
    if out.is_dir():
        raise InputError(f"--out is {out}, which is a folder; name a file")
    if blocking := next((parent for parent in out.parents if parent.exists() and not parent.is_dir()), None):
        raise InputError(f"--out is {out}, but {blocking} is a file; name a file in a folder")
    if out.exists() and not _is_detector(out):
        raise InputError(f"{out} is no detector of Proctor's and would be replaced; move it, or name another --out")


def threshold_by_hand(out: Path) -> float | None:
    """The threshold in the detector at `out`, if there is one and it was set by hand."""
    try:
        threshold = read_detector(out)[1].threshold
    except DetectorError:
        return None
    return threshold.value if threshold.method == "manual" else None


def _is_detector(path: Path) -> bool:
    """Of any version: a detector may be replaced by a newer one."""
    try:
        return "recipe" in read_metadata(path.read_bytes())
    except DetectorError:
        return False
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name another --out") from error
