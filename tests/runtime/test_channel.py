"""The channel between two threads."""

import threading
import time

import pytest

from runtime.channel import Channel


def test_items_arrive_in_order() -> None:
    channel: Channel[int] = Channel(3)
    assert all(channel.put(item) for item in (1, 2, 3))
    assert [channel.get(), channel.get(), channel.get()] == [1, 2, 3]


def test_a_full_channel_holds_its_sender_up_until_there_is_room() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    sender = threading.Thread(target=channel.put, args=(2,))
    sender.start()
    time.sleep(0.05)
    assert sender.is_alive()
    assert (channel.get(), channel.get(1)) == (1, 2)
    sender.join(1)
    assert channel.drops == 0


def test_a_dropping_channel_keeps_the_newest_and_counts_the_others() -> None:
    channel: Channel[int] = Channel(1, may_drop=lambda item: True)
    for item in range(5):
        channel.put(item)
    assert (channel.get(), channel.drops) == (4, 4)


def test_what_may_not_be_dropped_stays_and_the_new_item_goes() -> None:
    channel: Channel[int] = Channel(1, may_drop=lambda item: item > 0)
    channel.put(-1)
    assert channel.put(1)
    assert (channel.get(), channel.drops, channel.get(0.0)) == (-1, 1, None)


def test_what_may_not_be_dropped_takes_the_place_of_what_may() -> None:
    channel: Channel[int] = Channel(1, may_drop=lambda item: item > 0)
    channel.put(1)
    channel.put(-1)
    assert (channel.get(), channel.drops) == (-1, 1)


def test_a_second_item_that_may_not_be_dropped_waits_for_room() -> None:
    channel: Channel[int] = Channel(1, may_drop=lambda item: item > 0)
    channel.put(-1)
    sender = threading.Thread(target=channel.put, args=(-2,))
    sender.start()
    time.sleep(0.05)
    assert sender.is_alive()
    assert (channel.get(), channel.get(1), channel.drops) == (-1, -2, 0)
    sender.join(1)


def test_nothing_in_time_is_none() -> None:
    channel: Channel[int] = Channel(1)
    started_s = time.monotonic()
    assert channel.get(0.05) is None
    assert 0.04 < time.monotonic() - started_s < 1
    assert not channel.finished


def test_a_closed_channel_takes_nothing_and_gives_what_it_has() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.close()
    assert not channel.put(2)
    assert not channel.finished
    assert (channel.get(), channel.get(), channel.finished) == (1, None, True)


def test_an_aborted_channel_gives_nothing_any_more() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.abort()
    assert (channel.get(), channel.finished) == (None, True)


@pytest.mark.parametrize("blocked", ["put", "get", "wait_for_room"])
def test_closing_wakes_whoever_waits(blocked: str) -> None:
    channel: Channel[int] = Channel(1)
    if blocked != "get":
        channel.put(1)
    work = {"put": lambda: channel.put(2), "get": channel.get, "wait_for_room": channel.wait_for_room}[blocked]
    waiting = threading.Thread(target=work, daemon=True)
    waiting.start()
    time.sleep(0.02)
    channel.close()
    waiting.join(1)
    assert not waiting.is_alive()
