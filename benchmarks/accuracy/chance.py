"""Is a detector better than one that draws its scores at random?

Of n good and m defective images whose scores come from one distribution, each order is as likely as any other. How
many of the n m pairs are in the wrong order (Mann and Whitney, Ann. Math. Statist. 1947) then has a known distribution:
that of the sizes of partitions into n parts of at most m, with the generating function Π (1 − q^(m+i)) / (1 − q^i),
i = 1 … n. The image AUROC is the share of all other pairs. Where both classes have many images it is about normal, with
the mean 1/2 and the variance (n + m + 1) / (12 n m). A detector is *no better than chance*, as far as these images can
tell, unless chance reaches its AUROC in 1 of 40 such sets at most. The fewer images, the less they can tell: random
scores tell 3 and 3 apart in 1 of 20 sets. Where masks are known, a map of random pixels finds as much of each defect as
of the rest: its AU-PRO up to a share a of false-positive pixels is a / 2, 0.15 for 30 %.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.accuracy.evaluation import Accuracy

CHANCE = 1 / 40  # one-sided 2.5 %: the lower end of a 95 % interval lies at chance
DEVIATIONS = 1.96  # beyond which a normal distribution has so much
MANY = 20  # images of each class, from which on the AUROC counts as normal
AU_PRO_30 = 0.15
ROUNDED = 1e-9  # of an AUROC


def auroc_at_random(good: int, defective: int) -> float:
    """The highest image AUROC that random scores of so many images reach more often than once in 40 sets."""
    return _reached(good, defective)[0]


def no_better_than_chance(accuracy: "Accuracy") -> str | None:
    """A loud sentence on a detector whose figures a random one could have; None for any other."""
    good, defective = accuracy.false_rejects.total, accuracy.detected.total
    limit, share = _reached(good, defective)
    images = f"{good} good and {defective} defective images"
    said = []
    if accuracy.image_auroc <= limit + ROUNDED:
        reached = f"reach {limit:.3f}" if limit < 1 else "tell them all apart"
        said.append(
            f"image AUROC {accuracy.image_auroc:.4f} of {images}, while scores drawn at random {reached} in 1 of "
            f"{1 / share:.0f} such sets"
        )
    if accuracy.au_pro_30 is not None and accuracy.au_pro_30 <= AU_PRO_30:
        said.append(f"AU-PRO to 30 % FPR {accuracy.au_pro_30:.4f}, while a random map has {AU_PRO_30}")
    if not said:
        return None
    advice = "do not run a line with it" if limit < 1 else "test with more images before you rely on it"
    return f"NO BETTER THAN CHANCE: {'; '.join(said)}; {advice}"


@lru_cache
def _reached(good: int, defective: int) -> tuple[float, float]:
    """That AUROC, and the share of sets that reach it."""
    if min(good, defective) >= MANY:
        return 0.5 + DEVIATIONS * math.sqrt((good + defective + 1) / (12 * good * defective)), CHANCE
    at_most = np.cumsum(_wrong_pairs(min(good, defective), max(good, defective)))
    wrong = int(np.argmax(at_most > CHANCE))
    return 1 - wrong / (good * defective), float(at_most[wrong])


def _wrong_pairs(few: int, many: int) -> NDArray[np.float64]:
    """The chances of 0, 1, 2, … pairs in the wrong order, up to half of all; the others mirror them."""
    length = few * many // 2 + 1
    counts = np.zeros(length)
    counts[0] = 1
    for factor in range(1, few + 1):
        padded = np.pad(counts, (0, -length % factor))
        counts = padded.reshape(-1, factor).cumsum(axis=0).reshape(-1)[:length]
        counts[many + factor :] -= counts[: max(length - many - factor, 0)].copy()
    return counts / math.comb(few + many, few)
