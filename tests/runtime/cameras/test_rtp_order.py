"""The order of RTP packets that UDP lost, repeated or let be overtaken."""

import random

import pytest

from runtime.cameras.rtp_order import MOST_OLD, MOST_WAITING, RtpOrder
from runtime.errors import SourceError


def packet(number: int, source: int = 1) -> bytes:
    return b"\x80\x60" + (number & 0xFFFF).to_bytes(2, "big") + bytes(4) + source.to_bytes(4, "big") + b"data"


def numbers(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(each[2:4], "big") for each in packets]


def test_packets_come_in_order_and_once_also_where_their_numbers_begin_again() -> None:
    order, chance = RtpOrder(), random.Random(3)
    sent = [number for first in range(65500, 66500, 4) for number in chance.sample(range(first, first + 4), 4)]
    sent = [65500, *(number for number in sent for _ in range(chance.choice([1, 1, 2])))]
    found = [each for at, number in enumerate(sent) for each in order.add(packet(number), at * 1e-3)]
    assert numbers(found) == [number & 0xFFFF for number in range(65500, 66500)]
    assert (order.lost, order.waits) == (0, False)


def test_a_packet_that_does_not_come_is_given_up_after_a_while_and_counted() -> None:
    order = RtpOrder()
    assert numbers(order.add(packet(10), 0.0)) == [10]
    assert order.add(packet(13), 0.01) == order.add(packet(14), 0.02) == order.due(0.1) == []
    assert numbers(order.due(0.12)) == [13, 14]
    assert order.add(packet(11), 0.13) == []
    assert order.lost == 2


def test_a_gap_is_given_up_when_too_much_piles_up_behind_it() -> None:
    order = RtpOrder()
    order.add(packet(0), 0.0)
    found = [each for number in range(2, MOST_WAITING + 3) for each in order.add(packet(number), 0.0)]
    assert numbers(found) == list(range(2, MOST_WAITING + 3))


def test_what_is_no_packet_is_left_out() -> None:
    order = RtpOrder()
    assert order.add(b"", 0.0) == order.add(bytes(20), 0.0) == order.add(packet(1)[:11], 0.0) == []


def test_another_stream_and_numbers_that_begin_anew_end_it() -> None:
    order = RtpOrder()
    order.add(packet(5000), 0.0)
    with pytest.raises(SourceError, match="it began another stream"):
        order.add(packet(5001, source=2), 0.0)
    for number in range(MOST_OLD - 1):
        assert order.add(packet(number), 0.0) == []
    with pytest.raises(SourceError, match="it began to count its packets anew"):
        order.add(packet(MOST_OLD), 0.0)
