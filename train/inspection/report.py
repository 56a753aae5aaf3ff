"""A folder of good images looked over: what is suspect, in words, for JSON, and as a contact sheet."""

from pathlib import Path

import cv2

from runtime.atomic import write_atomically
from runtime.errors import ImageError
from runtime.images import read_image
from runtime.printable import printable
from train.datasets import good_images, training_images
from train.inspection.contact_sheet import Tile, draw_sheet
from train.inspection.inspector import Inspector, Report, Suspect
from train.progress import Progress

MOST_TILES = 60


def inspect_folder(data: Path, layout: str | None = None) -> Report:
    """Look over the good images to train on in `data`. Raises `InputError` when there are none."""
    inspector = Inspector()
    paths = training_images(data, layout) if layout else good_images(data)
    for path in Progress(paths, "images", len(paths), unit="image"):
        try:
            image = read_image(path)
        except ImageError as error:
            inspector.add_unreadable(path, str(error).removeprefix(f"{path} "))
        else:
            inspector.add(path, image)
    return inspector.report()


def describe(report: Report) -> str:
    """The report as text: each suspect and why, notes on the folder, and the least typical images."""
    suspects = by_image(report)
    lines = [counted(report)]
    for path, found in suspects.items():
        lines.append(f"  {path.name}: {'; '.join(each.reason + _where(each) for each in found)}")
    lines += [f"  note: {note}" for note in report.notes]
    if report.least_typical:
        names = ", ".join(each.path.name for each in report.least_typical)
        lines.append(f"  least typical, suspect or not: {names}")
    return "\n".join(map(printable, lines))


def by_image(report: Report) -> dict[Path, list[Suspect]]:
    """What is suspect of each image, images in the order of their first suspicion."""
    found: dict[Path, list[Suspect]] = {}
    for suspect in report.suspects:
        found.setdefault(suspect.path, []).append(suspect)
    return found


def counted(report: Report) -> str:
    """Images and suspect images, in words."""
    count = len(by_image(report))
    return f"{report.images} images, {count or 'no'} suspect{'' if count == 1 else 's'}"


def write_sheet(path: Path, report: Report, title: str) -> None:
    """Write the contact sheet of the suspects and of the least typical images. Raises `InputError` where it cannot."""
    suspects = by_image(report)
    typical = [each for each in report.least_typical if each.path not in suspects]
    shown = list(suspects.values())[: MOST_TILES - len(typical)]
    tiles = [_tile(found, "; ".join(each.reason for each in found)) for found in shown]
    tiles += [
        _tile([each], f"no suspect, but among the least typical: {each.strength:.1f} deviations") for each in typical
    ]
    left_out = len(suspects) - len(shown)
    sheet = draw_sheet(f"{title}: {counted(report)}" + (f", {left_out} not shown" if left_out else ""), tiles)
    write_atomically(path, cv2.imencode(path.suffix, sheet)[1].tobytes())


def _tile(found: list[Suspect], text: str) -> Tile:
    """One image, whatever was found of it, beside the one that it is a copy of."""
    path = found[0].path
    others = [each.other for each in found if each.other]
    marks = [each.point_xy for each in found if each.point_xy]
    readable = all(each.kind != "unreadable" for each in found)
    return Tile(
        [read_image(each) for each in (path, *others) if readable], path.name, text, marks[0] if marks else None
    )


def _where(suspect: Suspect) -> str:
    if suspect.point_xy is None:
        return ""
    x, y = suspect.point_xy
    return f", most at {100 * x:.0f} % of the width and {100 * y:.0f} % of the height"


def as_document(report: Report) -> dict[str, object]:
    """The report, ready for JSON."""

    def entry(suspect: Suspect) -> dict[str, object]:
        return {
            "path": str(suspect.path),
            "kind": suspect.kind,
            "reason": suspect.reason,
            "strength": suspect.strength,
            "other": str(suspect.other) if suspect.other else None,
            "point_xy": suspect.point_xy,
        }

    return {
        "images": report.images,
        "suspects": [entry(suspect) for suspect in report.suspects],
        "least_typical": [entry(each) for each in report.least_typical],
        "notes": report.notes,
    }
