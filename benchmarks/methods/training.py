"""The one training loop of the compared networks: seeded weights, seeded order, Adam or SGD."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter
from tqdm import tqdm

from runtime.errors import InputError
from train.seeds import generator

# uses of `train.seeds.generator`; those below 100 are the product's
WEIGHTS, ORDER, SAMPLE, NOISE, PATCHES, PROJECTION, SEARCH, SPLIT, CHANNELS = range(100, 109)


@contextmanager
def seeded(seed: int, *where: int) -> Iterator[None]:
    """PyTorch's global random state, which weight initialization and dropout draw from, is that of a use within."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(generator(seed, *where).initial_seed())
        yield


def batches(count: int, batch_size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Indices int64 [batch_size] into `count` samples for each step; every epoch is a permutation of its own."""
    order = torch.empty(0, dtype=torch.int64)
    epoch = 0
    for _ in range(steps):
        while len(order) < batch_size:
            order = torch.cat([order, torch.randperm(count, generator=generator(seed, ORDER, epoch))])
            epoch += 1
        yield order[:batch_size]
        order = order[batch_size:]


def minimize(
    loss_of: Callable[[Tensor, int], Tensor],
    parameters: Iterable[Parameter],
    count: int,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    momentum: float | None = None,
    seed: int,
    name: str,
) -> None:
    """Adam on `loss_of(indices, step)`, or SGD where a momentum is given, with a progress bar.

    Raises `InputError` for a loss that is no number.
    """
    if steps < 1 or batch_size < 1 or learning_rate <= 0:
        raise InputError(
            f"{name} got {steps} steps of {batch_size} samples at a learning rate of {learning_rate};"
            " expected all three above 0"
        )
    optimizer: torch.optim.Optimizer
    if momentum is None:
        optimizer = torch.optim.Adam(list(parameters), learning_rate, betas, weight_decay=weight_decay)
    else:
        optimizer = torch.optim.SGD(list(parameters), learning_rate, momentum, weight_decay=weight_decay)
    drawn = batches(count, batch_size, steps, seed)
    for step, indices in enumerate(tqdm(drawn, name, total=steps, unit="step", leave=False, disable=None)):
        loss = loss_of(indices, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    if not torch.isfinite(loss):
        raise InputError(f"{name} diverged: its last loss is {loss.item()}; use a smaller learning rate")
