"""Pairing pictures with triggers, on a clock of the test: faulty cameras of all kinds never get a picture taken for
another part, and what the argument says of each fault is so."""

import heapq
import random
from dataclasses import dataclass

import pytest

from runtime.cameras.camera_clock import CameraClock
from runtime.cameras.pairing import Match, Pairing

TIMEOUT_S, SETTLE_S = 0.1, 0.5
POLL_S = 0.01


@dataclass(frozen=True)
class Faults:
    """Shares of triggers; what is left over is sound."""

    lost: float = 0.0
    delayed: float = 0.0
    doubled: float = 0.0
    ignored: float = 0.0
    held_up: float = 0.0  # the program that takes the pictures


class Line:
    """A camera, its triggers at random and whoever takes its pictures, in one loop over the time of the test."""

    def __init__(self, faults: Faults, identities: str, seed: int) -> None:
        self.faults, self.random = faults, random.Random(seed)
        self.has_counter, self.has_stamp = "counter" in identities, "stamp" in identities
        self.pairing = Pairing(TIMEOUT_S / 2, SETTLE_S)
        self.offset_s = self.random.uniform(-1e5, 1e5)  # of the camera's clock
        self.rate = 1 + self.random.uniform(-1e-4, 1e-4)
        self.counter = self.random.randrange(1000)
        self.arriving: list[tuple[float, int, int | None, int | None]] = []  # when, of which trigger, its identities
        self.matches: list[tuple[Match, int, int | None]] = []  # of which trigger, and which one waited
        self.waiting: int | None = None
        self.refused = 0

    def run(self, triggers: int) -> None:
        now_s, next_s, over_s, busy_until_s = 100.0, 100.0, 0.0, 0.0
        number = 0
        while number < triggers or self.arriving:
            if self.waiting is not None and now_s >= over_s:
                self.pairing.give_up(now_s)
                self.waiting = None
            if number < triggers and now_s >= next_s:
                if self.waiting is None and not self.pairing.is_draining:
                    self.trigger(number, now_s)
                    over_s = now_s + TIMEOUT_S
                else:
                    self.refused += 1
                number += 1
                next_s = now_s + self.random.uniform(0.005, 0.25)
            if now_s >= busy_until_s:
                self.take_one(now_s)
                if self.random.random() < self.faults.held_up:
                    busy_until_s = now_s + self.random.uniform(0, 2 * SETTLE_S)
            now_s += POLL_S / 4

    def trigger(self, number: int, now_s: float) -> None:
        sent = self.pairing.send(now_s)
        sent.acknowledged_s = now_s + 0.001
        self.waiting = number
        if self.random.random() < self.faults.ignored:
            return
        self.counter += 1
        exposed_s = now_s + self.random.uniform(0.0002, 0.002)
        stamp = round((exposed_s * self.rate + self.offset_s) * 1e9) if self.has_stamp else None
        picture = (number, self.counter if self.has_counter else None, stamp)
        if self.random.random() < self.faults.lost:
            return
        delayed = self.random.random() < self.faults.delayed
        latency_s = self.random.uniform(TIMEOUT_S, 0.9 * SETTLE_S) if delayed else self.random.uniform(0.003, 0.03)
        heapq.heappush(self.arriving, (exposed_s + latency_s, *picture))
        if self.random.random() < self.faults.doubled:
            again_s = min(exposed_s + latency_s + self.random.uniform(0, 0.2), now_s + 0.9 * SETTLE_S)
            heapq.heappush(self.arriving, (again_s, *picture))

    def take_one(self, now_s: float) -> None:
        if not self.arriving or self.arriving[0][0] > now_s:
            self.pairing.was_quiet(now_s)
            return
        _, number, counter, stamp = heapq.heappop(self.arriving)
        match = self.pairing.match(counter, stamp, now_s)
        self.matches.append((match, number, self.waiting))
        if match in (Match.TAKEN, Match.FOREIGN):
            self.waiting = None

    def count(self, match: Match) -> int:
        return sum(each is match for each, _, _ in self.matches)


MIXES = (
    Faults(lost=0.05),
    Faults(delayed=0.05),
    Faults(doubled=0.1),
    Faults(ignored=0.05),
    Faults(lost=0.03, delayed=0.03, doubled=0.03, ignored=0.03),
    Faults(lost=0.03, delayed=0.03, doubled=0.03, ignored=0.03, held_up=0.01),
    Faults(lost=0.2, delayed=0.3, doubled=0.3, ignored=0.2, held_up=0.02),
)


@pytest.mark.parametrize("identities", ["counter", "stamp", "counter and stamp"])
@pytest.mark.parametrize("mix", range(len(MIXES)))
def test_no_picture_is_ever_taken_for_another_part(mix: int, identities: str) -> None:
    for seed in range(12):
        line = Line(MIXES[mix], identities, seed)
        line.run(150)
        taken = [(number, waited) for match, number, waited in line.matches if match is Match.TAKEN]
        wrong = [(number, waited) for number, waited in taken if number != waited]
        assert wrong == [], (seed, wrong)
        assert line.count(Match.TAKEN) > (20 if mix < 6 else 0), seed
        assert line.count(Match.FOREIGN) == 0, seed


@pytest.mark.parametrize("identities", ["counter", "stamp", "counter and stamp"])
def test_a_sound_camera_loses_no_part(identities: str) -> None:
    line = Line(Faults(), identities, 0)
    line.run(300)
    assert line.count(Match.TAKEN) == len(line.matches) == 300 - line.refused


