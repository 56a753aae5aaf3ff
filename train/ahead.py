"""Work done one step ahead, in a thread of its own, while the GPU is busy with the step before."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(make: Callable[[int], T], steps: range) -> Iterator[T]:
    """`make(step)` of every step, in order; while the caller works with one, the next is made.

    What `make` raises is raised here, at its own step. `make` must depend on its step alone: then the results are those
    of a plain loop, wherever it begins.
    """
    with ThreadPoolExecutor(1, "ahead") as pool:
        upcoming = pool.submit(make, steps[0]) if steps else None
        for step in steps:
            assert upcoming is not None
            made = upcoming.result()
            if step != steps[-1]:
                upcoming = pool.submit(make, step + steps.step)
            yield made
