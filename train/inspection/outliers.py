"""Images unlike the others: what principal components of small pictures, learned without an image, leave of it.

The pictures are 32×32, each brought to one brightness. Their principal components (120 at most, half of the images at
most) are fitted to four fifths of the images and applied to the last fifth, in turn, so that no image explains itself;
an image far from the median weighs no more than a typical one. The score of an image is what remains of it, at each
pixel in units of what usually remains there, averaged over the three pixels where that is largest.

Chosen by trial: two to four defective parts were hidden among good ones (200 of the rendered line, 31 cookies, 400
magnetic tiles), and the probability taken that a defective one scores above a good one.

=======================================  ===============  ======  =============
                                         rendered line    cookie  magnetic tile
=======================================  ===============  ======  =============
this score                               0.99             0.93    0.92
pixelwise distances to the median        0.69             0.88    0.68
distances between blocks' statistics     0.65             0.91    not measured
statistics of the whole image            0.55             0.82    not measured
=======================================  ===============  ======  =============

The three others were tried on at most 150 good images. The number of images matters: 0.86 for the line with 30, 0.94
with 60, 0.97 with 100. Good photographs of the test sets, hidden in the same way, score no higher than the others (0.37
and 0.51), so it is the defect that tells. `tests/train/test_outliers.py` takes such figures again.

What it finds, by `inspector.OUTLYING`: another object, a part that is cropped or turned round, and defects of a few
hundredths of the image where a hundred parts or more lie alike. Of 200 parts of the rendered line and four defective
ones at a time, every chip, stain and missing hole stood out, five dents in six, six scratches in ten, and with them
1.2 % of the good parts. What it does not find: what is smaller than a thirtieth of the image's side, and defects of
things that differ among themselves. No broken cookie and 3 % of the defective tiles stood out; there the ranking alone
helps a little, with four of five hidden cookies among the first five of 33, and one of three hidden tiles among the
first five of 404. What many have is normal to it: of 160 parts and 16 turned round all those stood out, of 40 none did.
"""

import numpy as np
from numpy.typing import NDArray

from train.inspection.robust import GAUSSIAN, deviations_above

FEWEST = 12  # images, below which nothing is typical
COMPONENTS = 120
SHARE = 1 / 2  # of the images, as the most components
FOLDS = 5
MOST_FITTED = 1000  # images that components are fitted to, and medians taken over, evenly spread; bounds the cost
BRIGHTEST = 3  # pixels that make the score
LEAST_SPREAD = 0.05  # of the logarithm, so that a folder of nearly equal images has no outliers
FLOOR = 1.0  # grey levels added to what usually remains: less is rounding


def unusualness(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How many deviations each of [n, S, S, 3] is less typical than the median one, float64 [n]; and where it is most
    so, row and column, int64 [n, 2].

    Deviations are those of the logarithms of scores, which are less skewed. For `FEWEST` pictures or more. Takes 25 kB
    an image for a while.
    """
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat *= flat.mean() / np.maximum(flat.mean(axis=1, keepdims=True), 1)
    sample = np.unique(np.linspace(0, len(flat) - 1, MOST_FITTED).round().astype(int))
    flat -= np.median(flat[sample], axis=0)
    remaining = _remaining(flat)
    usual = np.median(np.abs(remaining[sample]), axis=0) * GAUSSIAN
    relative = (np.abs(remaining, out=remaining) / (usual + FLOOR)).reshape(pictures.shape).max(axis=3)
    by_pixel = relative.reshape(len(pictures), -1)
    scores = np.sort(by_pixel, axis=1)[:, -BRIGHTEST:].mean(axis=1, dtype=np.float64)
    peaks = np.stack(np.unravel_index(by_pixel.argmax(axis=1), pictures.shape[1:3]), axis=1)
    return deviations_above(np.log(scores + 0.01), LEAST_SPREAD), peaks


def _remaining(centred: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the components of the other folds leave of each row."""
    fold = np.random.default_rng(0).permutation(len(centred)) % FOLDS
    remaining = np.empty_like(centred)
    for number in range(FOLDS):
        others = centred[fold != number]
        axes = _components(others[:: -(-len(others) // MOST_FITTED)])
        held_out = centred[fold == number]
        remaining[fold == number] = held_out - (held_out @ axes) @ axes.T
    return remaining


def _components(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Principal axes of rows, as orthonormal columns, by way of the rows' products, which are fewer than pixels."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows * np.minimum(1, np.median(lengths) / np.maximum(lengths, 1e-6))
    values, vectors = np.linalg.eigh(rows @ rows.T)  # in ascending order
    chosen = slice(None, -1 - min(COMPONENTS, int(len(rows) * SHARE)), -1)
    values, vectors = values[chosen], vectors[:, chosen]
    real = values > 1e-6 * max(float(values[0]), 1e-6)
    return np.asarray((rows.T @ vectors[:, real]) / np.sqrt(values[real]), np.float32)
