"""The alignment of a run: the reference and its limits, from good images alone; see `runtime.alignment`.

Which image is the reference, and so each score, follows from images that everything else refers to anyway: those that
are trained on or, where these are left out in turn, those of the statistics. No score that the threshold is fitted to
has a part in it, nor in the colour of what lies outside of pictures. The limits come from all good images, since they
move no score: what lies outside of them is not inspected.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.alignment import (
    ANY_ANGLE,
    HALF_TURN,
    LARGEST_ANGLE,
    LARGEST_SHIFT,
    Alignment,
    encoded_reference,
    hidden_part,
)
from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.finder import Finder, reference_of
from runtime.images import read_image
from runtime.placement import Placement
from runtime.preparation import scaled
from runtime.typed import build
from train.data import Split
from train.options import NO_ALIGNMENT, AlignmentOptions
from train.progress import Progress
from train.run_folder import RunFolder

T = TypeVar("T")

ALIGNMENT = "alignment.json"
CANDIDATES = 12  # images that may become the reference
COMPARED = 24  # images that each of them is looked for in
AS_GOOD = 0.05  # below the highest mean quality: what lies nearer to the others is taken in its place
# a limit leaves the range of the good images by this much: parts of tomorrow lie a little farther, and show defects
SHIFT_MARGIN, ANGLE_MARGIN = 1.5, 1.5  # times the largest seen
FEWEST_SHIFT, FEWEST_ANGLE = 0.02, 3.0  # share of the shorter side and degrees that are always allowed
QUALITY_MARGIN = 0.7  # times the lowest quality of a good image
LEAST_GOOD = 0.4  # quality; other things and an empty frame reach 0.3 (benchmarks/RESULTS.md)
SHOWN = 3  # images in a message


@dataclass(frozen=True)
class Picture:
    """A good image at the size of the prepared frame, uint8 [H, W, 3], BGR, and its own size."""

    path: Path
    pixels: NDArray[np.uint8]
    frame_hw: tuple[int, int]


def keep_alignment(folder: RunFolder, alignment: Alignment | None) -> None:
    """Keep the alignment of a run that begins in its folder; nothing for None."""
    if alignment is not None:
        write_atomically(folder.path / ALIGNMENT, json.dumps(asdict(alignment), indent=1).encode())


def alignment_of_run(folder: RunFolder, config: Any) -> Alignment | None:
    """The alignment of a run that has begun. Raises `InputError` where it has none, though `config` asks for one."""
    if config.alignment.align == NO_ALIGNMENT:
        return None
    path = folder.path / ALIGNMENT
    try:
        found = build(Alignment, json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, RecursionError, InputError) as error:
        raise InputError(
            f"{path} is missing or damaged ({error}); delete {folder.path}, or name another run folder, and train anew"
        ) from error
    if found.mode != config.alignment.align:
        raise InputError(f"{path} is of align {found.mode}, the run of {config.alignment.align}: it was changed since")
    return found


def fit_alignment(config: Any, split: Split) -> Alignment | None:
    """Reference and limits of the good images of a split, for a run of `config`; None where it aligns nothing.

    Raises `InputError` where the good images do not show one part that can be found in all of them, or lie outside the
    limits that `config` gives.
    """
    options, size_hw = config.alignment, config.frame_hw
    if options.align == NO_ALIGNMENT:
        return None
    known = split.different(split.training if split.threshold else split.statistics)
    reference = _given_reference(options.align_reference, size_hw) or _typical(known, size_hw, options)
    finder = _finder(reference, options)
    paths = split.different((*split.training, *split.statistics, *split.threshold))
    found, colours = {}, []
    for path in Progress(paths, "alignment", len(paths), unit="image"):
        picture = _picture(path, size_hw)
        found[path] = finder.find(picture.pixels)
        if path in known:
            colours.append(_border_colour(picture.pixels))
    others = {path: placed for path, placed in found.items() if path != reference.path}
    alignment = Alignment(
        mode=options.align,
        reference=encoded_reference(reference_of(reference.pixels, reference.frame_hw)),
        largest_shift=_largest_shift(others, options.align_shift),
        largest_angle=_largest_angle(others, options),
        least_quality=QUALITY_MARGIN * _lowest(others),
        good_quality=_lowest(others),
        border_bgr=_middle(colours),
    )
    _check(alignment, others, config)
    _say(alignment, reference.path, others)
    return alignment


def _finder(reference: Picture, options: AlignmentOptions) -> Finder:
    """The finder before limits are known. Raises `InputError` for a picture in which nothing could be found."""
    largest_angle = HALF_TURN if options.align == ANY_ANGLE else options.align_angle or LARGEST_ANGLE
    return Finder(reference_of(reference.pixels, reference.frame_hw), options.align, largest_angle)


def _picture(path: Path, size_hw: tuple[int, int]) -> Picture:
    image = read_image(path)
    return Picture(path, scaled(image, size_hw), (image.shape[0], image.shape[1]))


def _given_reference(path: str | None, size_hw: tuple[int, int]) -> Picture | None:
    return None if path is None else _picture(Path(path), size_hw)


def _typical(paths: Sequence[Path], size_hw: tuple[int, int], options: AlignmentOptions) -> Picture:
    """The image that the others are most like and lie nearest to, so that limits need not be wide.

    Of images that are found in the others with nearly the highest mean quality, the one they lie nearest to.
    """
    compared = [_picture(path, size_hw) for path in _spread(paths, COMPARED)]
    candidates = _spread(compared, CANDIDATES)
    qualities, distances = [], []
    for each in Progress(candidates, "reference", len(candidates), unit="image"):
        try:
            finder = _finder(each, options)
        except InputError:  # a flat picture
            qualities.append(-1.0)
            distances.append(np.inf)
            continue
        placed = [finder.find(other.pixels) for other in compared if other is not each]
        qualities.append(float(np.mean([one.quality for one in placed])))
        angles = 0.0 if options.align == ANY_ANGLE else float(np.mean([abs(one.angle) for one in placed]))
        distances.append(float(np.mean([one.shift for one in placed])) / LARGEST_SHIFT + angles / LARGEST_ANGLE)
    alike = np.array(qualities) >= max(qualities) - AS_GOOD
    return candidates[int(np.where(alike, distances, np.inf).argmin())]


def _border_colour(pixels: NDArray[np.uint8]) -> tuple[int, int, int]:
    """The median of each channel over the outermost pixels."""
    return _middle(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]))


def _middle(colours: ArrayLike) -> tuple[int, int, int]:
    """The median of each channel of colours [n, 3], BGR."""
    blue, green, red = np.rint(np.median(np.asarray(colours), axis=0)).astype(int).tolist()
    return blue, green, red


def _spread(values: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spaced."""
    return list(values[:: -(-len(values) // most)])


def _lowest(found: dict[Path, Placement]) -> float:
    """The lowest quality. Raises `InputError` where it is too low to tell the part from other things."""
    ordered = sorted(found.items(), key=lambda item: item[1].quality)
    lowest = ordered[0][1].quality
    if lowest >= LEAST_GOOD:
        return lowest
    middle = ordered[len(ordered) // 2][1].quality
    shown = ", ".join(f"{path.name} {placed.quality:.2f}" for path, placed in ordered[:SHOWN])
    raise InputError(
        f"the part is not found in all good images: the lowest qualities are {shown} (the middle one {middle:.2f}), "
        f"and {LEAST_GOOD} is the least that tells a part from other things; take these images out, or leave out "
        "--align where the parts differ in shape"
    )


def _largest_shift(found: dict[Path, Placement], allowed: float | None) -> float:
    if allowed is not None:
        return allowed
    seen = max(placed.shift for placed in found.values())
    return min(max(SHIFT_MARGIN * seen, FEWEST_SHIFT), LARGEST_SHIFT)


def _largest_angle(found: dict[Path, Placement], options: AlignmentOptions) -> float:
    if options.align == ANY_ANGLE:
        return HALF_TURN
    if options.align_angle is not None:
        return float(options.align_angle)
    seen = max(abs(placed.angle) for placed in found.values())
    return min(max(ANGLE_MARGIN * seen, FEWEST_ANGLE), LARGEST_ANGLE)


def _check(alignment: Alignment, found: dict[Path, Placement], config: Any) -> None:
    """Raise `InputError` for good images that the line would not inspect."""
    chosen = config.scoring.inspected(config.frame_hw)
    problems = []
    for path, placed in found.items():
        problem = alignment.problem(placed, config.frame_hw)
        if problem is None and chosen is not None:
            problem = hidden_part(placed, chosen.mask)
        if problem is not None:
            problems.append(f"{path.name}: {problem}")
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise InputError(
            f"good images that the line would not inspect: {'; '.join(problems[:SHOWN])}{more}, at the size of the "
            "prepared frame; allow more with --align-shift and --align-angle, name another --align-reference, or take "
            "these images out"
        )


def _say(alignment: Alignment, reference: Path, found: dict[Path, Placement]) -> None:
    placed = found.values()
    angle = "any angle" if alignment.mode == ANY_ANGLE else f"{alignment.largest_angle:.1f} degrees"
    print(
        f"frames are aligned to {reference.name}: good images lie within {100 * max(p.shift for p in placed):.1f} % of "
        f"the shorter side and {max(abs(p.angle) for p in placed):.1f} degrees, with quality "
        f"{alignment.good_quality:.2f} or more; allowed are {100 * alignment.largest_shift:.1f} %, {angle}, and "
        f"{alignment.least_quality:.2f}"
    )
