"""MNIST (LeCun et al., 1998): digits, 28×28 pixels, as its four IDX files.

An IDX file is two zero bytes, the type (8: unsigned bytes), the number of dimensions, each size as a big-endian
32-bit integer, and the values, last index fastest. The files may be gzipped, as distributed, or unpacked.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def read_idx(folder: Path) -> tuple[NDArray[np.uint8], ...]:
    """Images [n, H, W] and classes [n] to train on, and the same to test on.

    Raises `InputError` for a file that is missing or damaged; whether numbers and shapes fit is left to the caller.
    """
    return tuple(_read_idx(_find(folder, name)) for name in FILES)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise InputError(f"{folder} has no {name}.gz; expected the four files {', '.join(f'{file}.gz' for file in FILES)}")


def _read_idx(path: Path) -> NDArray[np.uint8]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be unpacked ({error}); download it again") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise InputError(f"{path} begins with {data[:4].hex() or 'nothing'}; expected an IDX file of bytes, 000008…")
    start = 4 + 4 * data[3]
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4))
    if len(data) != start + math.prod(shape):
        raise InputError(f"{path} holds {len(data)} bytes; expected {start + math.prod(shape)} for {shape} values")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()