@pytest.mark.parametrize("identities", ["counter", "stamp", "counter and stamp"])
def test_lost_and_delayed_pictures_and_doubles_cost_no_other_part(identities: str) -> None:
    """Only the camera that ignores triggers makes a counter alone doubt the next picture."""
    line = Line(Faults(lost=0.1, doubled=0.1, delayed=0.1 if "stamp" in identities else 0.0), identities, 1)
    line.run(400)
    assert line.count(Match.AMBIGUOUS) == 0
    assert line.count(Match.DOUBLED) + line.count(Match.STALE) > 10
    if "counter" in identities:
        assert line.pairing.lost > 10


class Script:
    """A pairing by hand: each trigger is acknowledged at once."""

    def __init__(self) -> None:
        self.pairing = Pairing(0.05, SETTLE_S)

    def send(self, at_s: float) -> None:
        self.pairing.send(at_s).acknowledged_s = at_s

    def paired(self, at_s: float, counter: int | None = None, camera_ns: int | None = None) -> None:
        self.send(at_s)
        assert self.pairing.match(counter, camera_ns, at_s + 0.01) is Match.TAKEN


def test_after_an_ignored_trigger_a_counter_alone_cannot_tell_and_the_camera_is_left_alone_until_it_is_quiet() -> None:
    script = Script()
    script.paired(1.0, counter=7)
    script.send(2.0)
    assert not script.pairing.give_up(2.1)
    script.send(2.2)
    assert script.pairing.match(8, None, 2.21) is Match.AMBIGUOUS  # of the trigger at 2.0, delayed, or at 2.2
    assert script.pairing.give_up(2.3)
    script.pairing.was_quiet(2.3 + SETTLE_S - 0.01)
    assert script.pairing.is_draining
    script.pairing.was_quiet(2.3 + SETTLE_S)
    assert not script.pairing.is_draining
    script.paired(3.0, counter=9)


def test_a_counter_tells_a_lost_picture_from_a_delayed_one() -> None:
    script = Script()
    script.paired(1.0, counter=7)
    script.send(2.0)
    script.pairing.give_up(2.1)
    script.send(2.2)
    assert script.pairing.match(9, None, 2.21) is Match.TAKEN  # both were exposed, and this is the second
    assert script.pairing.lost == 1
    script.send(2.3)
    assert script.pairing.match(8, None, 2.31) is Match.STALE  # it was delayed and not lost
    assert script.pairing.lost == 0
    assert script.pairing.match(9, None, 2.32) is Match.DOUBLED
    assert script.pairing.match(10, None, 2.33) is Match.TAKEN


def test_a_picture_that_was_doubted_is_not_missed_where_the_next_one_is_certain() -> None:
    script = Script()
    script.paired(1.0, counter=7)
    script.send(2.0)
    script.pairing.give_up(2.1)
    script.send(2.2)
    assert script.pairing.match(8, None, 2.21) is Match.AMBIGUOUS
    assert script.pairing.match(9, None, 2.22) is Match.TAKEN
    assert not script.pairing.is_draining


def test_a_time_stamp_tells_a_delayed_picture_from_that_of_the_next_part() -> None:
    second = 10**9
    script = Script()
    script.paired(1.0, camera_ns=500 * second)
    for at_s, exposed_s, expected in ((2.0, 501.0, Match.STALE), (3.0, 502.2, Match.TAKEN)):
        script.send(at_s)
        script.pairing.give_up(at_s + 0.1)
        script.send(at_s + 0.2)
        assert script.pairing.match(None, round(exposed_s * second), at_s + 0.21) is expected
        if expected is Match.STALE:
            assert script.pairing.match(None, round((exposed_s + 0.2) * second), at_s + 0.22) is Match.TAKEN


def test_without_either_the_part_is_rejected_and_the_camera_left_alone() -> None:
    script = Script()
    script.send(1.0)
    assert script.pairing.match(None, None, 1.01) is Match.AMBIGUOUS
    assert script.pairing.give_up(1.1)
    assert script.pairing.is_draining


@pytest.mark.parametrize(("counter", "camera_ns"), [(10, None), (None, -(10**12)), (8, -(10**12)), (9, 10**12)])
def test_a_picture_of_no_trigger_rejects_the_part_and_forgets_counter_and_clock(
    counter: int | None, camera_ns: int | None
) -> None:
    """The counter leaps, so that somebody else triggers; or the clock was set, back or ahead."""
    script = Script()
    script.paired(1.0, None if counter is None else 7, None if camera_ns is None else 10**9)
    script.send(2.0)
    found = script.pairing.match(counter, camera_ns, 2.01)
    if counter is None and camera_ns is not None and camera_ns < 0:  # a time stamp alone: as if it was an earlier one
        assert found is Match.STALE
        return
    assert found is Match.FOREIGN
    assert script.pairing.is_draining
    script.pairing.was_quiet(2.01 + SETTLE_S)
    script.paired(3.0, counter=3, camera_ns=5)


def test_a_camera_clock_is_bounded_by_what_it_has_shown_and_by_drift_since() -> None:
    clock = CameraClock()
    assert clock.happened(0, 0.0) is None
    clock.learn(10**9, 100.0, 100.3, 100.3)  # 1 s there is 100.0 to 100.3 s here
    assert clock.happened(2 * 10**9, 100.3) == pytest.approx((101.0, 101.3))
    clock.learn(2 * 10**9, 101.1, 101.5, 100.3)
    assert clock.happened(2 * 10**9, 100.3) == pytest.approx((101.1, 101.3))
    low_s, high_s = clock.happened(2 * 10**9, 1100.3) or (0.0, 0.0)
    assert (low_s, high_s) == pytest.approx((101.1 - 0.2, 101.3 + 0.2))  # 200 millionths of 1,000 s
