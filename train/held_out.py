"""How good a teacher is, on patches of photographs that it was never trained on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from train.losses import triplet_distances
from train.networks import PatchNetwork
from train.patches import Triplets

CHUNK, CHUNK_OF_VIEWS = 256, 8  # patches and views that go through a network at once


@dataclass(frozen=True)
class TripletMeasure:
    """`loss` is equation 2 without its weight; `confused` is the share of triplets with the positive farther than the
    negative, δ⁺ > δ⁻ (equations 3 and 4). The share is 0 at best and, unlike the loss, the same at any scale of the
    descriptors; random weights confuse far less than half, so compare with them."""

    loss: float
    confused: float


@torch.no_grad()
def described(network: Callable[[Tensor], Tensor], patches: Tensor, chunk: int = CHUNK) -> Tensor:
    """Descriptors [N, D] of patches [N, 3, p, p], a chunk at a time; of views, as many as they have positions."""
    return torch.cat([network(some).float() for some in torch.split(patches, chunk)])


def unexplained_variance(decoded: Tensor, target: Tensor) -> float:
    """Share of the variance of `target` [N, D] that `decoded` [N, D] misses: 0 at best, 1 for its own mean."""
    return float((decoded - target).square().sum() / (target - target.mean(dim=0)).square().sum())


def measure_triplets(teacher: PatchNetwork, triplets: Triplets, margin: float) -> TripletMeasure:
    """How well a teacher tells positives from negatives."""
    near, far = triplet_distances(*(described(teacher, patches) for patches in triplets))
    return TripletMeasure(float((margin + near - far).clamp(min=0).mean()), float((near > far).float().mean()))
