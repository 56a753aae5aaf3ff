"""Random patches of natural photographs, zoomed, cropped and altered in batches on the training device.

Paper, section 4: photographs are zoomed to between 4p and 16p, crops of p×p are taken; the positive is the anchor moved
by up to (p − 1)/4, changed in luminance, with Gaussian noise; the negative comes from another photograph; patches turn
grey with probability 0.1.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
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
GRID_AT_ONCE = 1 << 22  # pixels of the grid that are read at once


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
class Draw:
    """Everything random about N patches, drawn on the CPU: where they lie, and how positives and grey ones differ."""

    photo: Tensor  # int64 [N]
    centre: Tensor  # [N, 2], yx in the photograph's own pixels
    scale: Tensor  # [N], zoom
    grey: Tensor  # bool [N]
    gain: Tensor | None = None  # [N / 3, 1, 1, 1], of positives' pixels
    noise: Tensor | None = None  # [N / 3, 3, p, p]

    def pinned(self) -> "Draw":
        """The same in page-locked memory, from which a copy to the GPU need not be waited for."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device) -> "Draw":
        """The same on `device`; of a pinned draw, the copies are only queued."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def parts(self, size: int) -> Iterator["Draw"]:
        """The same draw of anchors, so many at a time."""
        assert self.gain is None, "a positive's gain is of its anchor"
        for photo, centre, scale, grey in zip(
            *(torch.split(each, size) for each in (self.photo, self.centre, self.scale, self.grey)), strict=True
        ):
            yield Draw(photo, centre, scale, grey)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Draw":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Draw(**{name: change(value) for name, value in values.items() if value is not None})


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
    """Draws patches of p×p pixels; the same generator state gives the same patches on every device.

    Drawing (random numbers, on the CPU) and reading (pixels, on the photographs' device) are two steps, so that one
    batch can be drawn while another is learnt from. Reading never makes the CPU wait for a GPU.
    """

    def __init__(
        self,
        photographs: Photographs,
        patch_size: int,
        zoom_cap: float | None = None,
        luminance: float = 0.2,
        short_sides: tuple[int, int] | None = None,
    ) -> None:
        """`zoom_cap` bounds the enlargement (None: 4p…16p as the paper, which enlarges 224-pixel photographs up to
        4.6 times for p = 65); `luminance` is the largest relative change of a positive's brightness (ours);
        `short_sides` are the least and the largest short side of zoomed photographs in place of 4p and 16p, and all
        zooms between them up to the cap are equally likely; without them, the cap gets all that is above it."""
        self.photographs = photographs
        self.patch_size = patch_size
        self.zoom_cap = zoom_cap
        self.luminance = luminance
        self._sides = torch.stack([photographs.heights, photographs.widths], dim=1).cpu()  # [photographs, 2]
        self._grey_weights = torch.tensor(GREY_WEIGHTS, device=photographs.pixels.device).view(1, 3, 1, 1)
        self._evenly = short_sides is not None
        self._short_sides = short_sides or (int(ZOOM_RANGE[0] * patch_size), int(ZOOM_RANGE[1] * patch_size))
        # a zoom that shrinks is sampled on a finer grid and averaged, or it would alias
        self._oversampling = max(1, -(-int(self._sides.amin(dim=1).max()) // self._short_sides[0]))

    def patches(self, count: int, generator: torch.Generator) -> Tensor:
        """Anchors alone, [N, 3, p, p], RGB in [0, 1]: all that knowledge distillation needs."""
        return self.read(self.draw_patches(count, generator))

    def triplets(self, count: int, generator: torch.Generator) -> Triplets:
        """Anchors, positives and negatives."""
        return Triplets(*self.read(self.draw_triplets(count, generator)).chunk(3))

    def draw_patches(self, count: int, generator: torch.Generator) -> Draw:
        """The draw of `count` anchors."""
        photo, centre, scale = self._views(count, generator)
        return Draw(photo, centre, scale, self._drawn_grey(count, generator))

    def draw_triplets(self, count: int, generator: torch.Generator) -> Draw:
        """The draw of `count` anchors, as many positives, as many negatives."""
        photo, centre, scale = self._views(count, generator)
        reach = (self.patch_size - 1) / 4
        moved = centre + (torch.rand(count, 2, generator=generator) * 2 - 1) * reach / scale[:, None]
        gain = 1 + (torch.rand(count, 1, 1, 1, generator=generator) * 2 - 1) * self.luminance
        noise = torch.randn(count, 3, self.patch_size, self.patch_size, generator=generator) * NOISE_STD
        other = (photo + torch.randint(1, len(self.photographs), (count,), generator=generator)) % len(self.photographs)
        other, other_centre, other_scale = self._views(count, generator, other)
        return Draw(
            torch.cat([photo, photo, other]),
            torch.cat([centre, moved, other_centre]),
            torch.cat([scale, scale, other_scale]),
            self._drawn_grey(3 * count, generator),
            gain,
            noise,
        )

    def read(self, draw: Draw) -> Tensor:
        """The patches of a draw, [N, 3, p, p], RGB in [0, 1]; of triplets, anchors, positives, negatives in turn."""
        draw = draw.to(self.photographs.pixels.device)
        patches = self._read(draw.photo, draw.centre, draw.scale)
        if draw.gain is not None and draw.noise is not None:
            anchor, positive, negative = patches.chunk(3)
            patches = torch.cat([anchor, (positive * draw.gain + draw.noise).clamp(0, 1), negative])
        luma = (patches * self._grey_weights).sum(dim=1, keepdim=True).expand_as(patches)
        return torch.where(draw.grey[:, None, None, None], luma, patches)

    def _views(
        self, count: int, generator: torch.Generator, photo: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Photograph [N], centre yx [N, 2] in its own pixels and zoom [N] of each patch, drawn on the CPU."""
        if photo is None:
            photo = torch.randint(len(self.photographs), (count,), generator=generator)
        sides = self._sides[photo]  # [N, 2]
        low, high = self._short_sides
        short = sides.min(dim=1).values
        highest = torch.full((count,), float(high))
        if self.zoom_cap is not None and self._evenly:
            highest = (self.zoom_cap * short).clamp(low, high)
        scale = (low + torch.rand(count, generator=generator) * (highest - low)) / short
        if self.zoom_cap is not None:
            scale = scale.clamp(max=self.zoom_cap)
        room = sides - self.patch_size / scale[:, None]
        centre = self.patch_size / scale[:, None] / 2 + torch.rand(count, 2, generator=generator) * room.clamp(min=0)
        return photo, centre, scale

    def _read(self, photo: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        """Patches [N, 3, p, p] around `centre`, bilinear, averaged over the finer grid; borders are repeated.

        Some at once: a pixel of the finer grid takes some 70 bytes on the way, and thousands of patches have many.
        """
        at_once = max(1, GRID_AT_ONCE // (self.patch_size * self._oversampling) ** 2)
        parts = zip(*(torch.split(each, at_once) for each in (photo, centre, scale)), strict=True)
        patches = [self._read_at_once(*part) for part in parts]
        return patches[0] if len(patches) == 1 else torch.cat(patches)

    def _read_at_once(self, photo: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        store, fine = self.photographs, self.patch_size * self._oversampling
        device = store.pixels.device
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
    def _drawn_grey(count: int, generator: torch.Generator) -> Tensor:
        return torch.rand(count, generator=generator) < GREY_PROBABILITY
