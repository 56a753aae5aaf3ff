"""The licences of what a bundle holds: a list for people, and the texts that the wheels carry."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from runtime.bundle.wheel import Wheel

LIST, TEXTS = "LICENCES.md", "licences"


def write_texts(wheels: Sequence[Wheel], folder: Path) -> None:
    """Write what the wheels carry of licence texts, notices and lists of parts below ``licences/NAME-VERSION``."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as archive:
            for member in (*wheel.texts, *wheel.parts):
                path = folder / TEXTS / f"{wheel.name}-{wheel.version}" / member
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(member))


def licence_list(wheels: Sequence[Wheel], detector: str) -> str:
    """The table of licences, as each package states its own."""
    rows = [
        f"| {wheel.name} | {wheel.version} | {_cell(wheel.licence)} | {len(wheel.texts) or 'none in the wheel'} |"
        for wheel in wheels
    ]
    return "\n".join(
        [
            "# Licences of what this bundle holds",
            "",
            "As each package states its own. The texts that the wheels carry are in `licences/`, and so are the lists",
            "of what some wheels have inside (`sboms`). Nobody has checked them for you.",
            "",
            "| package | version | licence | texts |",
            "|---|---|---|---|",
            *rows,
            "",
            f"The detector `{detector}` states no licence. What its backbone or teacher learnt from decides what it",
            "may be used for: see the cards in Proctor's `train/backbones` and `train/teachers`.",
            "",
        ]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
