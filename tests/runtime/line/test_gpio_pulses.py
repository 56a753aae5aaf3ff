"""Pulses of bounded length, at their time or not at all."""

import random

from runtime.line.gpio_pulses import MOST, Pulses


class Recorded:
    """Outputs of which each change is kept, with the time of the test's clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.changes: list[tuple[float, str, bool]] = []
        self.pulses = Pulses(self.set)

    def set(self, name: str, active: bool) -> None:
        self.changes.append((self.now_s, name, active))

    def run_to(self, until_s: float) -> None:
        """Let time pass as a thread does that sleeps until the next moment."""
        while (next_s := self.pulses.run(self.now_s)) is not None and next_s <= until_s:
            self.now_s = next_s
        self.now_s = until_s
        self.pulses.run(until_s)


def test_a_pulse_has_its_length_at_its_time() -> None:
    recorded = Recorded()
    recorded.pulses.pulse("pass", 1.0, 0.25, 1.1)
    assert recorded.pulses.run(0.0) == 1.0
    recorded.run_to(5.0)
    assert recorded.changes == [(1.0, "pass", True), (1.25, "pass", False)]
    assert recorded.pulses.run(5.0) is None


def test_one_that_would_begin_too_late_is_not_given_and_ends_the_one_before() -> None:
    recorded = Recorded()
    recorded.pulses.pulse("pass", 1.0, 1.0, 1.5)
    recorded.pulses.pulse("pass", 1.2, 1.0, 1.3)
    recorded.pulses.run(0.0)
    recorded.now_s = 1.0
    recorded.pulses.run(1.0)
    recorded.now_s = 1.4  # something kept us
    recorded.pulses.run(1.4)
    assert recorded.changes == [(1.0, "pass", True), (1.4, "pass", False)]
    assert recorded.pulses.counts == {"given": 1, "late": 1, "dropped": 0, "taken_back": 0}


def test_one_that_begins_late_ends_when_it_was_to_end() -> None:
    recorded = Recorded()
    recorded.pulses.pulse("pass", 1.0, 1.0, 1.5)
    recorded.now_s = 1.4
    recorded.run_to(9.0)
    assert recorded.changes == [(1.4, "pass", True), (2.0, "pass", False)]


def test_one_that_may_be_late_is_of_full_length() -> None:
    recorded = Recorded()
    recorded.pulses.pulse("strobe", 1.0, 0.25, None)
    recorded.now_s = 2.0
    recorded.run_to(9.0)
    assert recorded.changes == [(2.0, "strobe", True), (2.25, "strobe", False)]


def test_two_passes_that_touch_are_one_pulse_and_a_reject_between_ends_it() -> None:
    recorded = Recorded()
    recorded.pulses.pulse("pass", 1.0, 1.0, 1.5)
    recorded.pulses.pulse("pass", 1.5, 1.0, 2.0)
    recorded.pulses.rest("pass", 2.25)
    recorded.run_to(9.0)
    assert [change for change in recorded.changes if not change[2]] == [(2.25, "pass", False)]


def test_rest_without_a_pulse_drives_nothing() -> None:
    recorded = Recorded()
    recorded.pulses.rest("pass", 1.0)
    recorded.run_to(2.0)
    assert recorded.changes == []


def test_lines_do_not_end_each_other() -> None:
    recorded = Recorded()
    recorded.pulses.pulse("pass", 1.0, 2.0, 1.5)
    recorded.pulses.pulse("strobe", 1.5, 0.25, 9.0)
    recorded.pulses.rest("strobe", 2.0)
    recorded.run_to(9.0)
    assert (3.0, "pass", False) in recorded.changes
    assert (1.75, "strobe", False) in recorded.changes


def test_where_too_much_is_to_come_no_pulse_to_come_is_given() -> None:
    recorded = Recorded()
    recorded.pulses.pulse("pass", 0.0, 5.0, 1.0)
    recorded.pulses.run(0.0)
    for number in range(MOST + 1):
        recorded.pulses.pulse("pass", 10.0 + number, 0.5, 1e9)
    recorded.run_to(1e9)
    assert recorded.changes == [(0.0, "pass", True), (5.0, "pass", False)]
    assert recorded.pulses.counts["dropped"] == MOST + 1
    recorded.pulses.pulse("pass", 1e9 + 1, 1.0, 2e9)
    recorded.run_to(2e9)
    assert recorded.changes[-2:] == [(1e9 + 1, "pass", True), (1e9 + 2, "pass", False)]


def test_a_pulse_that_is_taken_back_is_not_given_and_ends_at_its_time_the_one_that_has_begun() -> None:
    recorded = Recorded()
    recorded.pulses.pulse("pass", 1.0, 1.0, 1.5)
    recorded.pulses.pulse("pass", 1.5, 1.0, 2.0)
    recorded.pulses.pulse("pass", 4.0, 1.0, 4.5)
    recorded.pulses.pulse("strobe", 4.0, 1.0, None)
    recorded.run_to(1.25)
    recorded.pulses.take_back("pass", False)
    recorded.run_to(9.0)
    assert recorded.changes == [
        (1.0, "pass", True),
        (1.5, "pass", False),
        (4.0, "strobe", True),
        (5.0, "strobe", False),
    ]
    assert recorded.pulses.counts == {"given": 2, "late": 0, "dropped": 0, "taken_back": 2}


def test_a_pulse_that_has_begun_is_not_taken_back() -> None:
    recorded = Recorded()
    recorded.pulses.pulse("pass", 1.0, 1.0, 1.5)
    recorded.run_to(1.25)
    recorded.pulses.take_back("pass", True)
    recorded.run_to(9.0)
    assert recorded.changes == [(1.0, "pass", True), (2.0, "pass", False)]


def test_a_pulse_of_a_part_that_nobody_inspected_is_taken_back_with_all_else_alone() -> None:
    recorded = Recorded()
    for due_s in (1.0, 3.0):
        recorded.pulses.pulse("pass", due_s, 1.0, due_s + 0.5, False)
    recorded.pulses.take_back("pass", False)
    recorded.run_to(2.5)
    assert recorded.changes == [(1.0, "pass", True), (2.0, "pass", False)]
    recorded.pulses.take_back("pass", True)
    recorded.run_to(9.0)
    assert len(recorded.changes) == 2


def test_at_no_moment_is_a_line_active_for_a_part_that_does_not_pass() -> None:
    """Parts at random distances, pulses of a length that overlaps, and a thread that is kept at random."""
    rng = random.Random(5)
    recorded, length_s, due_s, parts = Recorded(), 1.0, 1.0, list[tuple[float, bool]]()
    for _ in range(500):
        due_s += rng.uniform(0.1, 2.0)
        parts.append((due_s, rng.random() < 0.5))
        if parts[-1][1]:
            recorded.pulses.pulse("pass", due_s, length_s, due_s + length_s / 2)
        else:
            recorded.pulses.rest("pass", due_s)
    looked = list[float]()
    while (next_s := recorded.pulses.run(recorded.now_s)) is not None:
        recorded.now_s = max(recorded.now_s, next_s) + (rng.uniform(0.0, 0.7) if rng.random() < 0.1 else 0.0)
        looked.append(recorded.now_s)
    assert sum(active for _, _, active in recorded.changes) > 100
    for at_s, _, active in recorded.changes:
        if active:  # the last part whose time has come passes, and its pulse is not over
            assert max((due_s, passes) for due_s, passes in parts if due_s <= at_s)[1]
    actives = [at_s for at_s, _, active in recorded.changes if active]
    for at_s in actives:
        end_s = min((each for each, _, active in recorded.changes if not active and each >= at_s), default=None)
        assert end_s is not None
        rejected = [due_s for due_s, passes in parts if not passes and due_s > at_s]
        nearest = min(rejected, default=float("inf"))
        assert end_s <= min(each for each in looked if each >= min(nearest, end_s))
