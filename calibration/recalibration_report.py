"""What a recalibration did, for the person who has to stand by it: suspect images first, then before and after."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.concerns import unproven
from calibration.file_scores import describe_highest, quantiles
from calibration.health import unlimited
from calibration.known_images import suspects
from calibration.recalibration import ENOUGH_BY_POSITION, Recalibrated, to_prove
from calibration.threshold import fit_threshold
from runtime.overlay import BACKGROUND, DIM, INK, Image, draw_text
from runtime.recipe import Recipe
from runtime.threshold import explain

NAMES_SHOWN = 10
RAISED = 0.1  # of the threshold: by more than this a single image should not raise it

WIDTH, HEIGHT, MARGIN, BINS = 900, 240, 40, 60  # pixels of each histogram; of all bars
BAR_COLOUR, THRESHOLD_COLOUR = (178, 114, 0), (0, 94, 213)  # BGR; Okabe and Ito's blue and vermillion


def warnings(done: Recalibrated) -> list[str]:
    """Sentences on what to look at before the new file is used."""
    said, count = done.report.warnings(), len(done.images)
    if done.refused:
        said.append(
            f"no picture of a part to the file as it was ({len(done.refused)} of {count}): {_shown(done.refused)}"
        )
    rejected = [str(path) for path in done.images_above(done.old_scores, done.before)]
    if rejected:
        said.append(
            f"rejected by the file as it was ({len(rejected)} of {count}): {_shown(rejected)}. If one is no good part, "
            "take it out and begin again: it raises the new threshold"
        )
    said.append(describe_highest(done.counted_images, done.counted_scores))
    said += filter(None, [_known(done), _rough(done), _outdated(done), _raised(done), unproven(done.after.threshold)])
    return said + [
        sentence for sentence in unlimited(done.after.health) if sentence not in unlimited(done.before.health)
    ]


def lines(done: Recalibrated) -> list[str]:
    """Before and after, in words."""
    count, after = len(done.images), done.after
    told = [done.copies] if done.copies else []
    for name, recipe, scores in (("before", done.before, done.old_scores), ("after", after, done.new_scores)):
        told.append(f"{name}: threshold {recipe.threshold.value:.6g}. {explain(recipe.threshold)}")
        shares = ", ".join(f"{100 * float(p):.0f} % at most {v:.4g}" for p, v in quantiles(scores).items())
        above = done.images_above(scores, recipe)
        told.append(f"{name}: rejects {len(above)} of these {count} images; their scores: {shares}")
    rejected = [str(path) for path in done.images_above(done.new_scores, after)]
    if rejected:
        told.append(f"rejected by the new threshold: {_shown(rejected)}")
    made = after.recalibration
    assert made is not None
    if made.statistics:
        told.append(
            "the graph has other statistics: a TensorRT plan of the file before is stale, and rebuilt when opened"
        )
    if not after.threshold.supported:
        needed = to_prove(after, after.threshold, not made.statistics)
        told.append(f"to prove the budget, recalibrate with {needed:,} different good images")
    return told


def draw(done: Recalibrated) -> bytes:
    """The scores before and after as histograms, each with its threshold: a PNG."""
    drawn = np.vstack(
        [
            _histogram(f"before: threshold {done.before.threshold.value:.4g}", done.old_scores, done.before),
            _histogram(f"after: threshold {done.after.threshold.value:.4g}", done.new_scores, done.after),
        ]
    )
    return bytes(cv2.imencode(".png", drawn)[1].tobytes())


def _histogram(title: str, scores: NDArray[np.float64], recipe: Recipe) -> Image:
    picture = np.full((HEIGHT, WIDTH, 3), BACKGROUND, np.uint8)
    value = recipe.threshold.value
    low, high = min(float(scores.min()), value), max(float(scores.max()), value)
    span = max(high - low, 1e-9)
    counts, edges = np.histogram(scores, BINS, (low, low + span))
    base, tall = HEIGHT - MARGIN, HEIGHT - 2 * MARGIN

    def at(score: float) -> int:
        return round(MARGIN + (score - low) / span * (WIDTH - 2 * MARGIN))

    for number, count in enumerate(counts):
        top = base - round(tall * count / max(counts.max(), 1))
        cv2.rectangle(picture, (at(edges[number]), top), (at(edges[number + 1]) - 1, base), BAR_COLOUR, cv2.FILLED)
    cv2.line(picture, (at(value), MARGIN), (at(value), base), THRESHOLD_COLOUR, 2)
    above = int(np.count_nonzero(scores > value))
    draw_text(
        picture, f"{title}; {above} of {len(scores)} above, {counts.max()} in the highest bar", (MARGIN, 26), 0.5, INK
    )
    for score in (low, low + span / 2, high):
        draw_text(picture, f"{score:.3g}", (at(score) - 14, base + 20), 0.45, DIM)
    return picture


def _known(done: Recalibrated) -> str | None:
    """A sentence on images that score as low as those do that the detector was made from."""
    found = [str(done.images[index]) for index in suspects(done.old_scores, done.before)]
    if not found:
        return None
    return (
        f"far below all good images that the file was fitted to score {len(found)} of {len(done.images)}: "
        f"{_shown(found)}. So do pictures that the detector was made from, saved again perhaps; if these are, the "
        "threshold is too low and proves nothing: take them out and begin again"
    )


def _rough(done: Recalibrated) -> str | None:
    """A sentence where so few images gave statistics by position that defects pass."""
    used = done.statistics
    if not done.after.scoring.by_position or not 0 < used < ENOUGH_BY_POSITION:
        return None
    more = f"give {2 * ENOUGH_BY_POSITION} different good images or more"
    return (
        f"statistics by position are fitted to {used} images alone; below {ENOUGH_BY_POSITION} expect defects that "
        f"pass, or several times the false rejects of the budget: {more}"
        + ("" if done.looks_otherwise else ", or --keep-statistics: these still score as the file's own good images")
    )


def _outdated(done: Recalibrated) -> str | None:
    """A sentence where statistics were kept that these images no longer show."""
    if done.statistics or not done.looks_otherwise:
        return None
    return (
        "half of these images score above 95 % of the good images that the file was fitted to: its statistics no "
        "longer fit, and defects pass; recalibrate without --keep-statistics"
    )


def _raised(done: Recalibrated) -> str | None:
    """A sentence where one image alone raises the threshold by much."""
    scores, threshold = np.sort(done.counted_scores), done.after.threshold
    without = fit_threshold(scores[:-1], threshold.budget, threshold.confidence).value
    if threshold.value - without <= RAISED * max(abs(threshold.value), 1e-12):
        return None
    return (
        f"the image with the highest score raises the threshold from {without:.4g} to {threshold.value:.4g} by itself: "
        "a defect on it would hide others"
    )


def _shown(names: Sequence[str | Path]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(map(str, names[:NAMES_SHOWN])) + more
