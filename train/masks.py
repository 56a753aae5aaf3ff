"""Masks of defects: files in which what is not black is defective, read so that the marked area is right.

A mask has two levels: black, and one that is not. Accepted are, in any file that `runtime.images` reads:

- two levels of any brightness or colour, 0 and 1 as much as 0 and 255, palettes and 16 bits among them;
- *labels*: grey values of at most `LARGEST_LABEL`, where 0 is good and 1, 2, … are kinds of defect;
- two levels that a lossy file or a smoothed edge has blurred, as long as that leaves the area in no doubt: a pixel is
  defective above half of the brightest value, and the area above a quarter of it and the area above three quarters
  may differ by at most `LARGEST_DOUBT` of that above half.

Anything else is refused: a map of probabilities, a thin line that was smoothed away, levels that contradict each other.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError
from runtime.images import read_image

LARGEST_LABEL = 31
LARGEST_DOUBT = 0.2  # of the area: it is right within a tenth then, since about as much lies to either side of half
LARGEST_COVER = 0.5  # share of a picture; a mask that marks more is inverted, or marks the part and not its defect
NAMES_SHOWN = 3


def read_mask(path: Path) -> NDArray[np.bool_]:
    """A mask file as bool [H, W], true where defective; all false where it is black all over.

    Raises `ImageError` for a file that cannot be read, or whose levels leave in doubt what is marked.
    """
    values = read_image(path).max(axis=2)
    brightest = int(values.max())
    if brightest <= LARGEST_LABEL:
        return np.asarray(values > 0)
    quarter, half, three_quarters = (int((values > share * brightest).sum()) for share in (0.25, 0.5, 0.75))
    if quarter - three_quarters > LARGEST_DOUBT * half:
        between = int(((values > 0) & (values < brightest)).sum())
        raise ImageError(
            f"{path} is no mask of two levels: {between:,} pixels lie between 0 and {brightest}, and as one takes it "
            f"{three_quarters:,} to {quarter:,} are marked; save it as PNG with 0 for good and 255 for defective, "
            "without smooth edges"
        )
    return np.asarray(values > 0.5 * brightest)


def describe_cover(covers: Sequence[tuple[str, float]]) -> str | None:
    """A sentence on masks that mark implausibly much, from the name and the marked share of each; None without any."""
    suspects = [(name, share) for name, share in covers if share > LARGEST_COVER]
    if not suspects:
        return None
    named = ", ".join(f"{name} {100 * share:.3g} %" for name, share in suspects[:NAMES_SHOWN])
    more = f" and {len(suspects) - NAMES_SHOWN} more" if len(suspects) > NAMES_SHOWN else ""
    return (
        f"{len(suspects)} of {len(covers)} masks mark more than half of their picture ({named}{more}); are they "
        "inverted? What is not black must be the defect"
    )
