"""BTAD, beanTech Anomaly Detection (Mishra et al., ISIE 2021).

::

    DATA/train/ok/…                    good parts to train on
    DATA/test/ok/…                     good parts
    DATA/test/ko/NAME.bmp              defective ones
    DATA/ground_truth/ko/NAME.png      what is defective; images and masks are PNG or BMP, by category

Without any mask, as people lay out their own parts, only image-level figures can be measured.
"""

from pathlib import Path

from train.datasets.images import TestImage
from train.datasets.layout import Layout, good, has_masks, listed, masked_if_any

EXPECTED = "BTAD layout: train/ok, test/ok, test/ko, ground_truth/ko/NAME.png or .bmp"


def _recognises(data: Path) -> bool:
    return any((data / name).is_dir() for name in ("train/ok", "test/ok", "test/ko"))


def _training(data: Path) -> list[Path]:
    return listed(data, "train/ok", EXPECTED)


def _test(data: Path) -> list[TestImage]:
    bad = listed(data, "test/ko", EXPECTED)
    masks = data / "ground_truth"
    defective = masked_if_any(bad, masks / "ko", "ko", "", has_masks(masks))
    return good(listed(data, "test/ok", EXPECTED)) + defective


LAYOUT = Layout("btad", "BTAD", _recognises, _training, _test)
