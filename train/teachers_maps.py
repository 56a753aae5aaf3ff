"""A teacher's maps of good images, which training reads again and again: kept in memory as far as that goes."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from train.data import CACHE_BYTES, PreparedImages
from train.ensemble import pixels_from_frames
from train.progress import Progress


class TeachersMaps:
    """The teacher's maps [1, D, h, w] of images, kept in memory up to a bound and computed again beyond it."""

    def __init__(self, describe: Callable[[Tensor], Tensor], images: PreparedImages, device: torch.device) -> None:
        self._describe, self._images, self._device = describe, images, device
        self._kept: dict[int, Tensor] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._images)

    def pixels(self, indices: Sequence[int]) -> Tensor:
        """Images [n, 3, H, W], RGB in [0, 1]."""
        frames = torch.stack([torch.from_numpy(self._images[index]) for index in indices])
        return channels_last_tensor(pixels_from_frames(frames.to(self._device)))

    def __getitem__(self, index: int) -> Tensor:
        found = self._kept.get(index)
        if found is None:
            found = self._describe(self.pixels([index])).cpu()
            size = found.numel() * found.element_size()
            if self._bytes + size <= CACHE_BYTES:
                self._kept[index] = found
                self._bytes += size
        return found.to(self._device)

    def all(self, name: str) -> Iterator[Tensor]:
        """Those of all images, one after the other, with their progress."""
        for index in Progress(range(len(self)), name, len(self), unit="image"):
            yield self[index]


def channels_last_tensor(x: Tensor) -> Tensor:
    """[N, C, H, W] as convolutions read it fastest."""
    return x.contiguous(memory_format=torch.channels_last)
