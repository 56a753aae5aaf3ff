"""Recipes of schema 1, which knew students alone: their documents as those of today's `Recipe`, and back.

A file of schema 1 keeps its schema, so that its recipe's hash stays the one that older verdicts carry. Its graph has no
named initializers: it can be inspected with and its threshold can be changed, but it cannot be recalibrated.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from runtime.bounds import check_between, check_sha256
from runtime.errors import InputError
from runtime.scoring import FIRST, RUNTIME
from runtime.typed import build

ERROR, VARIANCE = "regression error", "predictive variance"
# fields that files of this schema may lack; left out at their default, so that the hash of an older file stays its own
LATER: dict[str, object] = {"relative": False, "smoothing": 0.0, "by_position": False, "quantization": None}


@dataclass(frozen=True)
class _Scale:
    patch_size: int
    teacher_sha256: str
    error_mean: float
    error_std: float
    variance_mean: float | None  # none with a single student
    variance_std: float | None

    def __post_init__(self) -> None:
        check_between("patch_size", self.patch_size, 1)
        check_sha256("teacher_sha256", self.teacher_sha256)
        if (self.variance_mean is None) != (self.variance_std is None):
            raise InputError("of variance_mean and variance_std one is none; expected both or neither")
        check_between("error_mean", self.error_mean, 0)
        check_between("variance_mean", self.variance_mean, 0)


@dataclass(frozen=True)
class _Own:
    """The fields that schema 2 keeps elsewhere."""

    students: int
    scales: tuple[_Scale, ...]
    output_stride: int
    form: str = field(metadata={"choices": ("bailer", "atrous")})
    score_pixels: int
    region_of_interest: tuple[int, int, int, int] | None
    relative: bool = False
    smoothing: float = 0.0
    by_position: bool = False
    mm_per_pixel: float | None = None
    smallest_area: float = 0.0

    def __post_init__(self) -> None:
        check_between("students", self.students, 1)
        check_between("output_stride", self.output_stride, 1)
        sizes = [scale.patch_size for scale in self.scales]
        if not sizes or len(set(sizes)) < len(sizes):
            raise InputError(f"scales have the patch sizes {sizes}; expected one scale or more, each of its own size")
        if any((scale.variance_mean is None) != (self.students == 1) for scale in self.scales):
            raise InputError(
                f"students is {self.students}; expected a variance_mean of each scale with two students or more, "
                "and none with one"
            )


OWN = tuple(_Own.__dataclass_fields__)


def upgraded(document: Mapping[str, object]) -> dict[str, object]:
    """A document of schema 1 in the fields of `Recipe`. Raises `InputError` for what no such document holds."""
    own = build(_Own, {name: document[name] for name in OWN if name in document})
    rest = {name: value for name, value in document.items() if name not in OWN}
    later = {"scoring": {name: getattr(own, name) for name in FIRST + RUNTIME}, "method": students_block(own)}
    if stray := sorted(later.keys() & rest.keys()):
        raise InputError(f"unknown option {', '.join(stray)}; it is of a later schema")
    return rest | later


def students_block(own: _Own) -> dict[str, object]:
    """The `Method` of students as schema 2 writes it."""
    sizes = [scale.patch_size for scale in own.scales]
    return {
        "name": "students",
        "looks_at": looks_at(sizes, own.students, own.output_stride, own.relative),
        "evidence": [each for scale in own.scales for each in _evidence(scale, 1 / len(own.scales))],
        "settings": {
            "patch_sizes": sizes,
            "teachers_sha256": [scale.teacher_sha256 for scale in own.scales],
            "students": own.students,
            "output_stride": own.output_stride,
            "relative": own.relative,
            "form": own.form,
        },
    }


def explaining(settings: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The outputs that explain a score in a file of schema 1, each with its number of scales."""
    names = ["regression_error", "predictive_variance"][: 1 if settings["students"] == 1 else 2]
    return [(name, len(settings["patch_sizes"])) for name in names]


def looks_at(patch_sizes: list[int], students: int, output_stride: int, relative: bool) -> str:
    """What students look at, in words."""
    sizes = ", ".join(f"{size}×{size}" for size in patch_sizes)
    plural = f"{students} student{'s' if students > 1 else ''}"
    spacing = "every pixel" if output_stride == 1 else f"every {output_stride} pixels"
    relation = ", errors in relation to the descriptor's size" if relative else ""
    return f"patches of {sizes} pixels, one {spacing}, with {plural} for each size{relation}"


def error_name(patch_size: int) -> str:
    """The name of the evidence of equation 9 at one scale."""
    return f"{ERROR}, p = {patch_size}"


def variance_name(patch_size: int) -> str:
    """The name of the evidence of equation 10 at one scale."""
    return f"{VARIANCE}, p = {patch_size}"


def _evidence(scale: _Scale, weight: float) -> list[dict[str, object]]:
    found = [(error_name(scale.patch_size), scale.error_mean, scale.error_std)]
    if scale.variance_mean is not None and scale.variance_std is not None:
        found.append((variance_name(scale.patch_size), scale.variance_mean, scale.variance_std))
    return [{"name": name, "weight": weight, "mean": mean, "deviation": std} for name, mean, std in found]


def downgraded(document: Mapping[str, Any]) -> dict[str, object]:
    """The inverse of `upgraded`, of a document in the fields of `Recipe`."""
    method, settings = document["method"], document["method"]["settings"]
    by_name = {each["name"]: each for each in method["evidence"]}
    own = {name: settings[name] for name in ("students", "output_stride", "relative", "form")}
    pairs = zip(settings["patch_sizes"], settings["teachers_sha256"], strict=True)
    scales = [asdict(_scale(size, sha256, by_name)) for size, sha256 in pairs]
    rest = {name: value for name, value in document.items() if name not in ("method", "scoring")}
    old = {**rest, **document["scoring"], **own, "scales": scales}
    return {name: value for name, value in old.items() if name not in LATER or value != LATER[name]}


def _scale(size: int, teacher_sha256: str, by_name: Mapping[str, Any]) -> _Scale:
    error, variance = by_name[error_name(size)], by_name.get(variance_name(size), {})
    return _Scale(
        size, teacher_sha256, error["mean"], error["deviation"], variance.get("mean"), variance.get("deviation")
    )
