"""Backbones: networks pretrained to classify photographs, whose feature maps describe a part."""

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from runtime.atomic import write_atomically
from runtime.errors import InputError
from train.backbones.base import Stage
from train.data import file_sha256


@dataclass(frozen=True)
class Architecture:
    """Where a network is defined, and what is taken from it where nothing else is asked for."""

    place: str  # module:class
    compared: tuple[str, ...]  # stages whose descriptors a memory bank compares
    pooled: tuple[str, ...]  # stages that the vector of the whole frame is of


LITE = Architecture("train.backbones.efficientnet_lite:EfficientNetLite", ("group3", "group5"), ("group4", "group5"))
ARCHITECTURES = {
    "efficientnet-lite0": LITE,
    "efficientnet-lite2": LITE,
    "resnet18": Architecture("train.backbones.resnet:ResNet18", ("layer2", "layer3"), ("layer2", "layer3")),
}
SHIPPED = Path(__file__).parent


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


def shipped_backbones() -> list[str]:
    """Names of the backbones that come with the install."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def backbone_path(name: str) -> Path:
    """The file of a backbone: a shipped one by name, or any file. Raises `InputError` for neither."""
    shipped = SHIPPED / f"{name}.safetensors"
    if shipped.is_file():
        return shipped
    if Path(name).is_file():
        return Path(name)
    names = ", ".join(shipped_backbones())
    raise InputError(
        f"backbone {name!r} is neither a shipped one ({names}) nor a file; python -m train.backbones makes one"
    )


def new_network(architecture: str) -> Any:
    """A `train.backbones.base.Backbone` with random weights. Raises `InputError` for an unknown architecture."""
    if architecture not in ARCHITECTURES:
        raise InputError(f"architecture is {architecture!r}; expected one of {', '.join(ARCHITECTURES)}")
    module, _, network = ARCHITECTURES[architecture].place.partition(":")
    return getattr(import_module(module), network)(architecture)


def load_backbone(name: str) -> LoadedBackbone:
    """A backbone, shipped or from a file. Raises `InputError` for a file that is none."""
    path = backbone_path(name)
    tensors, card = _read(path)
    network = new_network(str(card.get("architecture")))
    try:
        network.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    except RuntimeError as error:
        raise InputError(f"{path} does not hold the layers of {card['architecture']}; make it again") from error
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise InputError(f"{path} holds weights that are not finite; make it again")
    network.eval().requires_grad_(False)
    return LoadedBackbone(network, str(card["architecture"]), file_sha256(path), card)


def save_backbone(path: Path, architecture: str, tensors: dict[str, Tensor], card: dict[str, object]) -> None:
    """Write a backbone's weights in FP16, with its card."""
    halved = {name: tensor.detach().cpu().to(torch.float16).contiguous() for name, tensor in tensors.items()}
    text = json.dumps({**card, "architecture": architecture})
    write_atomically(path, save(halved, metadata={"card": text}))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            card = dict(json.loads((file.metadata() or {}).get("card", "{}")))
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is not a safetensors file or is damaged; make it again") from error
    if "architecture" not in card:
        raise InputError(
            f"{path} is no backbone: it does not name its architecture; python -m train.backbones makes one"
        )
    return tensors, card
