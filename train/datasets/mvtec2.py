"""MVTec AD 2 (Heckler-Kram et al., 2025).

::

    DATA/train/good/…                                     good parts to train on
    DATA/validation/good/…                                more good parts, not read here
    DATA/test_public/good/…                               good parts
    DATA/test_public/bad/NAME.png                         defective ones, of any kind
    DATA/test_public/ground_truth/bad/NAME_mask.png       what is defective
    DATA/test_private, DATA/test_private_mixed            for the authors' server: no labels, so not read here

Without any mask only image-level figures can be measured. Figures on ``test_public`` are not those of the authors'
leaderboard, which come from the private sets.
"""

from pathlib import Path

from train.datasets.images import TestImage
from train.datasets.layout import Layout, good, has_masks, listed, masked_if_any

EXPECTED = (
    "MVTec AD 2 layout: train/good, test_public/good, test_public/bad, test_public/ground_truth/bad/NAME_mask.png"
)


def _recognises(data: Path) -> bool:
    return (data / "test_public").is_dir()


def _training(data: Path) -> list[Path]:
    return listed(data, "train/good", EXPECTED)


def _test(data: Path) -> list[TestImage]:
    bad = listed(data, "test_public/bad", EXPECTED)
    masks = data / "test_public" / "ground_truth"
    defective = masked_if_any(bad, masks / "bad", "bad", "_mask", has_masks(masks))
    return good(listed(data, "test_public/good", EXPECTED)) + defective


LAYOUT = Layout("mvtec2", "MVTec AD 2", _recognises, _training, _test)
