"""MVTec AD (Bergmann et al., CVPR 2019), the layout that many later sets share.

::

    DATA/train/good/…                             good parts to train on
    DATA/test/good/…                              good parts
    DATA/test/DEFECT/NAME.png                     defective ones, a folder for each kind
    DATA/ground_truth/DEFECT/NAME_mask.png        what is defective
"""

from pathlib import Path

from runtime.images import list_images
from train.datasets.images import GOOD, TestImage
from train.datasets.layout import Layout, defects_in, folder_in, good, listed, masked

EXPECTED = "MVTec AD layout: train/good, test/good, test/DEFECT, ground_truth/DEFECT/NAME_mask.png"


def _recognises(data: Path) -> bool:
    return (data / "test").is_dir() or (data / "train" / GOOD).is_dir()


def _training(data: Path) -> list[Path]:
    return listed(data, "train/good", EXPECTED)


def _test(data: Path) -> list[TestImage]:
    folder = folder_in(data, "test/good", EXPECTED)
    defects = defects_in(folder.parent)
    images = good(list_images(folder))
    for defect in defects:
        images += masked(list_images(defect), data / "ground_truth" / defect.name, defect.name, "_mask")
    return images


LAYOUT = Layout("mvtec", "MVTec AD", _recognises, _training, _test)
