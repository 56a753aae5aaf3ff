"""Rules that take an image's score from its map, and how well each tells defective images from good ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.evaluation import Inspection, auroc_by_defect
from calibration.metrics import auroc
from runtime.errors import InputError
from runtime.interest import RegionsOfInterest
from runtime.recipe import Recipe
from runtime.summary import auroc as auroc_of_groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOP_SHARES = (0.0003, 0.001, 0.003, 0.01, 0.03)  # of the pixels inspected
SMOOTHED_SHARES = (0.001, 0.01)
QUANTILES = (0.99, 0.995, 0.999)
SIGMAS = (1, 2, 4, 8)  # pixels of the map
BORDERS = (0.0, 0.04, 0.08)  # of each side, left out at either end
RESAMPLES, SEED = 500, 0


@dataclass(frozen=True)
class Rule:
    """One way from a map to a score. `amount` is a share of the pixels for "top", a probability for "quantile"."""

    kind: Literal["maximum", "top", "quantile"]
    amount: float = 0.0
    sigma: int = 0  # of the smoothing before, pixels of the map; 0 is none
    border: float = 0.0  # of each side, left out at either end after the smoothing

    @property
    def name(self) -> str:
        """The rule in words, its border apart."""
        smoothing = f", σ {self.sigma}" if self.sigma else ""
        amount = {"maximum": "", "top": f" {100 * self.amount:g} %", "quantile": f" {self.amount:g}"}[self.kind]
        return f"{self.kind}{amount}{smoothing}"

    def score(self, smoothed: NDArray[np.float32]) -> float:
        """The score of a map [H, W] that has been smoothed with `sigma` and cut to the region of interest."""
        rows, columns = (round(side * self.border) for side in smoothed.shape)
        values = smoothed[rows : smoothed.shape[0] - rows, columns : smoothed.shape[1] - columns].ravel()
        match self.kind:
            case "maximum":
                return float(values.max())
            case "top":
                count = max(1, round(self.amount * values.size))
                return float(np.partition(values, -count)[-count:].mean(dtype=np.float64))
            case "quantile":
                return float(np.quantile(values, self.amount))


@dataclass(frozen=True)
class Result:
    """How well a rule tells defective images from good ones."""

    rule: Rule
    image_auroc: float
    by_defect: dict[str, float]
    difference: float  # of the AUROC to that of the plain maximum
    low: float  # 95 % interval of the difference
    high: float


def all_rules() -> list[Rule]:
    """Every rule that is tried, the plain maximum first."""
    rules = []
    for border in BORDERS:
        rules.append(Rule("maximum", border=border))
        rules += [Rule("top", share, border=border) for share in TOP_SHARES]
        rules += [Rule("quantile", probability, border=border) for probability in QUANTILES]
        for sigma in SIGMAS:
            rules.append(Rule("maximum", sigma=sigma, border=border))
            rules += [Rule("top", share, sigma, border) for share in SMOOTHED_SHARES]
    return rules


def scores_of(inspections: Sequence[Inspection], recipe: Recipe, rules: Sequence[Rule]) -> NDArray[np.float64]:
    """The score of each image by each rule, float64 [rules, images]. The inspections are of images without masks.

    Rules cut a border off a rectangle. Raises `InputError` for a detector of named regions, which have none.
    """
    interest = recipe.scoring.region_of_interest
    if isinstance(interest, RegionsOfInterest):
        raise InputError("score rules are compared on rectangles; this detector inspects named regions")
    top, left, height, width = interest or (0, 0, *recipe.size_hw)
    scores = np.empty((len(rules), len(inspections)))
    for column, inspection in enumerate(inspections):
        smoothed = {0: inspection.scored_map}
        for sigma in {rule.sigma for rule in rules} - {0}:
            blurred = cv2.GaussianBlur(inspection.scored_map, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
            smoothed[sigma] = np.asarray(blurred, np.float32)
        for row, rule in enumerate(rules):
            scores[row, column] = rule.score(smoothed[rule.sigma][top : top + height, left : left + width])
    return scores


def compare(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], defects: NDArray[np.str_], rules: Sequence[Rule]
) -> list[Result]:
    """The result of each rule, the first rule being what the others are compared with.

    `scores` is [rules, images], `labels` and `defects` [images]. Raises `InputError` unless both kinds are there.
    """

    aurocs = [auroc(row, labels) for row in scores]
    differences = _resampled(scores, labels)
    low, high = np.quantile(differences - differences[:, :1], (0.025, 0.975), axis=0)
    return [
        Result(
            rule,
            aurocs[index],
            auroc_by_defect(scores[index], labels, defects),
            aurocs[index] - aurocs[0],
            float(low[index]),
            float(high[index]),
        )
        for index, rule in enumerate(rules)
    ]


def _resampled(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUROCs [resamples, rules] over images drawn with replacement, good and defective ones apart."""

    random = np.random.default_rng(SEED)
    good, defective = scores[:, ~labels], scores[:, labels]
    resampled = np.empty((RESAMPLES, len(scores)))
    for index in range(RESAMPLES):
        first = random.integers(good.shape[1], size=good.shape[1])
        second = random.integers(defective.shape[1], size=defective.shape[1])
        for row in range(len(scores)):  # the same images for each rule, so that differences are paired
            resampled[index, row] = auroc_of_groups(good[row, first], defective[row, second])
    return resampled


def report(results: Sequence[Result]) -> str:
    """A table, best rule first."""
    kinds = list(results[0].by_defect)
    lines = [f"{'rule':<22} border  AUROC   over the maximum (95 %)       " + " ".join(f"{kind:>12}" for kind in kinds)]
    for each in sorted(results, key=lambda result: -result.image_auroc):
        difference = f"{each.difference:+.4f} ({each.low:+.4f} to {each.high:+.4f})"
        by_defect = " ".join(f"{each.by_defect[kind]:12.4f}" for kind in kinds)
        border = f"{100 * each.rule.border:g} %"
        lines.append(f"{each.rule.name:<22} {border:>5}  {each.image_auroc:.4f}  {difference:<29} {by_defect}")
    return "\n".join(lines)


def plot(results: Sequence[Result]) -> "Figure":
    """The AUROC of every rule, a row for each and a mark for each border."""
    from benchmarks import plots

    names = list(dict.fromkeys(each.rule.name for each in results))
    drawn, axes = plots.figure("image AUROC", "", "Image AUROC by score rule", (6.4, 0.24 * len(names) + 1))
    for index, (border, marker, colour) in enumerate(zip(BORDERS, "os^", plots.CYCLE, strict=False)):
        chosen = [each for each in results if each.rule.border == border]
        rows = [names.index(each.rule.name) + 0.25 * (index - 1) for each in chosen]  # side by side where equal
        label = f"{100 * border:g} % border left out" if border else "whole map"
        plots.points(axes, [each.image_auroc for each in chosen], rows, label, colour, marker)
    plots.mark_x(axes, results[0].image_auroc, "plain maximum", plots.GREY)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    plots.legend(axes, "best")
    return drawn
