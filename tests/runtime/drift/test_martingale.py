"""The wager: fair in every state, quiet where nothing changes, and soon rich where something does."""

from bisect import bisect_left

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.drift.martingale import BETS, Martingale
from runtime.drift.reference import Reference
from runtime.errors import InputError

RANKS = (1, 3, 13, 25, 37, 47, 50)  # of 50 values; above the last nothing is counted


def reference_of(calibration: NDArray[np.float64], ranks: tuple[int, ...] = RANKS) -> Reference:
    """Bins between order statistics of a calibration, whose weights are exact."""
    ordered = np.sort(calibration)
    edges = tuple(float(ordered[rank - 1]) for rank in ranks)
    return Reference(edges, tuple(float(each) for each in np.diff((0, *ranks))), edges[:2])


def after(values: NDArray[np.float64], reference: Reference) -> Martingale:
    martingale = Martingale(reference)
    for value in values:
        martingale.add(float(value))
    return martingale


@pytest.mark.parametrize(
    ("weights", "at_most"),
    [((1.0, 6.3, 2.5, 9.2, 4.0), False), ((1.0, 6.3, 2.5, 9.2, 4.0, 2.0), False), ((7.5, 1.0), True)],
)
def test_in_every_state_the_capital_is_what_one_more_value_leaves_of_it_on_average(
    weights: tuple[float, ...], at_most: bool
) -> None:
    """Over the bins, by the chances that Pólya's urn gives them: the one property that the bound rests on. Where a
    bin is hit so often at most, only its hits win, so that fewer of them leave less on average."""
    draw = np.random.default_rng(0)
    edges = tuple(np.sort(draw.normal(size=1 if at_most else 5)).tolist())
    open_above = len(weights) > len(edges)
    reference = Reference(edges, weights, (0.0, 1.0), at_most)
    middles = [edges[0] - 1, *(np.add(edges[1:], edges[:-1]) / 2), *([edges[-1] + 1] if open_above else [])]
    arrived, came = np.zeros(len(middles)), Martingale(reference)
    for value in draw.normal(edges[0] - 2 if at_most else 0.5, 1, 200):
        chances = (np.array(reference.weights) + arrived) / (sum(reference.weights) + arrived.sum())
        outcomes = []
        for middle in middles:
            one = Martingale(reference)
            one.restore(came.document)
            one.add(float(middle))
            outcomes.append(one.evidence)
        assert chances @ outcomes == pytest.approx(came.evidence, rel=1e-12)
        assert np.ptp(outcomes) > 1e-4 * came.evidence  # and something was staked
        if at_most:
            assert max(outcomes[:-1]) < came.evidence < outcomes[-1]
        if value <= reference.ceiling:
            arrived[bisect_left(edges, value)] += 1
        came.add(float(value))
    assert came.count == arrived.sum()


def test_where_nothing_changes_it_is_hardly_ever_rich() -> None:
    """150 calibrations of 50 values, each with 600 more: at α = 0.1 at most 15 are expected, 27 once in 1,000."""
    draw = np.random.default_rng(1)
    alarms = 0
    for _ in range(150):
        martingale = Martingale(reference_of(draw.gumbel(size=50)))
        for value in draw.gumbel(size=600):
            martingale.add(float(value))
            if martingale.evidence >= 10:
                alarms += 1
                break
    assert alarms < 27


def test_chances_that_were_taken_from_calibration_alone_would_alarm_for_nothing() -> None:
    """What the urn is for: the same bets against fixed chances take the luck of 50 values for drift."""
    draw = np.random.default_rng(2)
    alarms = 0
    for _ in range(20):
        exact = reference_of(draw.gumbel(size=50))
        certain = Reference(exact.edges, tuple(1e9 * weight for weight in exact.weights), exact.typical)
        alarms += after(draw.gumbel(size=2000), certain).evidence >= 100
    assert alarms > 5


@pytest.mark.parametrize(("shift", "rises"), [(1.0, True), (-1.0, False)])
def test_a_shift_is_found_within_a_few_hundred_values_however_late_it_comes(shift: float, rises: bool) -> None:
    draw = np.random.default_rng(3)
    for quiet in (100, 5000):
        martingale = after(draw.normal(size=quiet), reference_of(draw.normal(size=50)))
        assert martingale.evidence < 10
        for value in draw.normal(shift, 1, 600):
            martingale.add(float(value))
            if martingale.evidence >= 1000:
                break
        assert martingale.evidence >= 1000
        assert (martingale.rise > 0) == rises
        assert quiet * 0.75 < martingale.since < martingale.count


def test_values_that_were_otherwise_from_the_first_on_have_changed_with_the_first() -> None:
    martingale = Martingale(reference_of(np.random.default_rng(8).normal(size=50)))
    assert martingale.since == 1 > martingale.count
    for _ in range(5):
        martingale.add(-9.0)
    assert martingale.since == 1


def test_what_lies_above_the_ceiling_is_left_out() -> None:
    draw = np.random.default_rng(4)
    reference = reference_of(draw.normal(size=50))
    martingale = after(draw.normal(size=100), reference)
    document = martingale.document
    martingale.add(reference.ceiling + 1e-9)
    assert martingale.document == document


def test_capital_has_an_end_and_stays_a_number() -> None:
    martingale = Martingale(Reference((0.0, 1.0), (1.0, 99.0, 1.0), (0.0, 1.0)))
    for _ in range(20_000):
        martingale.add(-1.0)
    assert 1e3 < martingale.evidence < 1e101


def test_it_goes_on_where_it_was() -> None:
    values = np.random.default_rng(5).normal(0.3, 1, 400)
    reference = reference_of(np.random.default_rng(6).normal(size=50))
    half, whole = after(values[:200], reference), after(values, reference)
    again = Martingale(reference)
    again.restore(half.document)
    for value in values[200:]:
        again.add(float(value))
    assert again.document == whole.document
    assert (again.count, again.since) == (whole.count, whole.since)


@pytest.mark.parametrize(
    "change",
    [
        {"arrived": [1]},
        {"bets": [1.0]},
        {"bets": [float("nan")] * BETS},
        {"bets": [-1.0] * BETS},
        {"fresh": float("inf")},
        {"arrived": [-1] * 7},
        {"rise": 0.7},
    ],
)
def test_a_document_that_is_none_is_refused(change: dict[str, object]) -> None:
    martingale = Martingale(reference_of(np.random.default_rng(7).normal(size=50)))
    document = martingale.document
    with pytest.raises(InputError):
        martingale.restore({**document, **change})
    assert martingale.document == document
