"""The time is shared out by weight, and what one part leaves falls to the others."""

import pytest

from benchmarks.gpu.budget import WEIGHTS, Budget

PARTS = tuple(WEIGHTS)


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def test_shares_that_are_used_up_are_by_weight_and_fill_the_time() -> None:
    clock = Clock()
    budget, shares = Budget(720, PARTS, clock), []
    for part in PARTS:
        shares.append(budget.share(part))
        clock.now_s += shares[-1]
    assert shares == pytest.approx([60 * weight for weight in WEIGHTS.values()])
    assert clock.now_s == pytest.approx(50 + 720)


def test_what_a_part_leaves_falls_to_those_after_it() -> None:
    clock = Clock()
    budget = Budget(720, ("teacher", "paper"), clock)
    assert budget.share("teacher") == pytest.approx(720 * 4 / 7)
    clock.now_s += 20
    assert budget.share("paper") == pytest.approx(700)


def test_no_share_is_below_zero() -> None:
    clock = Clock()
    budget = Budget(60, ("presets",), clock)
    clock.now_s += 61
    assert budget.share("presets") == 0
