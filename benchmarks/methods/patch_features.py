"""Features of patches: each enlarged, seen by ResNet-18 by itself, and its stages pooled."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.methods.base import Frames, Setting, as_pixels
from runtime.errors import InputError

CHUNK = 256  # patches described at once


def pooled_stages(setting: Setting, input_size: int) -> tuple[Callable[[Tensor], Tensor], str]:
    """The descriptor network P over patches [b, 3, p, p], RGB in [0, 1], enlarged to `input_size`, and its identity."""
    from train.data import file_sha256
    from train.descriptor import DescriptorNetwork

    network = DescriptorNetwork(setting.backbone, input_size, setting.weights).to(setting.device)
    source = file_sha256(setting.weights) if setting.weights else "torchvision"
    return network, f"{setting.backbone} {source} at {input_size}"


class PatchFeatures:
    """A descriptor of each `stride`-th patch, float32 [n, C, ceil(H / stride), ceil(W / stride)].

    The patch is centred in the pixels that it stands for; borders are reflected. `describe` turns patches [b, 3, p, p],
    RGB in [0, 1], into vectors [b, C].
    """

    def __init__(
        self, describe: Callable[[Tensor], Tensor], identity: str, patch: int, stride: int, device: str = "cpu"
    ) -> None:
        if not 1 <= stride <= patch:
            raise InputError(f"stride is {stride}; expected 1 to {patch}, the side of a patch")
        self.describe, self.patch, self.stride, self.device = describe, patch, stride, device
        self.identity = f"patches of {patch} every {stride} by {identity}"

    @torch.no_grad()
    def __call__(self, frames: Frames) -> Tensor:
        """See `Extractor`. Raises `InputError` for frames too small to reflect."""
        return torch.stack([self._described(pixels) for pixels in as_pixels(frames, self.device)]).cpu()

    def _described(self, pixels: Tensor) -> Tensor:
        rows, columns = (-(-length // self.stride) for length in pixels.shape[1:])
        before = (self.patch - self.stride) // 2
        behind = [
            (count - 1) * self.stride + self.patch - before - length
            for count, length in zip((rows, columns), pixels.shape[1:], strict=True)
        ]
        if max(before, *behind) >= min(pixels.shape[1:]):
            raise InputError(f"patches of {self.patch} pixels are too large for frames of {list(pixels.shape[1:])}")
        padded = functional.pad(pixels[None], (before, behind[1], before, behind[0]), mode="reflect")[0]
        windows = padded.unfold(1, self.patch, self.stride).unfold(2, self.patch, self.stride)  # [3, h, w, p, p]
        patches = windows.permute(1, 2, 0, 3, 4).reshape(-1, 3, self.patch, self.patch)
        vectors = torch.cat([self.describe(chunk) for chunk in torch.split(patches, CHUNK)])
        return vectors.T.reshape(-1, rows, columns)
