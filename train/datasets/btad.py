"""BTAD, beanTech Anomaly Detection (Mishra et al., ISIE 2021).

::

    DATA/train/ok/…                    good parts to train on
    DATA/test/ok/…                     good parts
    DATA/test/ko/NAME.bmp              defective ones
    DATA/ground_truth/ko/NAME.png      what is defective; images and masks are PNG or BMP, by category
"""

from pathlib import Path

from train.datasets.images import TestImage
from train.datasets.layout import Layout, good, listed, masked

EXPECTED = "BTAD layout: train/ok, test/ok, test/ko, ground_truth/ko/NAME.png or .bmp"


def _recognises(data: Path) -> bool:
    return any((data / name).is_dir() for name in ("train/ok", "test/ok", "test/ko"))


def _training(data: Path) -> list[Path]:
    return listed(data, "train/ok", EXPECTED)


def _test(data: Path) -> list[TestImage]:
    bad = listed(data, "test/ko", EXPECTED)
    return good(listed(data, "test/ok", EXPECTED)) + masked(bad, data / "ground_truth" / "ko", "ko")


LAYOUT = Layout("btad", "BTAD", _recognises, _training, _test)
