"""OC-SVM: a one-class support vector machine (Schölkopf et al. 2001) over descriptors (*Uninformed Students*, CVPR
2020, Tables 1 and 2).

After PCA to 95 % of the variance. Ours: the kernel (radial, its width from the variance of the vectors), ν, the number
of descriptors it is fitted on (its time grows with the square of that), and the stride.

The paper's text was not at hand: the 95 % are those of Bergmann et al. (*MVTec AD*, CVPR 2019, section 4.1.3) for the
feature dictionary.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.methods.base import Scores, Setting, fitted
from benchmarks.methods.descriptors import Reduced, VectorModel, Vectors
from runtime.errors import InputError


@dataclass(frozen=True)
class Options:
    """Options of the OC-SVM."""

    samples: int = 5_000  # descriptors it is fitted on
    stride: int = 8  # every s-th position is scored
    explained: float = 0.95  # share of the variance that PCA keeps
    nu: float = 0.1  # most of the good descriptors that may lie outside


class OneClassSupport:
    """The distance outside the boundary, the negated decision function. It has no random part."""

    def __init__(self, nu: float) -> None:
        if not 0 < nu <= 1:
            raise InputError(f"nu is {nu}; expected a share above 0, at most 1")
        self.nu = nu
        self.machine: Any = None

    def fit(self, vectors: Vectors) -> None:
        """See `VectorModel`."""
        from sklearn.svm import OneClassSVM

        self.machine = OneClassSVM(kernel="rbf", gamma="scale", nu=self.nu).fit(vectors)

    def scores(self, vectors: Vectors) -> Scores:
        """See `VectorModel`."""
        return np.asarray(-fitted(self.machine).decision_function(vectors), np.float32)


def model(options: Options, setting: Setting) -> VectorModel:
    """The model of descriptors; the registry applies it to frames."""
    return Reduced(OneClassSupport(options.nu), options.explained)
