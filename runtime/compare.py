"""``python -m runtime.compare OLD NEW FOLDER [FOLDER…]``: what two detectors say of the same pictures.

Before another detector is put in force: parts that are known to be good in one folder, known defects in another, the
last parts of the line in a third. One detector is closed before the other is opened, since a small device holds one.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.atomic import check_writable, write_atomically
from runtime.cameras.folder import FolderSource
from runtime.cli import program, run, some_path
from runtime.detector import Detector
from runtime.engine_options import add_engine_options, open_detector, some_location
from runtime.errors import InputError
from runtime.images import list_images
from runtime.location import Location
from runtime.outputs import say
from runtime.printable import printable
from runtime.recipe import Recipe
from runtime.verdict import Decision, Verdict

NAMES_SHOWN = 20  # of pictures that are judged otherwise

_Judgements = list[tuple[str, "Judged"]]  # of a folder's pictures by name


@dataclass(frozen=True)
class Judged:
    """What a detector says of a picture."""

    decision: str
    reason: str
    score: float | None
    evidence_scores: dict[str, float]

    @classmethod
    def of(cls, verdict: Verdict) -> "Judged":
        """Of a verdict."""
        return cls(verdict.decision.value, verdict.reason, verdict.score, dict(verdict.evidence_scores))


@dataclass(frozen=True)
class Pair:
    """A picture as both detectors judge it."""

    name: str
    old: Judged
    new: Judged

    @property
    def differs(self) -> bool:
        """Whether one lets the part pass and the other does not."""
        return (self.old.decision == Decision.OK.value) is not (self.new.decision == Decision.OK.value)


@dataclass(frozen=True)
class Side:
    """One of both detectors."""

    detector: str
    recipe_sha256: str
    threshold: float
    smallest_area: str = ""  # of a region that counts, in words; empty where every region does

    @classmethod
    def of(cls, location: Location, recipe: Recipe) -> "Side":
        """Of the detector at a place."""
        scoring = recipe.scoring
        smallest = scoring.area_in_words(scoring.smallest_pixels) if scoring.smallest_area else ""
        return cls(str(location), recipe.sha256, recipe.threshold.value, smallest)

    @property
    def words(self) -> str:
        """What it decides by."""
        smallest = f", regions smaller than {self.smallest_area} do not count" if self.smallest_area else ""
        return f"{self.detector}, threshold {self.threshold:.6g}{smallest}"

    def judged(self, each: Judged) -> str:
        """A verdict of it with the score, or with the reason where the score does not say it."""
        score = each.score
        passes_above = score is not None and each.decision == Decision.OK.value and score > self.threshold
        return f"{each.decision} ({each.reason if score is None or passes_above else format(score, '.4g')})"


@dataclass(frozen=True)
class Comparison:
    """Two detectors on the same pictures, by folder."""

    old: Side
    new: Side
    folders: dict[str, tuple[Pair, ...]]

    def lines(self) -> list[str]:
        """For people."""
        told = [f"old: {self.old.words}", f"new: {self.new.words}"]
        for folder, pairs in self.folders.items():
            old, new = (sum(each.decision != Decision.OK.value for each in side) for side in
                        ([pair.old for pair in pairs], [pair.new for pair in pairs]))  # fmt: skip
            told.append(f"{folder}: of {len(pairs)} pictures the old one rejects {old}, the new one {new}")
            differing = [pair for pair in pairs if pair.differs]
            told += [
                f"  {pair.name}: {self.old.judged(pair.old)} -> {self.new.judged(pair.new)}"
                for pair in differing[:NAMES_SHOWN]
            ]
            if len(differing) > NAMES_SHOWN:
                told.append(f"  and {len(differing) - NAMES_SHOWN} more")
        return list(map(printable, told))


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.json:
        check_writable(arguments.json)
    found = compare(
        (arguments.old, arguments.new), arguments.folders, lambda location: open_detector(location, arguments)
    )
    if arguments.json:
        write_atomically(arguments.json, json.dumps(asdict(found), indent=1).encode() + b"\n")
    print("\n".join(found.lines()))


def compare(
    detectors: tuple[Location, Location], folders: Sequence[Path], opened: Callable[[Location], Detector]
) -> Comparison:
    """Judge every picture below `folders` by the old and by the new detector, which `opened` opens by their places.

    A picture that cannot be read is NO_DECISION of both. Raises `SourceError` for a folder without pictures,
    `InputError` for one whose pictures change meanwhile, and what `opened` raises.
    """
    for folder in folders:
        FolderSource(folder).close()  # before anything is inferred
    sides, judged = [], []
    for location in detectors:
        with opened(location) as detector:
            sides.append(Side.of(location, detector.recipe))
            judged.append({str(folder): list(_judged(detector, folder)) for folder in folders})
    pairs = {folder: _paired(folder, before, judged[1][folder]) for folder, before in judged[0].items()}
    return Comparison(sides[0], sides[1], pairs)


def _paired(folder: str, old: _Judgements, new: _Judgements) -> tuple[Pair, ...]:
    """Raises `InputError` where the folder did not have the same pictures for both."""
    if [name for name, _ in old] != [name for name, _ in new]:
        raise InputError(
            f"{folder} had other pictures for the new detector than for the old one: it was changed meanwhile; compare "
            "on a copy of it"
        )
    return tuple(Pair(name, before, after) for (name, before), (_, after) in zip(old, new, strict=True))


def _judged(detector: Detector, folder: Path) -> Iterator[tuple[str, Judged]]:
    count = len(list_images(folder)) if folder.is_dir() else 1
    with FolderSource(folder) as source:
        while (frame := source.read()) is not None:
            yield frame.name or "", Judged.of(detector.inspect(frame))
            if (frame.frame_id + 1) % 20 == 0 or frame.frame_id + 1 == count:
                say(f"{folder}: picture {frame.frame_id + 1} of {count}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("runtime.compare"), description="What two detectors say of the same pictures."
    )
    for name in ("old", "new"):
        parser.add_argument(name, type=some_location, metavar=name.upper(), help="detector.onnx or detector.plan")
    parser.add_argument("folders", type=some_path, nargs="+", metavar="FOLDER", help="of pictures, or one picture")
    parser.add_argument("--json", type=some_path, metavar="FILE", help="write every verdict there")
    add_engine_options(parser)
    return parser


if __name__ == "__main__":
    run(main)
