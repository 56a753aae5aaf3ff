"""Is a detector better than one that draws its scores at random?

Of n good and m defective images whose scores come from one distribution, the image AUROC has the mean 1/2 and the
variance (n + m + 1) / (12 n m) (Mann and Whitney, Ann. Math. Statist. 1947), so that in 1 of 40 such sets it lies above
1/2 + 1.96 of its deviations. A detector that does not lie above that is *no better than chance* as far as these images
can tell, and the fewer they are, the less they can. Where masks are known, a map of random pixels finds as much of each
defect as of the rest: its AU-PRO up to a share a of false-positive pixels is a / 2, 0.15 for 30 %.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.accuracy.evaluation import Accuracy

DEVIATIONS = 1.96  # one-sided 2.5 %: the lower end of a 95 % interval lies at chance
AU_PRO_30 = 0.15


def auroc_at_random(good: int, defective: int) -> float:
    """The image AUROC that random scores of so many images exceed once in 40 sets; more than 1 for very few images."""
    return 0.5 + DEVIATIONS * math.sqrt((good + defective + 1) / (12 * good * defective))


def no_better_than_chance(accuracy: "Accuracy") -> str | None:
    """A loud sentence on a detector whose figures a random one could have; None for any other."""
    good, defective = accuracy.false_rejects.total, accuracy.detected.total
    limit = auroc_at_random(good, defective)
    images = f"{good} good and {defective} defective images"
    said = []
    if accuracy.image_auroc <= limit:
        reached = f"reach {limit:.3f}" if limit < 1 else "tell them all apart"
        said.append(
            f"image AUROC {accuracy.image_auroc:.4f} of {images}, while scores drawn at random {reached} in 1 of 40 "
            "such sets"
        )
    if accuracy.au_pro_30 is not None and accuracy.au_pro_30 <= AU_PRO_30:
        said.append(f"AU-PRO to 30 % FPR {accuracy.au_pro_30:.4f}, while a random map has {AU_PRO_30}")
    if not said:
        return None
    advice = "do not run a line with it" if limit < 1 else "test with more images before you rely on it"
    return f"NO BETTER THAN CHANCE: {'; '.join(said)}; {advice}"
