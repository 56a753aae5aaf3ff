"""Turns, percentiles and ratios."""

import time
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.throughput.timing import LEAST_TURNS, Percentiles, Turns, in_turns, ratios
from runtime.errors import InputError


def sleeper(seconds: float, name: str, log: list[str]) -> Callable[[], None]:
    def call() -> None:
        log.append(name)
        time.sleep(seconds)

    return call


def test_percentiles_are_those_of_the_sample() -> None:
    found = Percentiles.of(np.arange(1, 302) / 1000, scale=1e3)
    assert (found.p50, found.p95, found.p99, found.max) == pytest.approx((151, 286, 298, 301))
    assert found.samples == 301


@pytest.mark.parametrize(("samples", "known"), [(10, (False, False)), (99, (False, False)), (100, (True, False))])
def test_few_samples_have_no_percentile_that_hardly_one_lies_beyond(samples: int, known: tuple[bool, bool]) -> None:
    found = Percentiles.of(np.linspace(1, 2, samples))
    assert (found.p95 is not None, found.p99 is not None) == known
    assert (found.p50, found.max, found.samples) == (1.5, 2.0, samples)


def test_rows_take_turns_and_every_second_round_runs_backwards() -> None:
    log: list[str] = []
    calls = {name: sleeper(0, name, log) for name in "abc"}
    taken = in_turns(calls, Turns(repeats=3, warm_up=1, pause_s=0, settle_s=0))
    assert "".join(log) == "abc" + "abc" + "cba" + "abc"
    assert {name: len(seconds) for name, seconds in taken.items()} == {"a": 3, "b": 3, "c": 3}


def test_times_are_those_of_the_call_and_not_of_the_pause() -> None:
    taken = in_turns({"a": sleeper(0.02, "a", [])}, Turns(repeats=3, warm_up=0, pause_s=0.1, settle_s=0))
    assert taken["a"].min() >= 0.02
    assert taken["a"].min() < 0.1


def test_a_slow_row_leaves_after_its_time_but_not_before_its_least_turns() -> None:
    log: list[str] = []
    calls = {"slow": sleeper(0.02, "slow", log), "fast": sleeper(0, "fast", log)}
    taken = in_turns(calls, Turns(repeats=10, seconds=0.01, warm_up=0, pause_s=0, settle_s=0))
    assert len(taken["slow"]) == LEAST_TURNS
    assert len(taken["fast"]) == 10


def test_a_slow_row_is_warm_after_one_call() -> None:
    log: list[str] = []
    in_turns({"slow": sleeper(0.02, "slow", log)}, Turns(repeats=3, seconds=0.1, warm_up=9, pause_s=0, settle_s=0))
    assert log == ["slow"] * 4


def test_a_short_call_settles_in_each_turn_before_it_is_timed() -> None:
    log: list[str] = []
    calls = {"long": sleeper(0.03, "long", log), "short": sleeper(0, "short", log)}
    taken = in_turns(calls, Turns(repeats=3, warm_up=1, pause_s=0, settle_s=0.02))
    assert log[2:6] == ["long", "short", "short", "short"]
    assert {name: len(seconds) for name, seconds in taken.items()} == {"long": 3, "short": 3}


def test_a_ratio_compares_the_turns_that_both_took_part_in() -> None:
    reference = np.array([1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0])  # the machine was busy after the third turn
    found = ratios(np.array([2.0, 2.0, 4.0]), reference)
    assert (found.p50, found.max, found.samples) == (2.0, 4.0, 3)


def test_too_few_turns_and_no_time_are_refused() -> None:
    with pytest.raises(InputError, match=r"--repeats is 2; expected 3 or more"):
        Turns(repeats=2)
    with pytest.raises(InputError, match=r"--seconds is 0; expected more than 0"):
        Turns(seconds=0)
