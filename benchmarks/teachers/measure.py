"""Teachers measured on photographs: each beside random weights of its size, and all as text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.teachers.figures import DescriptorFigures
from benchmarks.teachers.material import Counts, Material, gather, random_teacher
from benchmarks.teachers.views import MapFigures
from train.data import file_sha256
from train.ensemble import teacher_path
from train.files import load_network
from train.held_out import TripletMeasure
from train.options import TeacherConfig


@dataclass(frozen=True)
class Measured:
    """A teacher with its figures. `held_out_of_its_training` is None when that is not known."""

    name: str
    patch_size: int
    sha256: str | None
    held_out_of_its_training: bool | None
    card: dict[str, Any]
    figures: DescriptorFigures
    triplets: TripletMeasure
    map: MapFigures


@dataclass(frozen=True)
class Group:
    """Teachers of one patch size, that of random weights first, on the same patches."""

    patch_size: int
    photographs: dict[str, object]  # their number and hash, as in a teacher's card
    mean_explains: float
    measured: tuple[Measured, ...]


def measure(names: Sequence[str], config: TeacherConfig, counts: Counts, dense_descriptor: str) -> list[Group]:
    """Measure teachers by name or path. Raises `InputError` for a file, photographs or weights that cannot be used."""
    paths = {name: teacher_path(name) for name in dict.fromkeys(names)}
    sizes = sorted({load_network(path)[0].patch_size for path in paths.values()})
    groups = []
    for size in sizes:
        material = gather(replace(config, patch_size=size), counts, dense_descriptor)
        of_size = {name: path for name, path in paths.items() if load_network(path)[0].patch_size == size}
        measured = [_random(size, config, material)]
        measured += [_measured(name, path, config, material) for name, path in of_size.items()]
        groups.append(Group(size, material.card, material.mean_explains(), tuple(measured)))
    return groups


def _random(patch_size: int, config: TeacherConfig, material: Material) -> Measured:
    teacher = random_teacher(patch_size, config.seed).to(config.device)
    return Measured(f"random p{patch_size}", patch_size, None, True, {}, *material.measure(teacher))


def _measured(name: str, path: Path, config: TeacherConfig, material: Material) -> Measured:
    teacher, card, _ = load_network(path)
    held_out = held_out_of(card, material.card, config.seed)
    figures = material.measure(teacher.eval().to(config.device))
    return Measured(name, teacher.patch_size, file_sha256(path), held_out, card, *figures)


def held_out_of(card: dict[str, Any], photographs: dict[str, object], seed: int) -> bool | None:
    """Whether what is held out of `photographs` was held out of a teacher's training; None when that is not known."""
    same = card.get("photographs_sha256") == photographs["photographs_sha256"]
    return True if same and card.get("options", {}).get("seed") == seed else None


def report(groups: Sequence[Group], counts: Counts) -> str:
    """The figures as text, a line a teacher."""
    heading = ("explained", "confused", "eff. rank", "corr²", "of the map", "map's rank", "card's")
    lines = [
        f"D fitted on {counts.training:,} patches, measured on {counts.held_out:,}; {counts.triplets:,} triplets",
        f"of maps, fitted on {counts.views:,} views, measured on {counts.held_out_views:,}",
        f"{'teacher':<34}" + "".join(f"{text:>{12 if 'map' in text else 11}}" for text in heading),
    ]
    for group in groups:
        lines += [_line(each) for each in group.measured]
        lines.append(f"{f'mean of P (p = {group.patch_size})':<34}{group.mean_explains:>11.4f}")
    if any(each.held_out_of_its_training is None for group in groups for each in group.measured):
        lines.append("* may have been trained on the photographs that are held out here")
    return "\n".join(lines)


def _line(each: Measured) -> str:
    error = each.card.get("held_out_error")
    name = each.name if len(each.name) <= 31 else f"…{each.name[-30:]}"
    return (
        f"{name + ('' if each.held_out_of_its_training else ' *'):<34}{each.figures.explained_variance:>11.4f}"
        f"{each.triplets.confused:>11.4f}{each.figures.effective_rank:>11.1f}"
        f"{each.figures.mean_squared_correlation:>11.5f}{each.map.explained_variance:>12.4f}"
        f"{each.map.effective_rank:>12.1f}" + (f"{1 - error:>11.4f}" if error is not None else "")
    )
