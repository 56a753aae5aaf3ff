"""The descriptor network P, from which a teacher learns (knowledge distillation, paper section 3.1)."""

import hashlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
import torchvision.models
from torch import Tensor, nn
from torch.nn import functional

from runtime.errors import InputError
from train.networks import PIXEL_MEAN, PIXEL_STD
from train.state_dicts import read_state

DESCRIPTOR_NETWORKS = ("resnet18", "resnet18-layer23", "none")
# of torchvision's resnet18-f37072fd.pth, IMAGENET1K_V1
WEIGHTS_SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
OWN_FILE = (
    "give a file of them, with --descriptor-weights FILE to train or measure teachers, with --weights FILE to compare "
    "methods"
)


class DescriptorNetwork(nn.Module):
    """A frozen ResNet-18 that turns patches into descriptors.

    `resnet18` is the paper's: 512-d, pooled before the classifier. `resnet18-layer23` pools the outputs of layer2
    (128-d) and layer3 (256-d) to 384-d: earlier features for small patches, and no need of layer4's weights.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, name: str, input_size: int, weights: Path | None) -> None:
        super().__init__()
        self.name = name
        self.input_size = input_size
        self.backbone: Any = _backbone(name, weights)
        self.size = 512 if name == "resnet18" else 384
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, patches: Tensor) -> Tensor:
        """Descriptors [N, 512 or 384] of patches [N, 3, p, p], RGB in [0, 1].

        Patches are enlarged to `input_size` first; the paper does not say at what size they enter P.
        """
        side = (self.input_size, self.input_size)
        x = functional.interpolate(patches, side, mode="bilinear", align_corners=False, antialias=False)
        x = (x - self.pixel_mean) / self.pixel_std
        net = self.backbone
        x = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))
        layer2 = net.layer2(x)
        layer3 = net.layer3(layer2)
        if self.name == "resnet18":
            return _pooled(net.layer4(layer3))
        return torch.cat([_pooled(layer2), _pooled(layer3)], dim=1)


@dataclass(frozen=True)
class Standardization:
    """Mean and standard deviation [D] of P's output: without it only the few loudest channels would be learnt."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, descriptors: Tensor) -> "Standardization":
        """That of `descriptors` [N, D]; a channel that never varies keeps its scale."""
        deviation = descriptors.std(dim=0)
        return cls(descriptors.mean(dim=0), torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))

    def __call__(self, descriptors: Tensor) -> Tensor:
        return (descriptors - self.mean) / self.deviation


def _pooled(features: Tensor) -> Tensor:
    return features.mean(dim=(2, 3))


def _backbone(name: str, weights: Path | None) -> nn.Module:
    net: Any = torchvision.models.resnet18(weights=None)
    net.fc = nn.Identity()
    if name == "resnet18-layer23":
        net.layer4 = nn.Identity()
    _load(net, weights or _downloaded())
    return net  # type: ignore[no-any-return]


def _downloaded() -> Path:
    """Torchvision's file of its ResNet-18, where torch.hub keeps it; downloaded if it is not there.

    Torchvision itself checks the hash of a file that it downloads, and runs a pickle that it finds. Raises `InputError`
    for a file that is another one.
    """
    url = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    try:
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(kept), WEIGHTS_SHA256)
        found = hashlib.sha256(kept.read_bytes()).hexdigest()
    except (OSError, HTTPException, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the weights of torchvision's ResNet-18 could neither be read from {kept} nor downloaded from {url} "
            f"({reason}); {OWN_FILE}"
        ) from error
    if found != WEIGHTS_SHA256:
        raise InputError(
            f"{kept} is not torchvision's file: its SHA-256 is {found}, expected {WEIGHTS_SHA256}; remove it, and it "
            f"is downloaded again, or {OWN_FILE}"
        )
    return kept


def _load(net: nn.Module, path: Path) -> None:
    """Fill `net` from a file of torchvision's names; what the file has beyond them (fc, layer4) is not needed."""
    tensors = read_state(path, "the weights of torchvision's ResNet-18")
    wanted = net.state_dict()
    missing = [name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked")]
    if missing:
        raise InputError(f"{path} lacks {missing[0]} and {len(missing) - 1} more tensors of torchvision's ResNet-18")
    try:
        net.load_state_dict({name: tensors.get(name, wanted[name]) for name in wanted})
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise InputError(f"{path} does not fit torchvision's ResNet-18: {detail}") from error
