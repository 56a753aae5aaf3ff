"""Where a detector is to be written: checked before the work, so that nothing of somebody else's is replaced."""

from pathlib import Path

from runtime.detector_file import read_detector
from runtime.errors import DetectorError, InputError
from runtime.onnx_file import read_metadata
from runtime.recipe import Recipe
from runtime.scoring import RUNTIME


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


def replaced_by(recipe: Recipe, out: Path) -> list[str]:
    """Sentences on what the detector at `out`, if there is one, was set to and its new `recipe` is not."""
    try:
        old = read_detector(out)[1]
    except DetectorError:
        return []
    told = []
    if old.threshold.method == "manual":
        told.append(f"{out} had a threshold set by hand, {old.threshold.value:.6g}; the one fitted now replaces it")
    before, now = ([(name, getattr(each.scoring, name)) for name in RUNTIME] for each in (old, recipe))
    if before != now:
        settings = (", ".join(f"{name} {value}" for name, value in each) for each in (before, now))
        told.append(f"{out} had {next(settings)}; the run's {next(settings)} replace them (python -m runtime.adjust)")
    return told


def _is_detector(path: Path) -> bool:
    """Of any version: a detector may be replaced by a newer one."""
    try:
        return "recipe" in read_metadata(path.read_bytes())
    except DetectorError:
        return False
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name another --out") from error
