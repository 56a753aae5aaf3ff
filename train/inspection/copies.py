"""Copies: an image that is there twice, as a file, or nearly so as a picture.

Nearly means that brightness apart, small pictures of both differ by less than a few grey levels, and far less than the
folder's images usually differ from one another: parts under one camera all look alike. Candidates are found by the low
frequencies of a cosine transform, as perceptual hashes do, but by their values: of parts that lie alike the usual signs
all agree. The transform keeps distances, so what it leaves out can only make pictures differ more: no copy is missed.
A part that was moved between two shots, and a mirrored or cropped picture, is no copy here.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

FREQUENCIES = 16  # each way
LARGEST_DIFFERENCE = 3.0  # grey levels, root mean square
LARGEST_SHARE = 0.2  # of the usual difference of two images
SAME_PART = 1.0  # always a copy: a part shot twice at VGA, noise of 5 grey levels, differs by 0.8; two parts by 4
PAIRS = 2000  # drawn to learn the usual difference
ROWS = 512  # compared at a time


def find_copies(pictures: NDArray[np.uint8]) -> Iterator[tuple[int, int, float]]:
    """Of grey [n, S, S]: a copy, the first image that it is a copy of, and their difference, root mean square.

    Every image is named at most once as a copy, in order.
    """
    if len(pictures) < 2:
        return
    hashes = np.stack([_low_frequencies(picture) for picture in pictures])  # [n, F]
    limit = _limit(pictures)
    for start in range(0, len(hashes), ROWS):
        rows = hashes[start : start + ROWS]
        near = _distances(rows, hashes[: start + len(rows)]) <= limit + 0.1  # the products round
        for row, earlier in enumerate(near):
            index = start + row
            for other in np.flatnonzero(earlier[:index]):
                difference = _difference(pictures[index], pictures[other])
                if difference <= limit:
                    yield index, int(other), difference
                    break


def same_file(one: Path, other: Path) -> bool:
    """Whether two files hold the same bytes."""
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


def _low_frequencies(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Low frequencies but for the mean, scaled so that their distance is one in grey levels, root mean square."""
    transform = cv2.dct(picture.astype(np.float32)) / np.sqrt(picture.size)
    return np.asarray(transform[:FREQUENCIES, :FREQUENCIES].ravel()[1:], np.float32)


def _limit(pictures: NDArray[np.uint8]) -> float:
    """The largest difference of copies in this folder."""
    rng = np.random.default_rng(0)
    ones = rng.integers(0, len(pictures), PAIRS)
    others = (ones + rng.integers(1, len(pictures), PAIRS)) % len(pictures)
    pairs = [_difference(pictures[i], pictures[j]) for i, j in zip(ones, others, strict=True)]
    return max(SAME_PART, min(LARGEST_DIFFERENCE, LARGEST_SHARE * float(np.median(pairs))))


def _difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float((one.astype(np.float32) - other).std())


def _distances(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.square(rows).sum(axis=1)[:, None] - 2 * (rows @ columns.T) + np.square(columns).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares, 0)), np.float32)
