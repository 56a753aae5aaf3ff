"""What a detector file says of how good parts are distributed: bins with the weights that calibration gave them.

Let n values of calibration and all later ones be exchangeable and their distribution continuous. The chances of new
values to fall between the order statistics of given ranks are then Dirichlet distributed, with the differences of the
ranks as parameters, whatever that distribution is (Wilks, Bulletin of the AMS 1948): so much is known of a bin, and no
more. Above a ceiling nothing is counted, and what is known of the bins below it stays as it is, since the shares of
some of a Dirichlet vector's members among these are independent of the rest.

Where the threshold lies above the ceiling, parts between both are OK. Of all good parts a share p lies above the
ceiling, which is Beta distributed; how many of those pass nobody knows. Let a share φ of them pass. Of the parts that
are OK they are π = φ p / (1 − p + φ p), at most p. So for two bins, up to the ceiling and above it, the weights of p
are a bound: the upper one is hit at most as often as they say, and only bets on it are made (`Reference.at_most`).

*Proof, for a φ that is fixed.* Let p be Beta(a, b) distributed. The density of π over that of Beta(a, b) is, but for a
constant, (φ + π (1 − φ))^−(a + b), which falls with π. So π is below Beta(a, b) in the order of likelihood ratios,
also given how many parts came into each bin, and the next part lies above the ceiling with a chance that is at most
the urn's. ∎ The φ of a threshold that was fitted to the same images depends on p. As π is at most p whatever φ is, the
bound holds if a larger π never makes a warning less likely; that, and the rate of warnings, were simulated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from runtime.recipe import Recipe
from runtime.threshold import Threshold, chance_of

# images that were each left out of a memory are not independent: the nearest of one is often the other, and both then
# have the same score. So many of them count as if half were there (`python -m benchmarks.drift`)
LEFT_OUT = 0.5
OF_OWN = 200  # first values of a line that stand for calibration's where the file keeps none
OWN_BINS = 10


@dataclass(frozen=True)
class Reference:
    """Bins (−∞, e₀], (e₀, e₁], … and, without a ceiling, (eₘ, ∞), and the Dirichlet parameter of each."""

    edges: tuple[float, ...]  # ascending
    weights: tuple[float, ...]  # above 0; as many as edges, or one more
    typical: tuple[float, float]  # between which the values of calibration lie, for people: both quartiles, or all
    at_most: bool = False  # of two bins: whether the upper one has so much weight at most, so that only it is bet on

    @property
    def ceiling(self) -> float:
        """Above it a value is in no bin."""
        return self.edges[-1] if len(self.weights) == len(self.edges) else math.inf


def of_scores(recipe: Recipe) -> Reference | None:
    """The bins of the scores of good parts that are not rejected, from the quantiles in the file; None without any.

    The quantile of probability p stands at place p · (n − 1) from the lowest of n scores on. Between two scores it is
    taken to divide their gap, of weight 1, as it divides their distance. A proven threshold is itself a score of known
    rank. The ceiling is the highest of all these that is not above the threshold. Scores of images that were left out
    in turn count for less (`LEFT_OUT`).
    """
    ranks = _ranks(recipe)
    edges = sorted(value for value in ranks if value <= recipe.threshold.value)
    kept = [edges[0]] if edges else []
    for edge in edges[1:]:
        if ranks[edge] > ranks[kept[-1]]:
            kept.append(edge)
    if len(kept) < 2:
        return None
    weights = [ranks[kept[0]], *(ranks[high] - ranks[low] for low, high in pairwise(kept))]
    return _of_recipe(recipe, kept, weights)


def of_high_scores(recipe: Recipe) -> Reference | None:
    """The bins below and above the ceiling of `of_scores`, of the scores of good parts that are not rejected.

    None where nothing lies between that ceiling and the threshold, as where this is proven. The upper bin has what
    there is up to the next quantile, or above all scores.
    """
    body = of_scores(recipe)
    if body is None or body.ceiling >= recipe.threshold.value:
        return None
    ranks, ceiling = _ranks(recipe), body.ceiling
    beyond = min((rank for value, rank in ranks.items() if value > ceiling), default=recipe.threshold.sample_size + 1.0)
    weights = [ranks[ceiling], beyond - ranks[ceiling]]
    return None if weights[1] <= 0 else _of_recipe(recipe, [ceiling], weights, at_most=True)


def _ranks(recipe: Recipe) -> dict[float, float]:
    """Which of calibration's scores a value is, 1 for the lowest, of each quantile and of a proven threshold."""
    threshold, count = recipe.threshold, recipe.threshold.sample_size
    if count < 2 or not recipe.score_quantiles:
        return {}
    quantiles = sorted((float(p), value) for p, value in recipe.score_quantiles.items())
    ranks = {value: 1 + p * (count - 1) for p, value in quantiles}  # the higher rank of equal values
    rank = rank_of_threshold(threshold)
    return ranks if rank is None else ranks | {threshold.value: float(rank)}


def _of_recipe(recipe: Recipe, edges: Sequence[float], weights: Sequence[float], at_most: bool = False) -> Reference:
    """These bins, whose weights count for less where images were left out in turn."""
    share = LEFT_OUT if recipe.scores_left_out else 1.0
    typical = _quartiles({float(p): value for p, value in recipe.score_quantiles.items()})
    return Reference(tuple(edges), tuple(share * weight for weight in weights), typical, at_most)


def rank_of_threshold(threshold: Threshold) -> int | None:
    """Which of the scores that it was fitted to a proven threshold is, 1 for the lowest; None of any other.

    `calibration.threshold` says how it was chosen: the largest k of n scores above it whose proven rate is the
    budget at most: of the order statistic, the chance of k cases or fewer in n at that rate is 1 − confidence at most.
    """
    count, budget = threshold.sample_size, threshold.budget
    if not threshold.vouched:
        return None
    if threshold.method == "jackknife-minmax":
        above = math.floor((count + 1) * budget * (1 + 1e-12)) - 1
    elif threshold.method == "order-statistic":
        above, total = -1, 0.0
        while above < count - 1:
            total += chance_of(above + 1, count, budget)
            if total > (1 - threshold.confidence) * (1 + 1e-9):
                break
            above += 1
    else:
        return None
    return count - above if 0 <= above < count else None


def of_brightness(recipe: Recipe) -> Reference | None:
    """The bins below, between and above the least and the greatest brightness of the good images."""
    low, high = recipe.health.brightness_seen
    made = recipe.provenance if recipe.recalibration is None else recipe.recalibration
    count = sum(made.images.values())
    if count < 2 or not 0 < low < high < 255:
        return None
    return Reference((low, high), (1.0, count - 1.0, 1.0), (low, high))


def of_own(values: Sequence[float]) -> Reference | None:
    """The bins between evenly spaced order statistics of a line's own first values; None where many are equal."""
    ordered = sorted(values)
    ranks = [round(len(ordered) * place / OWN_BINS) for place in range(1, OWN_BINS)]
    edges = tuple(ordered[rank - 1] for rank in ranks)
    if len(set(edges)) < len(edges):
        return None
    weights = [b - a for a, b in zip([0, *ranks], [*ranks, len(ordered) + 1], strict=True)]
    quartiles = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    return Reference(edges, tuple(map(float, weights)), quartiles)


def _quartiles(quantiles: dict[float, float]) -> tuple[float, float]:
    if 0.25 in quantiles and 0.75 in quantiles:
        return quantiles[0.25], quantiles[0.75]
    return min(quantiles.values()), max(quantiles.values())
