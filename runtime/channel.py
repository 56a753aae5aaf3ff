"""A bounded queue between two threads, which either side can close."""

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """Hands items from one thread to another in order, never more than `size` at a time.

    Without `may_drop`, `put` waits for room: the sender runs at the receiver's pace. With it, `put` makes room by
    dropping the oldest item that `may_drop` allows, which is counted in `drops`; if it allows none of those that wait,
    the new one goes, or waits when it may not be dropped either.
    """

    def __init__(self, size: int, may_drop: Callable[[T], bool] | None = None) -> None:
        self.drops = 0
        self._size, self._may_drop = size, may_drop
        self._items: deque[T] = deque()
        self._closed = False
        self._changed = Condition()

    def put(self, item: T) -> bool:
        """Hand `item` over, as soon as there is room. False when the channel is closed: nobody will take it."""
        with self._changed:
            if not self._closed and len(self._items) >= self._size and self._may_drop and not self._drop_one(item):
                return True
            self._changed.wait_for(self._has_room_or_closed)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def wait_for_room(self) -> bool:
        """Wait until `put` would not wait. False when the channel is closed."""
        with self._changed:
            if self._may_drop is None:
                self._changed.wait_for(self._has_room_or_closed)
            return not self._closed

    def get(self, timeout_s: float | None = None) -> T | None:
        """The next item, or None when none came within `timeout_s` (None: no limit) or the channel is `finished`."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            if not self._items:
                return None
            self._changed.notify_all()
            return self._items.popleft()

    @property
    def finished(self) -> bool:
        """Whether the channel is closed and empty, so that nothing will ever come."""
        with self._changed:
            return self._closed and not self._items

    def close(self) -> None:
        """Take no more items; those that wait can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Take no more items and discard those that wait."""
        with self._changed:
            self._items.clear()
            self.close()

    def _has_room_or_closed(self) -> bool:
        return self._closed or len(self._items) < self._size

    def _drop_one(self, incoming: T) -> bool:
        """Drop the oldest item that may be; whether `incoming` is still to be put."""
        may_drop = self._may_drop
        assert may_drop is not None
        victim = next((at for at, item in enumerate(self._items) if may_drop(item)), None)
        if victim is not None:
            del self._items[victim]
        elif not may_drop(incoming):
            return True
        self.drops += 1
        return victim is not None
