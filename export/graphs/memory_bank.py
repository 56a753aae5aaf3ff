"""The evidence of a memory bank as a graph: distances from one matrix product, in float32."""

from torch import Tensor, nn
from torch.nn import functional

from calibration.methods.memory_bank import MemoryBankRun
from export.folding import FoldedNetwork
from train.dense import FORMS, Form, descriptors_of_padded, forms_differ, reflect_padded


class MemoryBankEvidence(nn.Module):
    """See `export.graphs.EvidenceGraph`.

    The nearest b has the least ‖b‖² − 2·q·b. Both are taken from the bank's mean, far from which the squares would
    drown the differences. They cancel where b is near, so ‖q − b‖ is computed anew from the nearest, as the plain
    formula does (`train.neighbours`). No TopK over the bank: an index of the minimum does, and every engine has it.
    """

    bank: Tensor
    squares: Tensor
    mean: Tensor

    def __init__(self, network: FoldedNetwork, bank: Tensor, stride: int, form: Form) -> None:
        super().__init__()
        self.network, self.stride, self.form = network, stride, form
        mean = bank.mean(dim=0)
        centred = bank - mean
        self.register_buffer("mean", mean)
        self.register_buffer("bank", centred)  # [m, 128]
        self.register_buffer("squares", centred.square().sum(dim=1))  # [m]

    def forward(self, pixels: Tensor) -> Tensor:
        """See `EvidenceGraph`."""
        padded = reflect_padded(self.network.layers, pixels, self.stride)
        descriptors = descriptors_of_padded(self.network, padded, self.stride, self.form, pixels.shape)
        vectors = descriptors.permute(0, 2, 3, 1) - self.mean  # [N, h, w, 128]
        nearest = functional.embedding(((-2 * vectors) @ self.bank.T + self.squares).argmin(dim=3), self.bank)
        return (vectors - nearest).square().sum(dim=3).sqrt()[:, None]


def evidence_graph(trained: MemoryBankRun, form: Form, half: bool) -> MemoryBankEvidence:
    """See `export.graphs.evidence_graph`."""
    network = FoldedNetwork(trained.memory.network, half).finished()
    return MemoryBankEvidence(network, trained.memory.bank, trained.stride, form)


def different_forms(trained: MemoryBankRun) -> tuple[Form, ...]:
    """See `export.graphs.different_forms`."""
    return FORMS if forms_differ(trained.memory.network.layers, trained.stride) else FORMS[:1]
