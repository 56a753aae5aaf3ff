"""Classes of small images as one-class sets: one class is normal, every other one anomalous.

The protocol of Ruff et al. (Deep SVDD, ICML 2018): train on the training images of the normal class, test on all test
images. These sets say how methods rank against published tables; they have no defects, and nothing to localize.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import cifar, mnist
from benchmarks.datasets.layout import contents
from runtime.errors import InputError

CLASSES = 10  # of either set


class OneClass(NamedTuple):
    """`train` and `test` are uint8 [n, H, W] in grey or [n, H, W, 3] in BGR; `labels` is bool [m], true for anomalous
    test images. The arrays belong to the caller."""

    train: NDArray[np.uint8]
    test: NDArray[np.uint8]
    labels: NDArray[np.bool_]


def read_one_class(data: Path, normal: int) -> OneClass:
    """The one-class set in which class `normal`, 0 to 9, is the normal one.

    `data` is MNIST as an .npz file or a folder of its four IDX files, or a folder of CIFAR-10's binary version. Raises
    `InputError` for anything else, and for a damaged file.
    """
    if not 0 <= normal < CLASSES:
        raise InputError(f"the normal class is {normal}; expected 0 to {CLASSES - 1}")
    train, train_classes, test, test_classes = _read(data)
    chosen = train_classes == normal
    if not chosen.any() or not (test_classes == normal).any():
        raise InputError(f"{data} holds no image of class {normal} to train or to test on; expected the whole set")
    return OneClass(train[chosen], test, np.asarray(test_classes != normal))


def _read(data: Path) -> tuple[NDArray[np.uint8], ...]:
    if data.is_file():
        return mnist.read_npz(data)
    if any(data.glob("*idx3-ubyte*")):
        return mnist.read_idx(data)
    if cifar.is_there(data):
        return cifar.read_binary(data)
    raise InputError(
        f"{data} is neither MNIST (an .npz file, or a folder of train-images-idx3-ubyte.gz and the like) nor CIFAR-10's"
        f" binary version (a folder of data_batch_1.bin and the like); {contents(data)}"
    )
