"""A plain folder of good and bad images, as one has them before anybody has a data set.

::

    DATA/good/…                  good parts
    DATA/bad/NAME.png            defective ones
    DATA/masks/NAME.png          optional: what is defective (NAME_mask.png will do, too)

Nobody has split the good images, so `train.data.set_apart` does, by content: one in five is for the test, whatever else
is in the folder, and ``python -m train --data DATA`` trains on the others. A detector that was trained on ``DATA/good``
itself has seen the test's good images, and figures on them would flatter it (`train.datasets.seen`). Without ``masks``
only image-level figures can be measured; with it, every bad image needs one.
"""

from pathlib import Path

from train.data import set_apart
from train.datasets.images import TestImage
from train.datasets.layout import Layout, good, listed, masked

EXPECTED = "plain layout: good, bad, and masks/NAME.png where there are masks"


def _recognises(data: Path) -> bool:
    return (data / "good").is_dir() or (data / "bad").is_dir()


def _training(data: Path) -> list[Path]:
    return set_apart(listed(data, "good", EXPECTED))[0]


def _test(data: Path) -> list[TestImage]:
    bad = listed(data, "bad", EXPECTED)
    images = good(set_apart(listed(data, "good", EXPECTED))[1])
    masks = data / "masks"
    if not masks.is_dir():
        return images + [TestImage(path, True, "bad", None) for path in bad]
    return images + masked(bad, masks, "bad", "_mask" if any(masks.glob("*_mask.*")) else "")


LAYOUT = Layout("plain", "plain folder", _recognises, _training, _test)
