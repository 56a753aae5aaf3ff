"""The learning rate as a function of the step, so that a resumed run needs no scheduler state."""

import math


def learning_rate(base: float, schedule: str, step: int, steps: int) -> float:
    """`base` throughout (the paper), or half a cosine from `base` towards zero over `steps`."""
    if schedule == "constant":
        return base
    return base * (1 + math.cos(math.pi * step / steps)) / 2
