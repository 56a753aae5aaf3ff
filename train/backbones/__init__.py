"""Backbones: networks pretrained to classify photographs, whose feature maps describe a part."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from train.shipped import Shipped

if TYPE_CHECKING:
    from train.backbones.files import LoadedBackbone, load_backbone, new_network, read_card, save_backbone

__all__ = [
    "ARCHITECTURES",
    "LoadedBackbone",
    "backbone_path",
    "load_backbone",
    "new_network",
    "read_card",
    "save_backbone",
    "shipped_backbones",
]


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
_BACKBONES = Shipped("backbone", SHIPPED, "", "python -m train.backbones makes one")


def shipped_backbones() -> list[str]:
    """Names of the backbones that come with the install."""
    return _BACKBONES.names


def backbone_path(name: str) -> Path:
    """The file of a backbone: a shipped one by name, or any file. Raises `InputError` for neither."""
    return _BACKBONES.path(name)


def __getattr__(name: str) -> object:
    # on first use: `python -m train.backbones --help` must answer where PyTorch is missing
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.files"), name)
