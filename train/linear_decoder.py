"""The best linear decoder D from a teacher's descriptors to P's, in closed form."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

RIDGE = 1e-6  # of the mean eigenvalue: it only keeps dimensions that never vary from dividing by zero


@dataclass(frozen=True)
class LinearDecoder:
    """The paper's D (one fully connected layer), as least squares finds it."""

    weight: Tensor  # [d, D]
    input_mean: Tensor  # [d]
    output_mean: Tensor  # [D]

    @classmethod
    def fit(cls, descriptors: Tensor, target: Tensor) -> "LinearDecoder":
        """The decoder of least squared error from `descriptors` [N, d] to `target` [N, D]."""
        x, y = descriptors.double(), target.double()
        x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
        x, y = x - x_mean, y - y_mean
        gram = x.T @ x
        ridge = RIDGE * float(gram.diagonal().mean()) or 1.0  # all constant: nothing to decode, whatever the ridge
        identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        weight = torch.linalg.solve(gram + ridge * identity, x.T @ y)
        return cls(weight, x_mean, y_mean)

    @torch.no_grad()
    def fill(self, layer: nn.Linear) -> None:
        """Make `layer` compute the same."""
        layer.weight.copy_(self.weight.T)
        layer.bias.copy_(self.output_mean - self.input_mean @ self.weight)

    def __call__(self, descriptors: Tensor) -> Tensor:
        """Decoded descriptors, float64 [N, D]."""
        return (descriptors.double() - self.input_mean) @ self.weight + self.output_mean
