"""CIFAR-10 (Krizhevsky, 2009), the binary version: 32×32 pixels, ten classes.

A file is records of 3,073 bytes: the class, then the red, the green and the blue plane, row by row. The version for
Python is pickles, which can run any code when they are read; they are refused.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE  # bytes
TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = "test_batch.bin"


def is_there(folder: Path) -> bool:
    """Whether a folder looks like CIFAR-10, in either version."""
    return any((folder / name).exists() for name in (*TRAINING, TEST, "data_batch_1", "test_batch"))


def read_binary(folder: Path) -> tuple[NDArray[np.uint8], ...]:
    """Images, uint8 [n, 32, 32, 3] in BGR, and classes, uint8 [n], to train on, and the same to test on.

    Raises `InputError` for the pickled version, and for a file that is missing or damaged.
    """
    for name in (*TRAINING, TEST):
        if not (folder / name).is_file():
            raise InputError(_absent(folder, name))
    images, classes = zip(*(_read(folder / name) for name in TRAINING), strict=True)
    return np.concatenate(images), np.concatenate(classes), *_read(folder / TEST)


def _absent(folder: Path, name: str) -> str:
    if (folder / name.removesuffix(".bin")).is_file():
        return (
            f"{folder} holds CIFAR-10 as pickles, which can run code when they are read; download the binary version,"
            " cifar-10-binary.tar.gz, from https://www.cs.toronto.edu/~kriz/cifar.html"
        )
    return f"{folder} has no {name}; expected {TRAINING[0]} to {TRAINING[-1]} and {TEST}"


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    data = np.fromfile(path, np.uint8)
    if data.size == 0 or data.size % RECORD:
        raise InputError(f"{path} holds {data.size} bytes; expected a multiple of {RECORD}, so download it again")
    records = data.reshape(-1, RECORD)
    classes = records[:, 0]
    if classes.max() > 9:
        raise InputError(f"{path} names class {classes.max()}; expected 0 to 9, as in CIFAR-10's binary version")
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)[:, ::-1]  # BGR
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), classes.copy()
