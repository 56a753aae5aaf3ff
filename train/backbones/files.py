"""Backbones on disk: FP16 weights and a card, in safetensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.errors import InputError
from train.backbones import ARCHITECTURES, Architecture, backbone_path
from train.backbones.base import Stage
from train.data import file_sha256
from train.files import read_with_card, write_with_card
from train.method import loaded

LARGEST = torch.finfo(torch.float16).max  # 65,504


@dataclass(frozen=True)
class LoadedBackbone:
    """A backbone read from a file; `network` is frozen, in float32."""

    network: Any  # a `train.backbones.base.Backbone` that is an nn.Module
    name: str  # of its architecture
    sha256: str  # of the file
    card: dict[str, Any]

    @property
    def architecture(self) -> Architecture:
        """What it is."""
        return ARCHITECTURES[self.name]

    def stages(self, names: tuple[str, ...]) -> tuple[Stage, ...]:
        """The stages of these names, in the network's order. Raises `InputError` for one that it does not have."""
        known = {stage.name: stage for stage in self.network.stages}
        for name in names:
            if name not in known:
                raise InputError(f"stage {name!r} is none of {self.name}'s: {', '.join(known)}")
        return tuple(stage for stage in self.network.stages if stage.name in names)


def new_network(architecture: str) -> Any:
    """A `train.backbones.base.Backbone` of this architecture, its weights drawn at random.

    Raises `InputError` for an architecture that is unknown.
    """
    definition(architecture)
    return loaded(ARCHITECTURES[architecture].place)(architecture)


def definition(architecture: str) -> Any:
    """The module that defines an architecture. Raises `InputError` for one that is unknown."""
    if architecture not in ARCHITECTURES:
        raise InputError(f"architecture is {architecture!r}; expected one of {', '.join(ARCHITECTURES)}")
    return import_module(ARCHITECTURES[architecture].place.partition(":")[0])


def load_backbone(name: str) -> LoadedBackbone:
    """A backbone, shipped or from a file. Raises `InputError` for a file that is none."""
    path = backbone_path(name)
    tensors, card = _read(path)
    weights = {key: tensor.float() for key, tensor in tensors.items() if tensor.is_floating_point()}
    architecture = str(card["architecture"])
    network = new_network(architecture)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} does not hold the layers of {architecture}; make it again") from error
    if problem := unfit_for_fp16(weights):
        raise InputError(f"{path} holds weights that are {problem}; make it again")
    network.eval().requires_grad_(False)
    return LoadedBackbone(network, architecture, file_sha256(path), card)


def save_backbone(path: Path, architecture: str, tensors: Mapping[str, Tensor], card: Mapping[str, object]) -> None:
    """Write a backbone's weights in FP16, with its card. Raises `InputError` for weights that FP16 cannot hold."""
    if problem := unfit_for_fp16(tensors):
        raise InputError(f"{path} was not written: it would hold weights that are {problem}")
    halved = {name: tensor.detach().cpu().to(torch.float16).contiguous() for name, tensor in tensors.items()}
    write_with_card(path, halved, {**card, "architecture": architecture})


def read_card(path: Path) -> dict[str, Any]:
    """What a backbone's file says of itself. Raises `InputError` for a file that is none."""
    return _read(path)[1]


def unfit_for_fp16(tensors: Mapping[str, Tensor]) -> str | None:
    """Why FP16 cannot hold these, if it cannot: "not finite" or "too large", with the first tensor's name."""
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            return f"not finite ({name})"
        largest = float(tensor.abs().max()) if tensor.numel() else 0.0
        if largest > LARGEST:
            return f"too large ({name} reaches {largest:g}, FP16 {LARGEST:g})"
    return None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, card = read_with_card(path)
    if "architecture" not in card:
        raise InputError(
            f"{path} is no backbone: it does not name its architecture; python -m train.backbones makes one"
        )
    return tensors, card
