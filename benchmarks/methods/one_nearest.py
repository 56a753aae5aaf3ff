"""1-NN: the distance to the nearest good descriptor (*Uninformed Students*, CVPR 2020, Tables 1 and 2).

After PCA to 95 % of the variance. Ours: how many descriptors the bank keeps (`samples`), and that
every fourth position of a frame is scored (`stride`), since a stride of 1 takes sixteen times as long.

The paper's text was not at hand: the 95 % are those of Bergmann et al. (*MVTec AD*, CVPR 2019, section 4.1.3) for the
feature dictionary.
"""

from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.methods.base import Scores, Setting, fitted
from benchmarks.methods.descriptors import Reduced, VectorModel, Vectors
from train.neighbours import nearest


@dataclass(frozen=True)
class Options:
    """Options of 1-NN."""

    samples: int = 50_000  # descriptors in the bank
    stride: int = 4  # every s-th position is scored
    explained: float = 0.95  # share of the variance that PCA keeps


class NearestVector:
    """Distance to the nearest vector of the bank."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.bank: torch.Tensor | None = None

    def fit(self, vectors: Vectors) -> None:
        """See `VectorModel`."""
        self.bank = torch.from_numpy(vectors).to(self.device)

    def scores(self, vectors: Vectors) -> Scores:
        """See `VectorModel`."""
        distances, _ = nearest(torch.from_numpy(vectors).to(self.device), fitted(self.bank), 1)
        return np.asarray(distances[:, 0].cpu().numpy(), np.float32)


def model(options: Options, setting: Setting) -> VectorModel:
    """The model of descriptors; the registry applies it to frames."""
    return Reduced(NearestVector(setting.device), options.explained)
