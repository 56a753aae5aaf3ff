"""Lines without drift: how often the watch warns of one for nothing, beside the chance that it states; and the same
lines with scores that have risen: how often it warns of those.

Each line has a calibration and a recipe of its own, made by the product's functions, and then parts like those of the
calibration. A line of the kind "left out" has a real memory bank (`benchmarks.thresholds.neighbours`): its scores of
calibration are those of its own points, each left out, as files of most presets have them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.many import highest_evidence
from benchmarks.thresholds.neighbours import DIMENSIONS, Bank
from calibration.file_scores import quantiles
from calibration.threshold import fit_threshold, rate_bound
from runtime.drift import DriftWatch
from runtime.drift.reference import of_brightness, of_high_scores, of_scores
from runtime.drift.watch import ALPHA, PROVEN
from runtime.health import Measured
from runtime.recipe import BRIGHTNESS_MARGIN, Recipe

Array = NDArray[np.float64]
BUDGET = 0.01
SIZES = (30, 300)
FEW, RISES = 15, (2.0, 3.0, 4.0)  # images of calibration; deviations of good parts' scores
CONFIDENCE = 0.95
SHARE = 0.5  # of alpha, for the scores, and for brightness


@dataclass(frozen=True)
class Quiet:
    """How many of the lines of one kind were warned of."""

    kind: str
    calibration: int  # images of it
    parts: int  # of each line
    lines: int
    warned: int
    bound: float  # of the share of lines warned of, one-sided, 95 %


@dataclass(frozen=True)
class Risen:
    """How many lines were warned of whose scores had risen."""

    kind: str
    calibration: int  # images of it
    rise: float  # deviations of the scores
    parts: int  # of each line
    lines: int
    warned: int
    without_high_scores: int  # warned of if nobody looked at what lies between calibration's highest and the threshold


@dataclass(frozen=True)
class Parts:
    """Scores and brightness of good parts, [n] each."""

    scores: Array
    brightness: Array

    def chosen(self, places: NDArray[np.integer]) -> "Parts":
        """Those at these places."""
        return Parts(self.scores[places], self.brightness[places])


@dataclass(frozen=True)
class Line:
    """What a line was calibrated on, and what it then sees."""

    calibration: Parts
    parts: Parts
    left_out: bool = False


def quiet_lines(template: Recipe, lines: int, parts: int, seed: int) -> Iterator[Quiet]:
    """All kinds and sizes. `template` is what recipes are made from."""
    for kind, maker in MAKERS.items():
        for known in SIZES:
            draw = np.random.default_rng([seed, known, list(MAKERS).index(kind)])
            made = [maker(draw, known, parts) for _ in range(lines)]
            recipes = [recipe_of(template, line.calibration, line.left_out) for line in made]
            yield counted(kind, known, recipes, [line.parts for line in made])


def risen_lines(template: Recipe, lines: int, parts: int, seed: int) -> Iterator[Risen]:
    """Lines whose scores are higher from the first part on than those of their calibration, which was of few images."""
    for kind in ("normal", "left out"):
        for rise in RISES:
            draw = np.random.default_rng([seed, FEW, int(rise)])
            made = [MAKERS[kind](draw, FEW, parts) for _ in range(lines)]
            recipes = [recipe_of(template, line.calibration, line.left_out) for line in made]
            shown = [replace(each.parts, scores=each.parts.scores + rise * each.parts.scores.std()) for each in made]
            found = [int(warnings(recipes, shown, high_scores).sum()) for high_scores in (True, False)]
            yield Risen(kind, FEW, rise, parts, lines, *found)


def shipped_lines(recipe: Recipe, pool: Parts, lines: int, parts: int, seed: int) -> Quiet:
    """Lines with one file, whose calibration is what it is, and parts of the pool."""
    draw = np.random.default_rng([seed, 99])
    shown = [drawn(pool, draw, parts) for _ in range(lines)]
    return counted("the demo detector as shipped", recipe.threshold.sample_size, [recipe] * lines, shown)


def together(rows: Sequence[Quiet]) -> Quiet:
    """All lines as one kind."""
    return _bounded("all", 0, rows[0].parts, sum(row.lines for row in rows), sum(row.warned for row in rows))


def counted(kind: str, calibration: int, recipes: Sequence[Recipe], shown: Sequence[Parts]) -> Quiet:
    """How many lines of these recipes, which then see these parts, are ever warned of.

    One line in a hundred is watched by `DriftWatch` itself.
    """
    warned = warnings(recipes, shown)
    for line in range(0, len(recipes), 100):
        watch = DriftWatch(recipes[line])
        feed(watch, recipes[line].threshold.value, shown[line])
        assert watch.warned == warned[line]
    return _bounded(kind, calibration, len(shown[0].scores), len(recipes), int(warned.sum()))


def warnings(recipes: Sequence[Recipe], shown: Sequence[Parts], high_scores: bool = True) -> NDArray[np.bool_]:
    """Which lines are ever warned of, [L].

    As `DriftWatch` has it: half of alpha is for brightness, the other half for the scores, of which the high scores
    have half where there are any. Without `high_scores` nobody looks at these.
    """
    scores, brightness = (np.stack([getattr(each, name) for each in shown]) for name in ("scores", "brightness"))
    ok = scores <= np.array([each.threshold.value for each in recipes])[:, None]
    has_high = np.array([high_scores and of_high_scores(each) is not None for each in recipes])
    found = []
    for of, values, share in (
        (of_scores, scores, np.where(has_high, SHARE / 2, SHARE)),
        (of_high_scores, scores, np.where(has_high, SHARE / 2, 0)),
        (of_brightness, brightness, SHARE),
    ):
        references, highest = [of(each) for each in recipes], np.ones(len(recipes))
        bins = np.array([0 if each is None else len(each.weights) for each in references])
        for number in set(bins[bins > 0].tolist()):
            there = np.flatnonzero(bins == number)
            alike = [each for each in references if each is not None and len(each.weights) == number]
            highest[there] = highest_evidence(alike, values[there], ok[there])
        found.append(highest * share)
    return np.asarray(np.max(found, axis=0) >= 1 / (PROVEN * ALPHA))


def _bounded(kind: str, calibration: int, parts: int, lines: int, warned: int) -> Quiet:
    """With the one-sided bound of Clopper and Pearson."""
    bound = rate_bound(warned, lines, CONFIDENCE) if warned < lines else 1.0
    return Quiet(kind, calibration, parts, lines, warned, bound)


def recipe_of(template: Recipe, known: Parts, left_out: bool) -> Recipe:
    """The recipe of a file that was calibrated on these parts."""
    low, high = float(known.brightness.min()), float(known.brightness.max())
    margin = BRIGHTNESS_MARGIN
    health = replace(template.health, brightness_low=low * margin, brightness_high=high + (255 - high) * margin)
    return replace(
        template,
        threshold=fit_threshold(known.scores, BUDGET, left_out=left_out),
        score_quantiles=quantiles(known.scores),
        health=health,
        provenance=replace(template.provenance, images={"threshold": len(known.scores)}),
        recalibration=None,
    )


def feed(watch: DriftWatch, threshold: float, parts: Parts) -> None:
    """Let the watch see those of these parts that are OK."""
    for score, brightness in zip(parts.scores.tolist(), parts.brightness.tolist(), strict=True):
        if score <= threshold:
            watch.look(score, Measured(brightness, None), 0.0)


def drawn(pool: Parts, draw: np.random.Generator, count: int) -> Parts:
    """So many parts of the pool, each as likely as any, with replacement."""
    return pool.chosen(draw.integers(len(pool.scores), size=count))


def _made(scores: Array, draw: np.random.Generator) -> Parts:
    return Parts(scores, draw.normal(75, 4, len(scores)).clip(1, 254))


def _split(parts: Parts, known: int) -> Line:
    count = np.arange(len(parts.scores))
    return Line(parts.chosen(count[:known]), parts.chosen(count[known:]))


def _left_out(draw: np.random.Generator, known: int, new: int) -> Line:
    bank = Bank(draw.normal(size=(known, DIMENSIONS)), leverage=False)
    scores = np.concatenate([bank.left_out(), bank.scores(draw.normal(size=(new, DIMENSIONS)))])
    return replace(_split(_made(scores, draw), known), left_out=True)


MAKERS: dict[str, Callable[[np.random.Generator, int, int], Line]] = {
    "normal": lambda draw, known, new: _split(_made(draw.normal(size=known + new), draw), known),
    "Gumbel": lambda draw, known, new: _split(_made(draw.gumbel(size=known + new), draw), known),
    "left out": _left_out,
}
