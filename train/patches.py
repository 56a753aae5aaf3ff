"""Random patches of natural photographs, zoomed, cropped and altered in batches on the training device.

Paper, section 4: photographs are zoomed to between 4p and 16p, crops of p×p are taken; the positive is the anchor moved
by up to (p − 1)/4, changed in luminance, with Gaussian noise; the negative comes from another photograph; patches turn
grey with probability 0.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.errors import InputError

ZOOM_RANGE = (4.0, 16.0)  # short side of the zoomed photograph, in patch sizes
NOISE_STD = 0.1  # of pixels in [0, 1]; the paper gives the number without its scale
GREY_PROBABILITY = 0.1
GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma of RGB


class Triplets(NamedTuple):
    """Patches [N, 3, p, p] each, RGB in [0, 1]."""

    anchor: Tensor
    positive: Tensor
    negative: Tensor


def without_excess(image: NDArray[np.uint8], patch_size: int) -> NDArray[np.uint8]:
    """A photograph uint8 [H, W, 3] with a short side of 16p at most: no zoom shows more of it, and memory is spared."""
    largest = int(ZOOM_RANGE[1] * patch_size)
    height, width = image.shape[:2]
    if min(height, width) <= largest:
        return image
    scale = largest / min(height, width)
    size = (max(largest, round(width * scale)), max(largest, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True)
class Photographs:
    """Decoded photographs, packed end to end: one gather reads from all of them, whatever their sizes."""

    pixels: Tensor  # uint8 [sum of H·W, 3], RGB
    offsets: Tensor  # int64 [photographs], first pixel of each
    heights: Tensor  # int64 [photographs]
    widths: Tensor  # int64 [photographs]

    @classmethod
    def pack(cls, images: Sequence[NDArray[np.uint8]], device: torch.device) -> "Photographs":
        """Pack images uint8 [H, W, 3], BGR. Two are needed at least, since a negative comes from another photograph."""
        if len(images) < 2:
            raise InputError(f"got {len(images)} photograph; a teacher needs two or more (thousands, to be good)")
        pixels = np.concatenate([image[:, :, ::-1].reshape(-1, 3) for image in images])
        heights = torch.tensor([image.shape[0] for image in images])
        widths = torch.tensor([image.shape[1] for image in images])
        offsets = torch.cumsum(heights * widths, 0) - heights * widths
        return cls(torch.from_numpy(pixels).to(device), offsets.to(device), heights.to(device), widths.to(device))

    def __len__(self) -> int:
        return len(self.offsets)


class PatchSampler:
    """Draws patches of p×p pixels; the same generator state gives the same patches on every device."""

    def __init__(
        self, photographs: Photographs, patch_size: int, zoom_cap: float | None = None, luminance: float = 0.2
    ) -> None:
        """`zoom_cap` bounds the enlargement (None: 4p…16p as the paper, which enlarges 224-pixel photographs up to
        4.6 times for p = 65); `luminance` is the largest relative change of a positive's brightness (ours)."""
        self.photographs = photographs
        self.patch_size = patch_size
        self.zoom_cap = zoom_cap
        self.luminance = luminance
        largest = int(torch.minimum(photographs.heights, photographs.widths).max())
        # a zoom that shrinks is sampled on a finer grid and averaged, or it would alias
        self._oversampling = max(1, -(-largest // int(ZOOM_RANGE[0] * patch_size)))

    def patches(self, count: int, generator: torch.Generator) -> Tensor:
        """Anchors alone, [N, 3, p, p], RGB in [0, 1]: all that knowledge distillation needs."""
        view = self._views(count, generator)
        return self._grey(self._read(*view), generator)

    def triplets(self, count: int, generator: torch.Generator) -> Triplets:
        """Anchors, positives and negatives."""
        photo, centre, scale = self._views(count, generator)
        reach = (self.patch_size - 1) / 4
        moved = centre + (torch.rand(count, 2, generator=generator) * 2 - 1) * reach / scale[:, None]
        gain = 1 + (torch.rand(count, 1, 1, 1, generator=generator) * 2 - 1) * self.luminance
        noise = torch.randn(count, 3, self.patch_size, self.patch_size, generator=generator) * NOISE_STD
        other = (photo + torch.randint(1, len(self.photographs), (count,), generator=generator)) % len(self.photographs)
        device = self.photographs.pixels.device
        positive = self._read(photo, moved, scale) * gain.to(device) + noise.to(device)
        negative = self._read(*self._views(count, generator, other))
        patches = torch.cat([self._read(photo, centre, scale), positive.clamp(0, 1), negative])
        return Triplets(*self._grey(patches, generator).chunk(3))

    def _views(
        self, count: int, generator: torch.Generator, photo: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Photograph [N], centre yx [N, 2] in its own pixels and zoom [N] of each patch, drawn on the CPU."""
        if photo is None:
            photo = torch.randint(len(self.photographs), (count,), generator=generator)
        sides = torch.stack([self.photographs.heights, self.photographs.widths], dim=1).cpu()[photo]  # [N, 2]
        low, high = (factor * self.patch_size for factor in ZOOM_RANGE)
        scale = (low + torch.rand(count, generator=generator) * (high - low)) / sides.min(dim=1).values
        if self.zoom_cap is not None:
            scale = scale.clamp(max=self.zoom_cap)
        room = sides - self.patch_size / scale[:, None]
        centre = self.patch_size / scale[:, None] / 2 + torch.rand(count, 2, generator=generator) * room.clamp(min=0)
        return photo, centre, scale

    def _read(self, photo: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        """Patches [N, 3, p, p] around `centre`, bilinear, averaged over the finer grid; borders are repeated."""
        store, fine = self.photographs, self.patch_size * self._oversampling
        device = store.pixels.device
        photo, centre, scale = photo.to(device), centre.to(device), scale.to(device)
        steps = ((torch.arange(fine, device=device) + 0.5) / fine - 0.5) * self.patch_size  # [fine]
        y = self._clipped(centre[:, :1] + steps / scale[:, None] - 0.5, store.heights[photo])  # [N, fine]
        x = self._clipped(centre[:, 1:] + steps / scale[:, None] - 0.5, store.widths[photo])
        (y0, y1, fy), (x0, x1, fx) = self._neighbours(y, store.heights[photo]), self._neighbours(x, store.widths[photo])
        start, width = store.offsets[photo][:, None, None], store.widths[photo][:, None, None]

        def pixel(row: Tensor, column: Tensor) -> Tensor:
            return store.pixels[start + row[:, :, None] * width + column[:, None, :]].float()  # [N, fine, fine, 3]

        fx, fy = fx[:, None, :, None], fy[:, :, None, None]
        top = pixel(y0, x0) * (1 - fx) + pixel(y0, x1) * fx
        bottom = pixel(y1, x0) * (1 - fx) + pixel(y1, x1) * fx
        patches = (top * (1 - fy) + bottom * fy).permute(0, 3, 1, 2) / 255
        if self._oversampling > 1:
            patches = torch.nn.functional.avg_pool2d(patches, self._oversampling)
        return patches

    @staticmethod
    def _clipped(position: Tensor, length: Tensor) -> Tensor:
        return torch.minimum(position.clamp(min=0), (length[:, None] - 1).float())

    @staticmethod
    def _neighbours(position: Tensor, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = position.floor().long()
        return first, torch.minimum(first + 1, length[:, None] - 1), position - first

    @staticmethod
    def _grey(patches: Tensor, generator: torch.Generator) -> Tensor:
        grey = torch.rand(len(patches), generator=generator) < GREY_PROBABILITY
        weights = torch.tensor(GREY_WEIGHTS, device=patches.device).view(1, 3, 1, 1)
        luma = (patches * weights).sum(dim=1, keepdim=True).expand_as(patches)
        return torch.where(grey.to(patches.device)[:, None, None, None], luma, patches)
