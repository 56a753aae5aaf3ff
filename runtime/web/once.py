"""What is asked of a large file with each look at the page: found out once, and again when the file was changed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SETTLED_NS = 2 * 10**9  # within the grain of a file system's clock, two changes look like one


def once_per_change(found_in: Callable[[Path], T]) -> Callable[[Path], T]:
    """`found_in`, asked again only of a file that is another one, or was written to, since the last time.

    From any thread. Raises `OSError` for a file that is not there, and what `found_in` raises.
    """
    kept: dict[Path, tuple[tuple[int, ...], T]] = {}

    def found(path: Path) -> T:
        stat = path.stat()
        state = stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
        known = kept.get(path)
        if known is not None and known[0] == state:
            return known[1]
        value = found_in(path)
        if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > SETTLED_NS:
            kept[path] = state, value
        return value

    return found
