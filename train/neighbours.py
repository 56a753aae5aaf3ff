"""Exact nearest neighbours in plain PyTorch, a chunk of queries at a time."""

import torch
from torch import Tensor

CHUNK_BYTES = 64 << 20  # of the distances of one chunk


def nearest(queries: Tensor, bank: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Euclidean distances [n, k] and indices [n, k] of the k nearest of `bank` [m, d] to `queries` [n, d], nearest
    first; k is `count`, or m where the bank is smaller."""
    count = min(count, len(bank))
    rows = max(1, CHUNK_BYTES // (4 * len(bank)))
    mean = bank.mean(dim=0)  # far from the origin, the squares below would drown the differences
    bank = bank - mean
    found = [_nearest(chunk, bank, count) for chunk in torch.split(queries - mean, rows)]
    return torch.cat([distances for distances, _ in found]), torch.cat([indices for _, indices in found])


def _nearest(queries: Tensor, bank: Tensor, count: int) -> tuple[Tensor, Tensor]:
    squares = bank.square().sum(dim=1) - 2 * queries @ bank.T  # less the query's own square: the order is the same
    indices = squares.topk(count, dim=1, largest=False).indices
    # the difference of squares cancels where neighbours are near, so the distances that count are taken again
    distances = torch.stack([(queries - bank[column]).norm(dim=1) for column in indices.T], dim=1)
    order = distances.argsort(dim=1, stable=True)
    return distances.gather(1, order), indices.gather(1, order)
