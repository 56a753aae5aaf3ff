"""The evidence of a memory bank as a graph: distances from one matrix product, in float32."""

import copy

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from calibration.methods.memory_bank import MemoryBankRun
from export.folding import FoldedBackbone
from export.graphs import FAR
from train.backbones.features import Features, descriptors, stage_names
from train.dense import Form

MEMORY = "squares"  # see `export.graphs.memory_name`
GROUP = 64  # members whose least distance is found first: a minimum is cheap, its index is not
NOBODY = -1  # owns the rows that fill the last group


class MemoryBankEvidence(nn.Module):
    """See `export.graphs.EvidenceGraph`.

    The nearest b has the least ‖b‖² − 2·q·b. Both are taken from the bank's mean, far from which the squares would
    drown the differences. They cancel where b is near, so ‖q − b‖ is computed anew from the nearest, as the plain
    formula does (`train.neighbours`). No TopK over the bank: an index of the minimum does, and every engine has it.
    """

    bank: Tensor
    squares: Tensor
    mean: Tensor

    def __init__(self, features: Features, bank: Tensor, half: bool) -> None:
        super().__init__()
        self.network = FoldedBackbone(features, half)
        self.compared, self.pooled = features.compared, features.pooled
        self.pooling = copy.deepcopy(features.pooling) if features.pooled else None
        self.step = self.narrow = max(stage.stride for stage in (*features.compared, *features.pooled))
        mean, missing = bank.mean(dim=0), -len(bank) % GROUP
        centred = bank - mean
        self.register_buffer("mean", mean)
        self.register_buffer("bank", functional.pad(centred, (0, 0, 0, missing)))  # [m, D]
        self.register_buffer("squares", functional.pad(centred.square().sum(dim=1), (0, missing), value=FAR))  # [m]

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See `EvidenceGraph`."""
        maps = self.network(pixels, stage_names(self.compared, self.pooled))
        vectors = descriptors(maps, self.compared).permute(0, 2, 3, 1) - self.mean  # [N, h, w, D]
        distances = functional.linear(-2 * vectors.flatten(0, 2), self.bank, self.squares)  # less ‖q‖²: same order
        nearest = functional.embedding(least(distances), self.bank).view(vectors.shape)
        evidence = (vectors - nearest).square().sum(dim=3).sqrt()[:, None]
        return evidence, [maps[stage.name] for stage in self.pooled]


def least(distances: Tensor) -> Tensor:
    """The index of the least of each row, [n] of [n, m]; m is a multiple of GROUP."""
    grouped = distances.view(-1, distances.shape[1] // GROUP, GROUP)
    group = grouped.amin(dim=2).argmin(dim=1, keepdim=True)  # [n, 1]
    inside = grouped.gather(1, group[:, :, None].expand(-1, -1, GROUP))[:, 0]
    return group[:, 0] * GROUP + inside.argmin(dim=1)


def evidence_graph(trained: MemoryBankRun, form: Form, half: bool) -> MemoryBankEvidence:
    """See `export.graphs.evidence_graph`."""
    return MemoryBankEvidence(trained.features, trained.memory.bank, half)


def different_forms(trained: MemoryBankRun) -> tuple[Form, ...]:
    """See `export.graphs.different_forms`. A backbone has its natural stride: nothing is evaluated densely."""
    return ()


def members(trained: MemoryBankRun) -> dict[str, NDArray[np.bool_]]:
    """See `export.graphs.members`."""
    owners = trained.memory.owners.cpu().numpy()
    owners = np.append(owners, np.full(-len(owners) % GROUP, NOBODY, owners.dtype))
    return {picture: owners == number for number, picture in enumerate(trained.memory.pictures)}
