"""Descriptors in two dimensions, for the eye alone: no figure is measured on it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

Method = Literal["tsne", "pca"]
MOST_PERPLEXITY = 30.0  # of van der Maaten and Hinton's (JMLR 2008) range 5 to 50


@dataclass(frozen=True)
class Embedding:
    """Points [N, 2], and in words how they came about, for the picture to say."""

    points: NDArray[np.float64]
    described: str


def embed(vectors: NDArray[np.floating], method: Method, seed: int = 0) -> Embedding:
    """Vectors [N, D] in two dimensions, by t-SNE (scikit-learn) or by their two principal components.

    t-SNE keeps neighbours and nothing else: distances between groups, their sizes and the axes mean nothing. Principal
    components keep the axes of largest variance and say how much of it they show. Raises `InputError` for fewer than
    four vectors, or values that are not finite.
    """
    values = np.asarray(vectors, np.float64)
    if values.ndim != 2 or len(values) < 4:
        raise InputError(f"vectors of shape {values.shape} cannot be embedded; expected four or more, [N, D]")
    if not np.isfinite(values).all():
        raise InputError("vectors to embed hold values that are not finite; check the networks that made them")
    return _tsne(values, seed) if method == "tsne" else _principal_components(values)


def _principal_components(values: NDArray[np.float64]) -> Embedding:
    centred = values - values.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(values), 2))
    kept = min(2, len(singular))
    points[:, :kept] = left[:, :kept] * singular[:kept]
    total = float(np.square(singular).sum())
    share = float(np.square(singular[:2]).sum()) / total if total else 1.0
    return Embedding(points, f"two principal components, {100 * share:.0f} % of the variance")


def _tsne(values: NDArray[np.float64], seed: int) -> Embedding:
    from sklearn.manifold import TSNE

    perplexity = min(MOST_PERPLEXITY, (len(values) - 1) / 3)
    found = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)
    return Embedding(np.asarray(found, np.float64), f"t-SNE, perplexity {perplexity:.3g}")
