"""Sets of pictures of good parts on disk, as the page collects them and people confirm them.

::

    FOLDER/0003/set.json            which camera, how many pictures are wanted, by whom, when
    FOLDER/0003/good/000001.png     as the camera gave them
    FOLDER/0003/good.jsonl          what the detector said of each when it came
    FOLDER/0003/refused/000004.png  of which somebody said that the part is not good
    FOLDER/0003/confirmed.json      who looked at all of them, and when
    FOLDER/0003/inspection.json     what ``python -m train.inspection`` says of them
    FOLDER/0003/training.yaml       what a training takes over from the detector in force, for ``python -m train``
    FOLDER/0003/reference.png       how parts are to lie, where that detector finds them first
    FOLDER/0003/training.json       which pictures and options the run was begun with
    FOLDER/0003/run/                that run: the same training goes on in it, another one begins anew
    FOLDER/0003/made/detector.onnx  made of the confirmed ones
    FOLDER/0003/trial/              further pictures, for the new detector to be tried on
    FOLDER/0003/comparison.json     what ``python -m runtime.compare`` says of both detectors
    FOLDER/0003/sealed.json         as which recipe it was put in force

Files and names are all that a set is: any program can read them. Nothing here deletes a picture.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.refused import refused
from runtime.versions import now

GOOD, REFUSED, TRIAL, MADE = "good", "refused", "trial", "made"
DETECTOR = "detector.onnx"
PICTURE = re.compile(r"\d{6}\.png")
FEWEST, MOST = 10, 2000  # pictures of a set; training and recalibration take no fewer


class PartSet:
    """One set. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def number(self) -> int:
        """Of this set in its folder."""
        return int(self.folder.name)

    @property
    def made(self) -> Path:
        """The detector that is made of it, whether or not it is there yet."""
        return self.folder / MADE / DETECTOR

    def names(self, kind: str = GOOD) -> list[str]:
        """The pictures that are good so far, or of another kind, the oldest first."""
        with suppress(OSError):
            return sorted(each.name for each in (self.folder / kind).iterdir() if PICTURE.fullmatch(each.name))
        return []

    def told(self, kind: str = GOOD) -> dict[str, dict[str, Any]]:
        """What the detector in force said of each picture when it came, by name."""
        found: dict[str, dict[str, Any]] = {}
        with suppress(OSError):
            for line in (self.folder / f"{kind}.jsonl").read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, TypeError):  # half a line, of a disk that was full
                    document = dict(json.loads(line))
                    found[str(document.pop("name", ""))] = document
        return found

    def path(self, kind: str, name: str) -> Path:
        """A picture. Raises `InputError` for a name that none has, and for one that is not there."""
        if kind not in (GOOD, REFUSED, TRIAL) or not PICTURE.fullmatch(name):
            raise InputError("there is no such picture in this set")
        path = self.folder / kind / name
        if not path.is_file():
            raise InputError("there is no such picture in this set")
        return path

    def say(self, name: str, is_good: bool) -> None:
        """Count a picture as one of a good part, or not. A confirmation of all is over by that. Raises `InputError`
        for a picture that is not there, and where a detector was made of the set."""
        if self.made.exists():
            raise InputError("a detector was made of these pictures; begin another set to change them")
        kinds = (REFUSED, GOOD) if is_good else (GOOD, REFUSED)
        if name in self.names(kinds[1]):
            return
        source = self.path(kinds[0], name)
        with _writing(source):
            (self.folder / "confirmed.json").unlink(missing_ok=True)
            (self.folder / kinds[1]).mkdir(exist_ok=True)
            source.rename(self.folder / kinds[1] / name)

    def confirm(self, by: str) -> None:
        """Write down that somebody looked at every picture that counts as good. Raises `InputError` for too few."""
        count = len(self.names())
        if count < FEWEST:
            raise InputError(f"the set has {count} good pictures; collect {FEWEST} or more")
        self.write("confirmed", {"by": by, "at": now(), "pictures": count})

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the set's; None where there is none that can be read."""
        with suppress(OSError, ValueError):
            found = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
        return None

    def write(self, name: str, document: dict[str, Any]) -> None:
        """Write a JSON file of the set's. Raises `InputError`."""
        write_atomically(self.folder / f"{name}.json", json.dumps(document, indent=1).encode() + b"\n")


def newest(folder: Path) -> PartSet | None:
    """The set with the highest number; None where there is none."""
    with suppress(OSError):
        found = [each for each in folder.iterdir() if each.name.isdecimal() and (each / "set.json").is_file()]
        if found:
            return PartSet(max(found, key=lambda each: int(each.name)))
    return None


def begin(folder: Path, camera: str, wanted: int, by: str) -> PartSet:
    """The next set, without pictures. Raises `InputError` where it cannot be written."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        taken = [int(each.name) for each in folder.iterdir() if each.name.isdecimal()]
        made = PartSet(folder / f"{max(taken, default=0) + 1:04d}")
        (made.folder / GOOD).mkdir(parents=True)
        made.write("set", {"camera": camera, "wanted": wanted, "by": by, "at": now()})
        return made


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """What the system says while files change, as a sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(refused(error.filename or place, "written", error, "check the path")) from error
