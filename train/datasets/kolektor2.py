"""KolektorSDD2 (Božič et al., Computers in Industry 2021): a production line's surfaces, all masked.

::

    DATA/train/10000.png, DATA/train/10000_GT.png, …       an image and what is defective in it, black for a good one
    DATA/test/20000.png, DATA/test/20000_GT.png, …

Labels are in the masks alone, so every mask is read. One-class methods train on the good images of ``train``; its 246
defective ones are left aside. The published archive holds a stray copy of one pair (``10301 (copy).png`` and
``10301_GT (copy).png``, whose mask would pass for an image); names other than digits are therefore left out.
"""

from pathlib import Path

from runtime.errors import InputError
from train.datasets.images import TestImage
from train.datasets.kolektor import by_mask
from train.datasets.layout import Layout, contents, folder_in, good

EXPECTED = "KolektorSDD2 layout: train/10000.png, train/10000_GT.png, …, test/20000.png, test/20000_GT.png, …"


def _recognises(data: Path) -> bool:
    return any((data / "test").glob("*_GT.png")) or any((data / "train").glob("*_GT.png"))


def _training(data: Path) -> list[Path]:
    return by_mask(_pairs(data, "train"))[0]


def _test(data: Path) -> list[TestImage]:
    fine, defective = by_mask(_pairs(data, "test"))
    return good(fine) + defective


def _pairs(data: Path, part: str) -> list[tuple[Path, Path]]:
    folder = folder_in(data, part, EXPECTED)
    images = sorted(path for path in folder.glob("*.png") if path.stem.isdecimal())
    if not images:
        raise InputError(f"{folder} has no image named by a number; expected the {EXPECTED}; {contents(folder)}")
    for image in images:
        if not _mask(image).is_file():
            raise InputError(f"{image} has no mask; expected {_mask(image)}, black all over for a good surface")
    return [(image, _mask(image)) for image in images]


def _mask(image: Path) -> Path:
    return image.with_name(f"{image.stem}_GT.png")


LAYOUT = Layout("ksdd2", "KolektorSDD2", _recognises, _training, _test)
