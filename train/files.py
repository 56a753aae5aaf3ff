"""Networks and checkpoints on disk: safetensors only, since opening a pickle can run code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from runtime.atomic import write_atomically
from runtime.errors import InputError
from train.networks import PATCH_SIZES, PatchNetwork


def save_network(
    path: Path,
    network: PatchNetwork,
    card: Mapping[str, object],
    half: bool = False,
    beside: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a patch network with its card (its shape, how it was made) and the tensors `beside` it.

    `half` stores the weights in FP16, which halves the file; the tensors beside keep their type.
    """
    dtype = torch.float16 if half else torch.float32
    tensors = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in network.state_dict().items()}
    beside = {f"beside.{name}": tensor.detach().cpu().contiguous() for name, tensor in (beside or {}).items()}
    shape = {"patch_size": network.patch_size, "width": network.width, "separable": network.separable}
    write_with_card(path, {**tensors, **beside}, {**card, **shape})


def load_network(path: Path) -> tuple[PatchNetwork, dict[str, Any], dict[str, Tensor]]:
    """A patch network in float32, its card, and the tensors beside it.

    Raises `InputError` for a file that is no patch network, or holds weights that are not finite.
    """
    tensors, card = read_with_card(path)
    patch_size = card.get("patch_size")
    if patch_size not in PATCH_SIZES:
        raise InputError(f"{path} is not a patch network: its patch size is {patch_size!r}")
    network = PatchNetwork(int(patch_size), float(card.get("width", 1.0)), bool(card.get("separable", False)))
    weights = {name: tensor.float() for name, tensor in tensors.items() if not name.startswith("beside.")}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} does not hold the layers of a p = {patch_size} network") from error
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise InputError(f"{path} holds weights that are not finite: its training diverged or it is damaged")
    beside = {name.removeprefix("beside."): t for name, t in tensors.items() if name.startswith("beside.")}
    return network, card, beside


def save_checkpoint(
    path: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer], progress: Mapping[str, object]
) -> None:
    """Write weights, optimizer state and progress, so that a killed run goes on as if it had not been.

    Random state and data order need no room: they are functions of the seed and the step (`train.seeds`).
    """
    tensors = {
        f"module.{name}.{key}": tensor.detach().cpu().contiguous()
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
    for name, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{name}.{index}.{k}": v.detach().cpu().contiguous() for k, v in state.items()}
    write_with_card(path, tensors, progress)


def load_checkpoint(
    path: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> dict[str, Any]:
    """Fill modules and optimizers from a checkpoint and return its progress. Raises `InputError` for a damaged one."""
    try:
        tensors, progress = read_with_card(path)
        for name, module in modules.items():
            prefix = f"module.{name}."
            module.load_state_dict({key: tensors[prefix + key] for key in module.state_dict()})
        for name, optimizer in optimizers.items():
            whole = optimizer.state_dict()
            whole["state"] = _optimizer_state(tensors, f"optimizer.{name}.")
            optimizer.load_state_dict(whole)
    except (InputError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} is damaged; delete it, and the training it is of starts anew") from error
    return progress


def _optimizer_state(tensors: Mapping[str, Tensor], prefix: str) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            index, key = name.removeprefix(prefix).split(".")
            state.setdefault(int(index), {})[key] = tensor
    return state


def write_with_card(path: Path, tensors: dict[str, Tensor], card: Mapping[str, object]) -> None:
    """Write contiguous tensors on the CPU, and a JSON document beside them."""
    write_atomically(path, save(tensors, metadata={"card": json.dumps(card)}))


def read_with_card(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file and its card, empty where there is none. Raises `InputError` for one that is damaged."""
    if not path.is_file():
        raise InputError(f"{path} is not a file; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(json.loads((file.metadata() or {}).get("card", "{}")))
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is not a safetensors file or is damaged; make it again") from error
