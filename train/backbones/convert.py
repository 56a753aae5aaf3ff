"""A state dict as others publish it, as a backbone: batch normalization folded, cut behind the last stage."""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from runtime.atomic import check_writable
from runtime.errors import InputError
from train.backbones import ARCHITECTURES
from train.backbones.files import definition, new_network, read_card
from train.backbones.sources import known_source
from train.data import file_sha256
from train.state_dicts import read_state

SIDE = 256  # of the image whose multiply-adds a card names


class Misfit(Exception):
    """Why a state dict is not of an architecture; never leaves this module."""


class _Watched(Mapping[str, Tensor]):
    """Tensors that remember which of them were read."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors, self.read = tensors, set[str]()

    def __getitem__(self, name: str) -> Tensor:
        self.read.add(name)
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def convert(source: Path, architecture: str, note: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and card of a backbone, from a file of torchvision's or efficientnet-lite-pytorch's names.

    Raises `InputError` for a file that holds no such weights, or those of another architecture.
    """
    definition(architecture)
    state = read_state(source, f"weights of {architecture}")
    tensors = {name: value for name, value in state.items() if _is_weight(value)}
    try:
        weights = _fitted(architecture, tensors)
    except Misfit as misfit:
        fitting = [other for other in ARCHITECTURES if other != architecture and _fits(other, tensors)]
        advice = f"it holds {fitting[0]}: --architecture {fitting[0]}" if fitting else f"give weights of {architecture}"
        raise InputError(f"{source} does not hold {architecture}: it {misfit}; {advice}") from misfit
    return weights, _card(source, architecture, note)


def check_destination(out: Path) -> None:
    """Raise `InputError` unless a backbone can be written to `out`: a new file, or one that is a backbone already."""
    if out.suffix != ".safetensors":
        raise InputError(f"--out is {out}; expected a name ending in .safetensors")
    if out.is_dir():
        raise InputError(f"--out is {out}, which is a folder; name a file")
    if out.exists():
        try:
            read_card(out)
        except InputError as error:
            raise InputError(f"{out} is no backbone and would be replaced; move it, or name another --out") from error
    check_writable(out)


@torch.no_grad()
def multiply_adds(network: Any, side: int = SIDE) -> int:
    """Multiplications, each with its addition, of all stages' maps of one image of `side`×`side` pixels.

    Of the convolutions: products with weights. Biases, activations and sums of shortcuts are left out.
    """
    counted = 0

    def count(conv: nn.Module, _: Any, found: Tensor) -> None:
        nonlocal counted
        assert isinstance(conv, nn.Conv2d)
        counted += found.numel() * conv.weight[0].numel()

    hooks = [each.register_forward_hook(count) for each in network.modules() if isinstance(each, nn.Conv2d)]
    network.maps(torch.zeros(1, 3, side, side), (network.stages[-1].name,))
    for hook in hooks:
        hook.remove()
    return counted


def _is_weight(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.is_floating_point()


def _fits(architecture: str, tensors: dict[str, Tensor]) -> bool:
    try:
        _fitted(architecture, tensors)
    except Misfit:
        return False
    return True


def _fitted(architecture: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's weights. Raises `Misfit` where tensors are missing, misshapen or left over inside it."""
    source, watched = definition(architecture), _Watched(tensors)
    try:
        found: dict[str, Tensor] = source.converted(architecture, watched)
    except KeyError as error:
        raise Misfit(f"lacks {error.args[0]}") from error
    except RuntimeError as error:
        raise Misfit("has a batch norm that does not fit its convolution") from error
    with torch.device("meta"):  # shapes alone
        expected = new_network(architecture).state_dict()
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            has, wanted = ("×".join(map(str, each.shape)) for each in (found[name], tensor))
            raise Misfit(f"has {has} values for {name}, which has {wanted}")
    # ResNet-34 has all that ResNet-18 has, and more blocks: without them it computes something else
    unused = sorted(name for name in tensors if name not in watched.read and not source.left_out(architecture, name))
    if unused:
        raise Misfit(f"has {unused[0]}, which {architecture} has not")
    return found


def _card(source: Path, architecture: str, note: str) -> dict[str, Any]:
    network, sha256 = new_network(architecture), file_sha256(source)
    known = known_source(sha256)
    return {
        "source": {"name": source.name, "sha256": sha256, **(asdict(known) if known else {})},
        "pixels": {"order": "RGB in [0, 1]", "mean": network.pixel_mean, "std": network.pixel_std},
        "stages": [asdict(stage) for stage in network.stages],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_adds": {"size_hw": [SIDE, SIDE], "count": multiply_adds(network)},
        "changes": "batch norm folded into convolutions, layers behind the last stage left out, weights in FP16",
        "converted_with": {
            "command": "python -m train.backbones",
            "python": platform.python_version(),
            "torch": torch.__version__.partition("+")[0],
            "safetensors": safetensors.__version__,
        },
        "note": note,
    }
