"""The queue of what waits: bounded, the oldest first out, and every loss counted once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InputError
from runtime.publishing.documents import Queued
from runtime.publishing.outbox import Outbox


def document(number: int, tells: int = 0) -> Queued:
    return Queued(str(number), "verdict", b"{}", False, tells)


def taken(outbox: Outbox) -> list[str]:
    found = []
    while (one := outbox.take()) is not None:
        found.append(one.id)
    return found


def test_the_oldest_are_dropped_and_counted() -> None:
    outbox = Outbox(3)
    for number in range(5):
        outbox.add(document(number))
    assert (outbox.waiting, outbox.dropped, outbox.untold) == (3, 2, 2)
    assert taken(outbox) == ["2", "3", "4"]


def test_what_is_in_hand_counts_and_comes_back_to_the_front() -> None:
    outbox = Outbox(3)
    for number in range(3):
        outbox.add(document(number))
    hand = [one for _ in range(2) if (one := outbox.take()) is not None]
    outbox.add(document(3))
    assert (outbox.waiting, outbox.dropped) == (3, 1)  # 2, which waited; 0 and 1 are in hand
    outbox.put_back(hand)
    assert taken(outbox) == ["0", "1", "3"]


def test_what_was_settled_and_may_not_have_arrived_comes_first() -> None:
    outbox = Outbox(9)
    for number in range(4):
        outbox.add(document(number))
    hand = [one for _ in range(3) if (one := outbox.take()) is not None]
    outbox.settle(hand[0], arrived=True)
    outbox.put_back(hand[1:], settled=hand[:1])
    assert (outbox.waiting, outbox.delivered) == (4, 0)
    assert taken(outbox) == ["0", "1", "2", "3"]


def test_what_was_told_is_not_told_again_and_what_was_not_is() -> None:
    outbox = Outbox(1)
    for number in range(4):
        outbox.add(document(number))
    telling = document(9, tells=outbox.dropped)
    outbox.put_back([telling])
    assert (outbox.untold, taken(outbox)) == (3, ["3"])
    outbox.settle(telling, arrived=True)
    assert outbox.untold == 0
    outbox.add(document(5))
    outbox.add(document(6))
    outbox.settle(document(10, tells=outbox.dropped), arrived=False)  # refused for good
    assert (outbox.dropped, outbox.untold) == (5, 0)


@pytest.mark.parametrize("bound", [0, -1, 100_001])
def test_a_bound_that_is_none_is_refused(bound: int) -> None:
    with pytest.raises(InputError, match="the queue of verdicts"):
        Outbox(bound)


@given(st.integers(1, 5), st.lists(st.sampled_from(["add", "take", "arrived", "refused", "back"]), max_size=60))
def test_nothing_is_lost_unseen(bound: int, steps: list[str]) -> None:
    outbox, hand = Outbox(bound), list[Queued]()
    for number, step in enumerate(steps):
        if step == "add":
            outbox.add(document(number))
        elif step == "take":
            hand += [one] if (one := outbox.take()) is not None else []
        elif step == "back":
            outbox.put_back(hand)
            hand = []
        elif hand:
            outbox.settle(hand.pop(0), arrived=step == "arrived")
        assert outbox.added == outbox.delivered + outbox.dropped + outbox.waiting
        assert outbox.waiting <= bound
    outbox.end()
    outbox.put_back(hand)
    outbox.add(document(99))
    assert (outbox.waiting, outbox.added) == (0, outbox.delivered + outbox.dropped)
