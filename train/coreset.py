"""A greedy coreset: the few vectors of a bank that leave no other far away."""

import torch
from torch import Tensor
from tqdm import tqdm

from train.neighbours import nearest
from train.seeds import CORESET_FIRST, CORESET_PROJECTION, generator


def greedy_coreset(
    vectors: Tensor, count: int, seed: int, projected: int | None = 128, beside: Tensor | None = None
) -> Tensor:
    """Indices int64 [count] of a minimax facility location of `vectors` [m, d] (Roth et al., CVPR 2022, algorithm 1).

    Each next vector is the one farthest from all chosen before. Distances are taken after a random linear projection to
    `projected` dimensions (None: none; 128 in the authors' code). The first one, which the paper leaves open, is drawn;
    the code takes the one that is farthest, in the mean, from ten that are drawn. All of a bank that holds no more than
    `count`; fewer than `count` where every other vector equals a chosen one, but for rounding.

    With vectors [b, d] `beside` them, which are kept already, the first one is farthest from these, too, and nothing is
    projected.
    """
    if count >= len(vectors):
        return torch.arange(len(vectors), device=vectors.device)
    points = vectors if beside is not None else _projected(vectors, projected, seed)
    points = points - points.mean(dim=0)  # no distance changes, and squares that are subtracted below stay small
    squares = points.square().sum(dim=1)
    nothing = 8 * torch.finfo(points.dtype).eps * squares.max()  # what rounding leaves of squares that cancel
    if beside is None:
        chosen = [int(torch.randint(len(points), (1,), generator=generator(seed, CORESET_FIRST)))]
        distances = _squared(points, squares, chosen[0])
    else:
        chosen, distances = [], nearest(vectors, beside, 1)[0][:, 0].square()
    for _ in tqdm(range(count - len(chosen)), "coreset", unit="vector", leave=False, disable=None):
        farthest = int(distances.argmax())
        if distances[farthest] <= nothing:
            break  # or one vector would be chosen again and again
        chosen.append(farthest)
        distances = torch.minimum(distances, _squared(points, squares, chosen[-1]))
    return torch.tensor(chosen, dtype=torch.int64, device=vectors.device)


def _projected(vectors: Tensor, dimensions: int | None, seed: int) -> Tensor:
    if dimensions is None or dimensions >= vectors.shape[1]:
        return vectors
    matrix = torch.randn(vectors.shape[1], dimensions, generator=generator(seed, CORESET_PROJECTION)) / dimensions**0.5
    projected: Tensor = vectors @ matrix.to(vectors)
    return projected


def _squared(points: Tensor, squares: Tensor, index: int) -> Tensor:
    """Squared distances [m] to one point: ‖a‖² + ‖b‖² − 2·a·b, which reads the bank once and writes no copy of it."""
    distances: Tensor = squares + squares[index] - 2 * (points @ points[index])
    distances[index] = 0
    return distances
