"""Evidence of the whole frame: how unlike the good images its pooled features are, whatever any one position shows.

Pooled features are the mean and the deviation of each channel over the frame. Their distance is Mahalanobis' under a
Gaussian with shrunk covariance, in a form that leaves out any image exactly: with x̃ = (1, x), x in deviations of the
reference images, and all known images x_j,

    h(x) = x̃ᵀ (κ I + Σ_j x̃_j x̃_jᵀ)⁻¹ x̃,   evidence √h(x).

h is the leverage of ridge regression. Without shrinkage it is 1/n + d²/(n − 1) with d Mahalanobis' distance; κ stands
for so many more images that vary alike in all directions, and does what Ledoit and Wolf's shrinkage does (J. Multivar.
Anal. 2004): on the even images of four sets its image AUROC is within 0.005 of theirs. One more image can only lower h,
since it adds to the matrix that is inverted. And an image that is known itself has h/(1 − h) without it (Sherman and
Morrison 1950). Theirs has neither property, which the proof of a threshold by left-out images needs
(`calibration.threshold`).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from calibration.statistics import Leverage, fit_leverage


@dataclass(frozen=True)
class ImageEvidence:
    """What good images show of the pooled features, in float64, and how the evidence of good images varies."""

    centre: Tensor  # [P], of the reference images
    deviation: Tensor  # [P]
    whitening: Tensor  # [P + 1, P + 1]: h = ‖W x̃‖²
    evidence_mean: float  # of √h over reference images, each left out
    evidence_deviation: float  # likewise, and more of few images (`DOUBT`)

    def whitened(self, features: Tensor) -> Tensor:
        """z = W x̃ [N, P + 1] of pooled features [N, P]: h is their squares' sum."""
        return _extended(features, self.centre, self.deviation) @ self.whitening.T

    def raw(self, features: Tensor) -> Tensor:
        """Raw evidence √h [N] of pooled features [N, P]."""
        return self.whitened(features).square().sum(dim=1).sqrt()

    @property
    def constants(self) -> dict[str, Tensor]:
        """The graph's constants of image evidence by name; see `runtime.recipe.CONSTANTS`."""
        centre, deviation, whitening = (each.numpy() for each in (self.centre, self.deviation, self.whitening))
        fitted = Leverage(centre, deviation, whitening, self.evidence_mean, self.evidence_deviation)
        return {name: torch.from_numpy(value) for name, value in fitted.constants.items()}

    def score(self, features: Tensor) -> Tensor:
        """Evidence [N] of pooled features [N, P] in deviations from what good images show."""
        return (self.raw(features) - self.evidence_mean) / self.evidence_deviation


def fit_image_evidence(features: Tensor, reference: slice) -> ImageEvidence:
    """Of the pooled features [n, P] of all known images, some of which are the `reference`, two or more."""
    found = fit_leverage(features.cpu().numpy(), reference)
    centre, deviation, whitening = map(torch.from_numpy, (found.centre, found.deviation, found.whitening))
    return ImageEvidence(centre, deviation, whitening, found.evidence_mean, found.evidence_deviation)


def left_out(known: Tensor) -> Tensor:
    """√h of images without themselves, [N], from the h of images that are known."""
    return (known / (1 - known)).sqrt()


def left_out_as_seen(known: Tensor, seen: Tensor) -> Tensor:
    """√h of images without themselves, [N], as something of less precision sees them: by x' in place of x.

    From z = W x̃ of the images as they are known, [N, P + 1], and `seen` from z' of x'. What is known of the others is
    as it was, so that h is ‖z'‖² + (z · z')² / (1 − ‖z‖²), which is `left_out` for x' = x.
    """
    own, crossed = known.square().sum(dim=1), (known * seen).sum(dim=1)
    return (seen.square().sum(dim=1) + crossed.square() / (1 - own)).sqrt()


def _extended(features: Tensor, centre: Tensor, deviation: Tensor) -> Tensor:
    x = (features.to(centre) - centre) / deviation
    return torch.cat([torch.ones_like(x[:, :1]), x], dim=1)


def image_evidence_from(tensors: dict[str, Tensor]) -> ImageEvidence:
    """What `vars` of an `ImageEvidence` gave, each as a tensor. Raises `TypeError` for other names."""
    values: dict[str, Any] = {name: float(value) if value.ndim == 0 else value for name, value in tensors.items()}
    return ImageEvidence(**values)
