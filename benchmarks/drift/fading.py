"""The demo line under a lamp that fades: when the watch warns, when false rejects pass twice their budget, and what a
threshold gives that is fitted to good parts from then.

The lamp loses light in steps. Of each step's light many parts are rendered and scored, and the lines draw from these.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.drift.quiet import Parts, drawn, feed
from calibration.threshold import fit_threshold
from runtime.demo import DemoLine
from runtime.demo.line import FADING_PARTS
from runtime.detector import Detector
from runtime.drift import DriftWatch
from runtime.health import Measured
from runtime.recipe import BRIGHTNESS_MARGIN, Recipe
from train.progress import Progress

SIZE_HW = (256, 256)
SEED, RUN_SEED = 100_000, 10_000  # of lines that nothing was trained on
FADING, STEP_PARTS = 0.2, 100  # share of the light lost over 1,000 parts; parts of a step: 2 % each


@dataclass(frozen=True)
class Level:
    """Good parts under some of the light."""

    light: float  # share of the lamp's
    parts: int
    rejected: int


@dataclass(frozen=True)
class Run:
    """One line that fades: with which part, from the first step on, the watch warned; None: not at all."""

    warned: int | None  # by all trends
    warned_by_scores: int | None  # by a watch of the scores alone
    since: int | None  # the part that the first warning names, from the first step on
    trend: str | None  # what the first warning begins with


@dataclass(frozen=True)
class Recalibrated:
    """Thresholds of parts under what light is left, as recalibration that keeps the statistics fits them."""

    light: float
    pictures: int  # that each threshold was fitted to
    fresh: int  # parts that each was tried on
    splits: int  # of the parts into both, by chance
    rejected_before: float  # share of the parts, by the file as it is
    rejected: float  # share of the fresh parts, mean over the splits


def seen(detector: Detector, step: int, parts: int) -> Parts:
    """Scores and brightness of good parts, each of a line of its own, after so many steps of the fading."""
    name, found = f"{100 * light_after(step):.0f} % of the light", list[tuple[float, float]]()
    for number in Progress(range(parts), name, parts, unit="part"):
        line = DemoLine(SEED + number, SIZE_HW, 0.0, FADING)
        verdict = detector.inspect(line.good(step * STEP_PARTS).image)
        assert verdict.score is not None, verdict.reason
        assert verdict.measured is not None
        found.append((verdict.score, verdict.measured.brightness))
    scores, brightness = np.array(found).T
    return Parts(scores, brightness)


def light_after(step: int) -> float:
    """Share of the light that is left after so many steps."""
    return 1 - FADING * step * STEP_PARTS / FADING_PARTS


def crossing(found: Sequence[Level], rate: float) -> int | None:
    """The first step at which the false-reject rate is above `rate`; None where it never is.

    Rates are those that never fall and fit best (of adjacent violators, pooled).
    """
    merged: list[tuple[int, int, int]] = []
    for level in found:
        rejected, parts, steps = level.rejected, level.parts, 1
        while merged and merged[-1][0] * parts >= rejected * merged[-1][1]:
            before = merged.pop()
            rejected, parts, steps = rejected + before[0], parts + before[1], steps + before[2]
        merged.append((rejected, parts, steps))
    rates = [rejected / parts for rejected, parts, steps in merged for _ in range(steps)]
    return next((step for step, each in enumerate(rates) if each > rate), None)


def run(recipe: Recipe, steps: Sequence[Parts], number: int, quiet: int) -> Run:
    """One line: `quiet` parts under the full light, then so many parts under each step's, from the first on."""
    draw = np.random.default_rng([RUN_SEED, number])
    both, alone = DriftWatch(recipe), DriftWatch(without_light(recipe))
    chosen = [drawn(steps[0], draw, quiet), *(drawn(each, draw, STEP_PARTS) for each in steps[1:])]
    for watch in (both, alone):
        feed(watch, recipe.threshold.value, chosen[0])
    before = both.state.parts
    warned: dict[str, int] = {}
    threshold, place = recipe.threshold.value, 0
    for parts in chosen[1:]:
        for score, brightness in zip(parts.scores.tolist(), parts.brightness.tolist(), strict=True):
            if score <= threshold:
                both.look(score, Measured(brightness, None), 0.0)
                alone.look(score, None, 0.0)
            for name, watch in (("both", both), ("alone", alone)):
                if watch.warned and name not in warned:
                    warned[name] = place
            place += 1
    state = both.state
    since = None if state.since_part is None else state.since_part - before
    trend = None if state.warning is None else state.warning.partition(" since ")[0]
    return Run(warned.get("both"), warned.get("alone"), since, trend)


def without_light(recipe: Recipe) -> Recipe:
    """The same detector whose file says nothing of brightness."""
    return replace(
        recipe, health=replace(recipe.health, brightness_low=0.0, brightness_high=255 * (2 * BRIGHTNESS_MARGIN))
    )


def recalibrated(recipe: Recipe, light: float, parts: Parts, splits: int, seed: int) -> Recalibrated:
    """Thresholds of four in five of the parts, each tried on the others."""
    draw, scores = np.random.default_rng([seed, splits]), parts.scores
    pictures, rates = round(0.8 * len(scores)), []
    for _ in range(splits):
        mixed = draw.permutation(scores)
        value = fit_threshold(mixed[:pictures], recipe.threshold.budget, recipe.threshold.confidence).value
        rates.append(float((mixed[pictures:] > value).mean()))
    before = float((scores > recipe.threshold.value).mean())
    return Recalibrated(light, pictures, len(scores) - pictures, splits, before, float(np.mean(rates)))
