"""KolektorSDD (Tabernik et al., JIM 2020): commutators, all masked, unsplit for one-class methods.

::

    DATA/kos01/Part0.jpg               one surface of one commutator
    DATA/kos01/Part0_label.bmp         what is defective; black all over for a good surface
    …
    DATA/kos50/Part7.jpg

Labels are in the masks alone, so every mask is read. The authors split for supervised methods; for one-class methods
`train.data.set_apart` keeps one good image in five for the test, by content (anomalib draws 20 % at random, so figures
differ a little by the split). The authors leave kos21/Part7 out of their figures, without saying why, and so does this
reader.
"""

from pathlib import Path

from tqdm import tqdm

from runtime.errors import InputError
from train.data import set_apart
from train.datasets.images import TestImage, marks_a_defect
from train.datasets.layout import Layout, contents, good

LEFT_OUT = ("kos21", "Part7")
EXPECTED = "KolektorSDD layout: kos01/Part0.jpg, kos01/Part0_label.bmp, …"


def _recognises(data: Path) -> bool:
    return any(path.is_dir() for path in data.glob("kos[0-9]*"))


def _training(data: Path) -> list[Path]:
    return set_apart(by_mask(_pairs(data))[0])[0]


def _test(data: Path) -> list[TestImage]:
    fine, defective = by_mask(_pairs(data))
    return good(set_apart(fine)[1]) + defective


def by_mask(pairs: list[tuple[Path, Path]]) -> tuple[list[Path], list[TestImage]]:
    """Good images, and defective ones with their masks, as the masks tell. Reads every mask."""
    fine, defective = [], []
    for image, mask in tqdm(pairs, "masks", unit="mask", leave=False, disable=None):
        if marks_a_defect(mask):
            defective.append(TestImage(image, True, "defect", mask))
        else:
            fine.append(image)
    return fine, defective


def _pairs(data: Path) -> list[tuple[Path, Path]]:
    images = sorted(path for path in data.glob("kos[0-9]*/*.jpg") if (path.parent.name, path.stem) != LEFT_OUT)
    if not images:
        raise InputError(f"{data} has no kos01/Part0.jpg or the like; expected the {EXPECTED}; {contents(data)}")
    return [(image, _mask(image)) for image in images]


def _mask(image: Path) -> Path:
    mask = image.with_name(f"{image.stem}_label.bmp")
    if not mask.is_file():
        raise InputError(f"{image} has no mask; expected {mask}, black all over for a good surface")
    return mask


LAYOUT = Layout("ksdd", "KolektorSDD", _recognises, _training, _test)
