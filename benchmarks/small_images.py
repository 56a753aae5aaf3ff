"""Labelled small images, such as MNIST or CIFAR-10, from one file of arrays.

The file is an ``.npz`` of ``x_train``, ``y_train``, ``x_test``, ``y_test`` (or ``train_images``, ``train_labels``,
``test_images``, ``test_labels``): images uint8 [n, H, W], or [n, H, W, 3] in RGB, and labels, integers [n] or [n, 1].
It is read without pickles.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

NAMES = (("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels"))


@dataclass(frozen=True)
class SmallImages:
    """Images by class, uint8 [n, H, W, 3], BGR, with their labels [n]."""

    train: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test: NDArray[np.uint8]
    test_labels: NDArray[np.int64]

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


def read_small_images(path: Path) -> SmallImages:
    """Read an ``.npz`` file. Raises `InputError` for one that is missing, damaged, or holds other arrays."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = next((names for names in NAMES if set(names) <= set(file.files)), None)
            if names is None:
                raise InputError(f"{path} holds {', '.join(file.files)}; expected {', '.join(NAMES[0])}")
            arrays = [file[name] for name in names]
    except (OSError, ValueError, EOFError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as an .npz file of plain arrays; check the path") from error
    train, test = (_as_bgr(array, path) for array in (arrays[0], arrays[2]))
    labels = [np.asarray(array).reshape(-1) for array in (arrays[1], arrays[3])]  # CIFAR-10's are [n, 1]
    for images, given in zip((train, test), labels, strict=True):
        if len(images) != len(given) or not np.issubdtype(given.dtype, np.integer):
            raise InputError(
                f"{path} has {len(images)} images and {len(given)} {given.dtype} labels; expected integers"
            )
    return SmallImages(train, labels[0].astype(np.int64), test, labels[1].astype(np.int64))


def _as_bgr(images: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
        raise InputError(
            f"{path} has {images.dtype} images of shape {list(images.shape)}; expected uint8 [n, H, W] or [n, H, W, 3]"
        )
    if images.ndim == 3:
        return np.repeat(images[:, :, :, None], 3, axis=3)
    return np.ascontiguousarray(images[:, :, :, ::-1])


def _first_of_each(labels: NDArray[np.int64], limit: int | None) -> NDArray[np.int64]:
    if limit is None:
        return np.arange(len(labels))
    return np.sort(np.concatenate([np.flatnonzero(labels == kind)[:limit] for kind in np.unique(labels)]))
