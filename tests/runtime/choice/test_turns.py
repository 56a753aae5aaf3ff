"""Timing in turns, on a clock that the work itself moves."""

import pytest

from runtime.choice.turns import FEWEST, MOST, fastest, ratios, seconds_in_turns


class Clock:
    """A clock that stands still but for `pass_`; it notes who let time pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def pass_(self, name: str, seconds: float) -> None:
        self.now += seconds
        self.order.append(name)


def test_each_turn_times_every_alternative_after_one_warm_up_and_turns_the_order_round() -> None:
    clock = Clock()
    works = [lambda: clock.pass_("slow", 2.0), lambda: clock.pass_("fast", 1.0)]
    seconds = seconds_in_turns(works, 0.0, clock)
    assert seconds.tolist() == [[2.0, 1.0]] * FEWEST
    assert clock.order[:6] == ["slow", "fast", "slow", "fast", "fast", "slow"]


def test_turns_fill_the_budget_and_end_at_the_most() -> None:
    clock = Clock()
    assert len(seconds_in_turns([lambda: clock.pass_("a", 1.0)], 10.0, clock)) == 10
    assert len(seconds_in_turns([lambda: clock.pass_("a", 0.001)], 10.0, clock)) == MOST


def test_a_busy_moment_does_not_change_the_ratio() -> None:
    clock, times = Clock(), iter([1.0, *[1.0] * 4, 90.0])
    works = [lambda: clock.pass_("a", next(times)), lambda: clock.pass_("b", 0.5)]
    assert ratios(seconds_in_turns(works, 0.0, clock)) == [1.0, 0.5]


@pytest.mark.parametrize(("found", "taken"), [([1.0, 0.5, 0.4], 2), ([1.0, 0.97], 0), ([1.0, 2.0], 0), ([1.0], 0)])
def test_another_is_taken_only_when_it_is_clearly_faster(found: list[float], taken: int) -> None:
    assert fastest(found) == taken
