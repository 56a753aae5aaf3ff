"""What each kind of evidence saw: the terms whose weighted sum is the anomaly map."""

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Output
from runtime.recipe import Recipe


def normalized_evidence(recipe: Recipe, output: Output) -> NDArray[np.float32] | None:
    """Evidence of each kind in deviations from what good images show (equation 11), float32 [n, K, H, W].

    In the order of the recipe's `method.evidence`. None where the file does not explain itself.
    """
    if output.evidence is not None:
        mean, deviation = (
            np.array([getattr(kind, name) for kind in recipe.method.evidence], np.float32)[:, None, None]
            for name in ("mean", "deviation")
        )
        return np.asarray((output.evidence - mean) / deviation, np.float32)
    if output.regression_error is None:
        return None
    if output.predictive_variance is None:
        return output.regression_error
    pairs = np.stack([output.regression_error, output.predictive_variance], axis=2)  # [n, L, 2, H, W]
    return pairs.reshape(len(pairs), -1, *pairs.shape[3:])
