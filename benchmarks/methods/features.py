"""Feature maps of frames: a pretrained ResNet-18's stages, and a folder that keeps what any extractor found."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.methods.base import Frames, Setting, as_pixels
from runtime.atomic import write_atomically
from runtime.errors import InputError
from train.networks import PIXEL_MEAN, PIXEL_STD

RESNET_STAGES = ("layer1", "layer2", "layer3", "layer4")
PROBE: Frames = np.zeros((1, 32, 32, 3), np.uint8)  # a small frame that shows whether stages exist, and their channels


class Extractor(Protocol):
    """Turns frames into feature maps. `identity` names weights and settings: equal ones give equal features."""

    @property
    def identity(self) -> str:
        """What the features depend on beside the frame."""

    def __call__(self, frames: Frames) -> Tensor:
        """Features float32 [n, C, h, w], on the CPU, of frames uint8 [n, H, W, 3], BGR."""


class Stages(Protocol):
    """A backbone that yields several feature maps."""

    @property
    def identity(self) -> str:
        """Name and hash of the weights."""

    def __call__(self, frames: Frames, names: Sequence[str]) -> list[Tensor]:
        """The named feature maps, each float32 [n, C, h, w], on the backbone's device."""


class ResNetStages:
    """The outputs of a frozen ResNet-18's ``layer1`` to ``layer4`` (``layer3`` for the backbone ``resnet18-layer23``).

    The methods' papers use wider networks (Wide ResNet-50, VGG-19); ResNet-18 is this project's descriptor network.
    """

    def __init__(self, setting: Setting) -> None:
        """Raises `InputError` for a file of weights that does not fit."""
        from train.data import file_sha256
        from train.descriptor import DescriptorNetwork

        self.device = setting.device
        self.network = DescriptorNetwork(setting.backbone, 96, setting.weights).to(self.device)
        source = file_sha256(setting.weights) if setting.weights else "torchvision"
        self.identity = f"{setting.backbone} {source}"

    @torch.no_grad()
    def __call__(self, frames: Frames, names: Sequence[str]) -> list[Tensor]:
        """See `Stages`. Raises `InputError` for a stage that the backbone lacks."""
        stages = RESNET_STAGES if self.network.name == "resnet18" else RESNET_STAGES[:3]
        missing = [name for name in names if name not in stages]
        if missing:
            raise InputError(f"{self.network.name} has no {missing[0]!r}; choose among {', '.join(stages)}")
        return stage_maps(self.network.backbone, as_pixels(frames, self.device), names)


def stage_maps(net: Any, pixels: Tensor, names: Sequence[str]) -> list[Tensor]:
    """The outputs of the named stages of torchvision's ResNet `net` for pixels [n, 3, H, W], RGB in [0, 1].

    No stage behind the last of them runs.
    """
    mean, deviation = (pixels.new_tensor(values).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_STD))
    x = net.maxpool(net.relu(net.bn1(net.conv1((pixels - mean) / deviation))))
    found: dict[str, Tensor] = {}
    for stage in RESNET_STAGES[: max(map(RESNET_STAGES.index, names)) + 1]:
        x = found[stage] = getattr(net, stage)(x)
    return [found[name] for name in names]


class LocalFeatures:
    """Locally averaged stages, at the resolution of the first: the patch features of PatchCore (Roth et al., CVPR
    2022, equations 1 to 3, neighbourhood p = 3).

    Cells beyond the border count as zeros, as in the authors' code, so that a border is compared with borders.
    """

    def __init__(self, stages: Stages, names: Sequence[str], neighbourhood: int = 3) -> None:
        self.stages, self.names, self.neighbourhood = stages, tuple(names), neighbourhood

    @property
    def identity(self) -> str:
        """Stages and neighbourhood."""
        return f"local {self.neighbourhood} {','.join(self.names)} of {self.stages.identity}"

    def __call__(self, frames: Frames) -> Tensor:
        """See `Extractor`."""
        side = self.neighbourhood
        maps = self.stages(frames, self.names)
        maps = [functional.avg_pool2d(x, side, 1, side // 2) for x in maps]
        size = maps[0].shape[2:]
        maps = [x if x.shape[2:] == size else _resized(x, size) for x in maps]
        return torch.cat(maps, dim=1).cpu()


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


class KeptFeatures:
    """An extractor whose features are kept in a folder, a file for each frame, up to a number of bytes.

    What no longer fits is computed anew each time. Several processes may share a folder.
    """

    def __init__(self, extractor: Extractor, folder: Path, limit_bytes: int) -> None:
        self.extractor, self.folder, self.limit_bytes = extractor, folder, limit_bytes
        self.identity = extractor.identity
        self.held_bytes = sum(path.stat().st_size for path in folder.glob("*.npy"))

    def __call__(self, frames: Frames) -> Tensor:
        """See `Extractor`. Raises `InputError` for a kept file that is damaged."""
        return torch.stack([self._one(frame) for frame in frames])

    def _one(self, frame: Frames) -> Tensor:
        name = hashlib.sha256(f"{self.identity} {frame.shape} ".encode() + frame.tobytes()).hexdigest()
        path = self.folder / f"{name}.npy"
        try:
            return torch.from_numpy(np.load(path, allow_pickle=False))
        except FileNotFoundError:
            features = self.extractor(frame[None])[0].contiguous()
        except (ValueError, EOFError) as error:
            raise InputError(f"{path} is damaged; remove it") from error
        buffer = io.BytesIO()
        np.save(buffer, features.numpy(), allow_pickle=False)
        if self.held_bytes + buffer.tell() <= self.limit_bytes:
            write_atomically(path, buffer.getvalue())
            self.held_bytes += buffer.tell()
        return features


def kept(extractor: Extractor, setting: Setting) -> Extractor:
    """`extractor`, its features kept where `setting` names a folder for them."""
    if setting.features is None:
        return extractor
    return KeptFeatures(extractor, setting.features, setting.features_bytes)
