"""Random state as a function of the seed and the use: nothing to save, and a resumed run draws what it would have."""

import numpy as np
import torch

# one number for each use, so that no two uses share their draws
TEACHER_STEP, TEACHER_HELD_OUT, PHOTOGRAPH_SPLIT, STUDENT_WEIGHTS, STUDENT_ORDER, STUDENT_STEP = range(6)
STUDENT_PHOTOGRAPHS = 6
CORESET_FIRST, CORESET_PROJECTION = 102, 105  # the numbers that compared methods used before


def generator(seed: int, *where: int) -> torch.Generator:
    """A CPU generator for one use, named by integers: ``generator(seed, TEACHER_STEP, iteration)``."""
    state = np.random.SeedSequence([seed, *where]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))
