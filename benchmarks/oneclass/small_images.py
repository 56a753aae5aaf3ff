"""Classes of small images as one-class sets: one class is normal, every other one anomalous.

The protocol of Ruff et al. (Deep SVDD, ICML 2018): train on the training images of the normal class, test on all test
images. These sets say how methods rank against published tables; they have no defects, and nothing to localize.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.oneclass import cifar, mnist, npz
from runtime.errors import InputError
from train.datasets.layout import contents


@dataclass(frozen=True)
class SmallImages:
    """Images of all classes, uint8 [n, H, W, 3], BGR, with their labels [n]."""

    train: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test: NDArray[np.uint8]
    test_labels: NDArray[np.int64]

    def classes(self) -> tuple[int, ...]:
        """The classes that can be the normal one: there are images of them to train on and to test on."""
        return tuple(int(kind) for kind in np.intersect1d(self.train_labels, self.test_labels))

    def limited(self, train: int | None, test: int | None) -> "SmallImages":
        """The first `train` and `test` images of each class; None for all."""
        kept = _first_of_each(self.train_labels, train), _first_of_each(self.test_labels, test)
        return SmallImages(
            self.train[kept[0]], self.train_labels[kept[0]], self.test[kept[1]], self.test_labels[kept[1]]
        )

    def sha256(self) -> str:
        """Of all images and labels, in their order."""
        digest = hashlib.sha256()
        for array in (self.train, self.train_labels, self.test, self.test_labels):
            digest.update(f"{array.shape} ".encode() + array.tobytes())
        return digest.hexdigest()


def read_small_images(data: Path) -> SmallImages:
    """MNIST or CIFAR-10, in the order of their files.

    `data` is a folder of MNIST's four IDX files, a folder of CIFAR-10's binary version, or either set as an .npz file.
    Raises `InputError` for anything else, for a damaged file, and for images and labels that do not fit.
    """
    train, train_labels, test, test_labels = _read(data)
    for images, labels in ((train, train_labels), (test, test_labels)):
        _check(images, labels, data)
    if train.shape[1:] != test.shape[1:]:
        raise InputError(
            f"{data} has images of shape {list(train.shape[1:])} to train on and {list(test.shape[1:])} to test on;"
            " expected the same"
        )
    found = SmallImages(
        _in_colour(train), train_labels.astype(np.int64), _in_colour(test), test_labels.astype(np.int64)
    )
    if not found.classes() or len(np.unique(test_labels)) < 2:
        raise InputError(
            f"{data} has training images of classes {_listed(train_labels)}, test images of {_listed(test_labels)};"
            " expected two classes or more, the same in both"
        )
    return found


def _read(data: Path) -> tuple[NDArray[Any], ...]:
    if data.is_file():
        return npz.read_npz(data)
    if any(data.glob("*idx3-ubyte*")):
        return mnist.read_idx(data)
    if cifar.is_there(data):
        return cifar.read_binary(data)
    raise InputError(
        f"{data} is neither an .npz file, nor MNIST (a folder of train-images-idx3-ubyte.gz and the like), nor"
        f" CIFAR-10's binary version (a folder of data_batch_1.bin and the like); {contents(data)}"
    )


def _check(images: NDArray[Any], labels: NDArray[Any], data: Path) -> None:
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)) or not images.size:
        raise InputError(
            f"{data} has {images.dtype} images of shape {list(images.shape)}; expected uint8 [n, H, W] or [n, H, W, 3],"
            " none of them 0"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(
            f"{data} has {len(images)} images and {labels.size} {labels.dtype} labels; expected an integer for each"
        )


def _listed(labels: NDArray[Any]) -> str:
    return ", ".join(map(str, np.unique(labels)))


def _in_colour(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(images[:, :, :, None], 3, axis=3) if images.ndim == 3 else np.ascontiguousarray(images)


def _first_of_each(labels: NDArray[np.int64], limit: int | None) -> NDArray[np.int64]:
    if limit is None:
        return np.arange(len(labels))
    return np.sort(np.concatenate([np.flatnonzero(labels == kind)[:limit] for kind in np.unique(labels)]))
