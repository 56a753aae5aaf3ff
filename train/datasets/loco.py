"""MVTec LOCO AD (Bergmann et al., IJCV 2022): logical and structural anomalies.

::

    DATA/train/good/…                                     good parts to train on
    DATA/validation/good/…                                more good parts, not read here
    DATA/test/good/…                                      good parts
    DATA/test/logical_anomalies/NAME.png                  defective ones, of two kinds
    DATA/test/structural_anomalies/NAME.png
    DATA/ground_truth/KIND/NAME/000.png, 001.png, …       a mask for each anomaly in the image
    DATA/defects_config.json                              pixel value and saturation of each anomaly, not read here

The mask of an image is the union of its files, whatever their pixel values. The authors measure sPRO, in which a
region counts as found in full once a saturation area is covered, an area that ``defects_config.json`` gives for each
anomaly: any one of two missing pushpins' places will do, say. That is not done here. AU-PRO on the union takes each
connected component for a region and asks for all of it, so it comes out lower than AU-sPRO and must not be compared
with the authors' tables. Image AUROC is the same figure as theirs, by kind.
"""

from pathlib import Path

from runtime.errors import InputError
from runtime.images import list_images
from train.datasets.images import TestImage
from train.datasets.layout import Layout, by_stem, defects_in, folder_in, good, listed, subfolders

KINDS = ("logical_anomalies", "structural_anomalies")
EXPECTED = (
    f"MVTec LOCO AD layout: train/good, test/good, test/{KINDS[0]} or test/{KINDS[1]}, ground_truth/KIND/NAME/000.png"
)


def _recognises(data: Path) -> bool:
    return (data / "defects_config.json").is_file() or any((data / "test" / kind).is_dir() for kind in KINDS)


def _training(data: Path) -> list[Path]:
    return listed(data, "train/good", EXPECTED)


def _test(data: Path) -> list[TestImage]:
    folder = folder_in(data, "test/good", EXPECTED)
    images = good(list_images(folder))
    for kind in defects_in(folder.parent):
        images += _anomalous(kind, data / "ground_truth" / kind.name)
    return images


def _anomalous(folder: Path, masks: Path) -> list[TestImage]:
    images = by_stem(list_images(folder))
    for path in images.values():
        if not any((masks / path.stem).glob("*.png")):
            raise InputError(f"{path} has no mask; expected one file or more in {masks / path.stem}")
    orphans = [path for path in subfolders(masks) if path.name not in images]
    if orphans:
        raise InputError(f"{orphans[0]} has no image in {folder}; restore the image or remove the masks")
    return [TestImage(path, True, folder.name, masks / path.stem) for path in images.values()]


LAYOUT = Layout("loco", "MVTec LOCO AD", _recognises, _training, _test)
