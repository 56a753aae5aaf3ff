"""K-Means: the distance to the nearest of ten cluster centres (*Uninformed Students*, CVPR 2020, Tables 1 and 2).

After PCA to 95 % of the variance, and K = 10. Ours: how many descriptors are clustered, three initializations of which
the best is kept, and the stride.

The paper's text was not at hand: the 95 % and ten centres are those of Bergmann et al. (*MVTec AD*, CVPR 2019, section
4.1.3) for the feature dictionary.
"""

from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.methods.base import Scores, Setting, fitted
from benchmarks.methods.descriptors import Reduced, VectorModel, Vectors
from runtime.errors import InputError
from train.neighbours import nearest

INITIALIZATIONS = 3


@dataclass(frozen=True)
class Options:
    """Options of K-Means."""

    clusters: int = 10
    samples: int = 50_000  # descriptors that are clustered
    stride: int = 4  # every s-th position is scored
    explained: float = 0.95  # share of the variance that PCA keeps


class NearestCentre:
    """Distance to the nearest cluster centre."""

    def __init__(self, clusters: int, seed: int) -> None:
        if clusters < 1:
            raise InputError(f"clusters is {clusters}; expected 1 or more")
        self.clusters, self.seed = clusters, seed
        self.centres: Vectors | None = None

    def fit(self, vectors: Vectors) -> None:
        """See `VectorModel`. Raises `InputError` for fewer vectors than clusters."""
        self.centres = cluster_centres(vectors, self.clusters, self.seed)

    def scores(self, vectors: Vectors) -> Scores:
        """See `VectorModel`."""
        distances, _ = nearest(torch.from_numpy(vectors), torch.from_numpy(fitted(self.centres)), 1)
        return np.asarray(distances[:, 0].numpy(), np.float32)


def cluster_centres(vectors: Vectors, clusters: int, seed: int) -> Vectors:
    """Centres float32 [K, d]. Raises `InputError` for fewer vectors than clusters."""
    from sklearn.cluster import KMeans

    if len(vectors) < clusters:
        raise InputError(f"{len(vectors)} descriptors cannot make {clusters} clusters; give more images or fewer")
    means = KMeans(clusters, n_init=INITIALIZATIONS, random_state=seed).fit(vectors)
    return np.asarray(means.cluster_centers_, np.float32)


def model(options: Options, setting: Setting) -> VectorModel:
    """The model of descriptors; the registry applies it to frames."""
    return Reduced(NearestCentre(options.clusters, setting.seed), options.explained)
