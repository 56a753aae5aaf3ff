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

PRIOR_IMAGES = 20.0  # κ; of 1 to 300, chosen on even images
# the deviation of evidence is taken to be larger by this over √r of r reference images: of few it is hardly known, and
# their frames differ in more ways than they show. Of 30 tiles the image AUROC then stays within 0.006 of the map's, in
# place of 0.025 (even images, three draws), and of all tiles it loses 0.003. Of fewer than FEW images it is not known:
# with 5 transistors for reference it cost the map 0.14 of its image AUROC
DOUBT, FEW = 4.0, 15
# of a feature's deviation, relative to the mean of all: a channel that no reference image excites would else decide
# alone, by less than the graph's float32 can tell. Of ten images or more of four sets no backbone's feature is below it
FLOOR = 1e-2


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

    def score(self, features: Tensor) -> Tensor:
        """Evidence [N] of pooled features [N, P] in deviations from what good images show."""
        return (self.raw(features) - self.evidence_mean) / self.evidence_deviation


def fit_image_evidence(features: Tensor, reference: slice) -> ImageEvidence:
    """Of the pooled features [n, P] of all known images, some of which are the `reference`, two or more."""
    features = features.double()
    chosen = features[reference]
    centre, deviation = chosen.mean(dim=0), chosen.std(dim=0)
    deviation = deviation.clamp(min=max(FLOOR * float(deviation.mean()), 1e-12))
    known = _extended(features, centre, deviation)
    matrix = known.T @ known + PRIOR_IMAGES * torch.eye(known.shape[1], dtype=known.dtype)
    # matrix = L Lᵀ, so that h = ‖L⁻¹ x̃‖²
    whitening = torch.linalg.solve_triangular(
        torch.linalg.cholesky(matrix), torch.eye(len(matrix), dtype=matrix.dtype), upper=False
    )
    evidence = left_out((known @ whitening.T).square().sum(dim=1))[reference]
    count = len(evidence)
    doubt = DOUBT / count**0.5 * max(1.0, FEW / count) ** 2
    spread = float(evidence.std().clamp(min=1e-9)) * (1 + doubt)
    return ImageEvidence(centre, deviation, whitening, float(evidence.mean()), spread)


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
