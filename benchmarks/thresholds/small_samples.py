"""What rules for few scores reject, and how high their thresholds are, over distributions and on real scores."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.redraw import read_result
from benchmarks.thresholds.rules import RULES
from runtime.errors import InputError

Array = NDArray[np.float64]
SIZES = (5, 8, 15, 30, 60)


@dataclass(frozen=True)
class Family:
    """A distribution of scores."""

    name: str
    draw: Callable[[np.random.Generator, tuple[int, int]], Array]
    above: Callable[[Array], Array]  # the share of parts that score above, of any thresholds
    mean: float
    deviation: float
    quantile: Callable[[float], float]


@dataclass(frozen=True)
class Row:
    """A rule at one number of scores of one distribution. Thresholds are in the distribution's deviations above its
    mean."""

    family: str
    sample_size: int
    rule: str
    rate_mean: float  # of good parts rejected
    rate_error: float  # standard error of the mean
    rate_p95: float
    threshold_median: float
    threshold_p90: float
    threshold_true: float  # that rejects the budget


def families() -> list[Family]:
    """From the lightest tail to the heaviest; the hazard rate of the first four does not fall."""
    return [
        _family("normal", stats.norm()),
        _family("gamma, shape 4", stats.gamma(4)),
        _family("Gumbel", stats.gumbel_r()),
        _family("exponential", stats.expon()),
        _family("lognormal, σ = 0.5", stats.lognorm(0.5)),
        _family("Student's t, 4", stats.t(4)),
        _family("extreme value, ξ = 0.2", stats.genextreme(-0.2)),
    ]


def family_of_result(path: Path) -> Family:
    """The scores of good parts in what benchmarks.accuracy wrote with ``--json``, each as likely as the next.

    Raises `InputError` for another file.
    """
    document = read_result(path)
    try:
        scores = np.sort([one["score"] for one in document["inspections"] if one["defect"] == "good"])
        name = f"{Path(document['data']).name}, {scores.size} scores"
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is no result of benchmarks.accuracy ({error} is missing)") from error
    if scores.size < 2:
        raise InputError(f"{path} has {scores.size} scores of good parts; expected two at least")
    return Family(
        name,
        lambda random, shape: random.choice(scores, shape),
        lambda values: 1 - np.searchsorted(scores, values, side="right") / scores.size,
        float(scores.mean()),
        float(scores.std()),
        lambda share: float(np.quantile(scores, share, method="inverted_cdf")),
    )


def table(
    chosen: Sequence[Family], budget: float, trials: int, seed: int, sizes: Sequence[int] = SIZES
) -> Iterator[Row]:
    """All rules over `trials` samples of each size and family; within one of these all see the same samples."""
    for family in chosen:
        for n in sizes:
            ordered = np.sort(family.draw(np.random.default_rng((seed, n)), (trials, n)), axis=1)
            for name, rule in RULES.items():
                values = rule(ordered, budget)
                rates = family.above(values)
                median, high, true = (
                    (float(value) - family.mean) / family.deviation
                    for value in (*np.quantile(values, (0.5, 0.9)), family.quantile(1 - budget))
                )
                yield Row(
                    family.name,
                    n,
                    name,
                    float(rates.mean()),
                    float(rates.std(ddof=1) / math.sqrt(trials)),
                    float(np.quantile(rates, 0.95)),
                    median,
                    high,
                    true,
                )


def _family(name: str, frozen: stats.rv_continuous) -> Family:
    return Family(
        name,
        lambda random, shape: np.asarray(frozen.rvs(size=shape, random_state=random)),
        lambda values: np.asarray(frozen.sf(values)),
        float(frozen.mean()),
        float(frozen.std()),
        lambda share: float(frozen.ppf(share)),
    )


def lines(rows: Sequence[Row]) -> list[str]:
    """The figures as text, a table for each size: mean rate, its 95th percentile, median threshold / true one."""
    names = list(dict.fromkeys(row.family for row in rows))
    found = []
    for n in dict.fromkeys(row.sample_size for row in rows):
        found.append(f"n = {n}: " + "; ".join(names))
        for rule in RULES:
            cells = [
                f"{row.rate_mean:6.2%} {row.rate_p95:6.1%} {row.threshold_median / row.threshold_true:5.2f}"
                for row in rows
                if (row.sample_size, row.rule) == (n, rule)
            ]
            found.append(f"{rule:<27}" + " | ".join(cells))
    return found
