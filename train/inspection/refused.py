"""Images that a detector of the others would refuse before it scores them: blurred, or without a part in view.

The limits are those of the detector (`runtime.sharpness`, `runtime.likeness`), from the others alone: the worst images
are left out, up to a tenth of all, and those stand out that the limits of the rest refuse. So a few that were taken in
one bad minute do not vouch for each other. A detector that is trained on such images does not refuse their like.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.likeness import centred, left_out_likeness, likeness, likeness_limit
from runtime.sharpness import DIRECTIONS, sharpness_limits
from train.inspection.measure import Measurement
from train.inspection.quality import Finding

MOST = 0.1  # share of the images that may be left out


def find_refused(measured: Sequence[Measurement]) -> Iterator[Finding]:
    """Images without a part, and other blurred ones, each once."""
    empty = list(_without_part(np.stack([each.pattern for each in measured])))
    yield from empty
    named = {index for index, *_ in empty}
    yield from (finding for finding in _blurred(measured) if finding[0] not in named)


def _blurred(measured: Sequence[Measurement]) -> Iterator[Finding]:
    found = np.array([each.fine for each in measured])
    named = set[int]()
    for direction, words in enumerate(DIRECTIONS):
        order = np.argsort(found[:, direction])
        for count in range(int(MOST * len(order)), 0, -1):
            worst, others = order[:count], order[count:]
            limit = sharpness_limits([(value, value) for value in found[others, direction]])[0]
            if found[worst[-1], direction] < limit:
                for index in map(int, worst):
                    value = found[index, direction]
                    if index not in named:
                        named.add(index)
                        reason = f"blurred: sharpness {words} is {value:.3g}, the others allow {limit:.3g} or more"
                        yield index, "blurred", reason, float(np.log(limit / max(value, 1e-6)))
                break


def _without_part(patterns: NDArray[np.float32]) -> Iterator[Finding]:
    order = np.argsort(left_out_likeness(patterns))
    for count in range(int(MOST * len(order)), 0, -1):
        worst, others = order[:count], order[count:]
        limit, typical = likeness_limit(patterns[others])
        if not limit:
            continue
        alike = likeness(centred(patterns[worst]), centred(np.array(typical)))
        if (alike < limit).all():
            for index, value in zip(map(int, worst), alike, strict=True):
                reason = f"no part in view: likeness to the others is {value:.2f}, they allow {limit:.2f} or more"
                yield index, "empty", reason, float(limit - value)
            return
