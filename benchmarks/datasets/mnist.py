"""MNIST (LeCun et al., 1998): digits, 28×28 pixels, as an .npz file or as its four IDX files.

An IDX file is two zero bytes, the type (8: unsigned bytes), the number of dimensions, each size as a big-endian
32-bit integer, and the values, last index fastest. The files may be gzipped, as distributed, or unpacked.
"""

import gzip
import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

KEYS = ("train_images", "train_labels", "test_images", "test_labels")
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
Arrays = tuple[NDArray[np.uint8], ...]  # images [n, H, W] and classes [n] to train on, and the same to test on


def read_npz(path: Path) -> Arrays:
    """The arrays of an .npz file; pickled ones are refused. Raises `InputError` unless all four are there and fit."""
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file]
            if missing:
                raise InputError(f"{path} has no {', '.join(missing)}; expected {', '.join(KEYS)}")
            return _checked(tuple(file[key] for key in KEYS), path)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is no .npz file of arrays without pickles ({error}); copy it again") from error


def read_idx(folder: Path) -> Arrays:
    """The arrays of the four IDX files in `folder`. Raises `InputError` for one that is missing or damaged."""
    return _checked(tuple(_read_idx(_find(folder, name)) for name in FILES), folder)


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


def _checked(arrays: tuple[NDArray[np.generic], ...], source: Path) -> Arrays:
    for images, classes in (arrays[:2], arrays[2:]):
        if images.ndim != 3 or classes.shape != images.shape[:1]:
            raise InputError(
                f"{source} holds images {images.shape} and labels {classes.shape}; expected [n, H, W], [n]"
            )
        if images.dtype != np.uint8 or classes.dtype.kind not in "iu":
            raise InputError(f"{source} holds {images.dtype} images, {classes.dtype} labels; expected uint8, integers")
    return tuple(np.asarray(array, np.uint8) for array in arrays)
