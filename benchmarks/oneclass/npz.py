"""MNIST or CIFAR-10 as one ``.npz`` file, the form in which Keras and others hand them on.

It holds ``x_train``, ``y_train``, ``x_test``, ``y_test``, or ``train_images``, ``train_labels``, ``test_images``,
``test_labels``: images uint8 [n, H, W], or [n, H, W, 3] in RGB, and labels, integers [n] or [n, 1].
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

NAMES = (("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels"))
# what NumPy and zipfile raise for a file that is damaged, is no .npz, or needs pickles
UNREADABLE = (
    OSError, ValueError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read_npz(path: Path) -> tuple[NDArray[Any], ...]:
    """Images (colours in BGR) and labels [n] to train on, and the same to test on; pickles are refused unread.

    Raises `InputError` for a file that is damaged or lacks one of the four arrays, and leaves the rest to the caller.
    """
    try:
        # opened here, since NumPy leaves a damaged file open
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = next((names for names in NAMES if set(names) <= set(file.files)), None)
            if names is None:
                raise InputError(f"{path} holds {', '.join(file.files)}; expected {', '.join(NAMES[0])}")
            train, train_labels, test, test_labels = (file[name] for name in names)
    except UNREADABLE as error:
        raise InputError(f"{path} is no .npz file of arrays without pickles ({error}); copy it again") from error
    return _as_bgr(train), train_labels.reshape(-1), _as_bgr(test), test_labels.reshape(-1)  # CIFAR-10's are [n, 1]


def _as_bgr(images: NDArray[Any]) -> NDArray[Any]:
    return images[:, :, :, ::-1] if images.ndim == 4 else images
