"""The students of backbones: networks that imitate a backbone's dense map, at its natural stride.

- `PixelStudent` reads the frame, as the students of *Uninformed Students* (Bergmann et al., CVPR 2020) do, and is a
  tenth of the teacher's depth: it knows what good parts look like, and little else.
- `Autoencoder` reads the teacher's own map, one position at a time, through a bottleneck: DFR (Shi, Yang and Qi,
  *Unsupervised Anomaly Segmentation via Deep Feature Reconstruction*, Neurocomputing 2021).

Both know good parts alone. So both fail at what good parts do not have.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.errors import InputError
from train.backbones.base import Conv, SamePadded
from train.backbones.features import enlarged

Form = Literal["pixels", "autoencoder"]
STUDENT_FORMS: tuple[Form, ...] = get_args(Form)
STEM_CHANNELS, STEM_STRIDE = 64, 4
STRIDES = (4, 8, 16)  # of the map of a student that reads pixels


class Residual(nn.Module):
    """x + a 1×1 of a 3×3 convolution of x, with a ReLU before each; it begins as x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial, self.pointwise = SamePadded(channels, channels, 3), Conv(channels, channels, 1)
        assert self.pointwise.bias is not None
        nn.init.zeros_(self.pointwise.weight)
        nn.init.zeros_(self.pointwise.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Of [N, C, h, w]."""
        found: Tensor = self.pointwise(functional.relu(self.spatial(functional.relu(x))))
        return x + found


class PixelStudent(nn.Module):
    """Descriptors [N, D, ceil(H / stride), ceil(W / stride)] of normalized pixels [N, 3, H, W].

    A stem of 8×8 pixels at stride 4, a 3×3 convolution of stride 2 for each halving to the teacher's stride, and a
    linear 1×1 at the end. Between them `blocks` residual ones of twice the width at half the resolution, whose result
    is added to what passes by them, and one before and one behind: so a student sees about 130 pixels, at stride 8 and
    two blocks, for half of what blocks at full resolution would cost. A teacher's deep stages depend on as much.
    """

    reads_pixels = True

    def __init__(self, dimensions: int, stride: int, width: int, blocks: int) -> None:
        """Raises `InputError` for a stride that the stem does not reach."""
        super().__init__()
        if stride not in STRIDES:
            raise InputError(
                f"the backbone's stages have a descriptor every {stride} pixels; students that read pixels follow "
                f"{', '.join(map(str, STRIDES))}: name coarser --stages, or --student autoencoder"
            )
        layers: list[nn.Module] = [SamePadded(3, STEM_CHANNELS, 8, STEM_STRIDE)]
        channels = STEM_CHANNELS
        for _ in range((stride // STEM_STRIDE).bit_length() - 1):
            layers += [nn.ReLU(), SamePadded(channels, width, 3, 2)]
            channels = width
        if channels != width:
            layers += [nn.ReLU(), Conv(channels, width, 1)]
        self.stem = nn.Sequential(*layers, Residual(width))
        coarse = [Residual(2 * width) for _ in range(blocks)]
        self.around = nn.Sequential(
            nn.ReLU(), SamePadded(width, 2 * width, 3, 2), *coarse, nn.ReLU(), Conv(2 * width, width, 1)
        )
        self.behind = nn.Sequential(Residual(width), nn.ReLU())
        self.head = Conv(width, dimensions, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class; float32."""
        x = self.stem(pixels)
        height, width = x.shape[2:]
        found: Tensor = self.head(self.behind(x + enlarged(self.around(x), 2, height, width)))
        return found.float()


class Autoencoder(nn.Module):
    """Descriptors [N, D, h, w] of the teacher's own standardized ones, through `width` dimensions; 1×1 convolutions.

    Six layers, as in DFR: ReLUs but behind the bottleneck and the last.
    """

    reads_pixels = False

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        wide, narrow = (dimensions + width) // 2, 2 * width
        self.hidden = nn.Sequential(
            Conv(dimensions, wide, 1), nn.ReLU(), Conv(wide, narrow, 1), nn.ReLU(), Conv(narrow, width, 1),
            Conv(width, narrow, 1), nn.ReLU(), Conv(narrow, wide, 1), nn.ReLU(),
        )  # fmt: skip
        self.head = Conv(wide, dimensions, 1)

    def forward(self, descriptors: Tensor) -> Tensor:
        """See the class; float32."""
        found: Tensor = self.head(self.hidden(descriptors))
        return found.float()


Student = PixelStudent | Autoencoder


def new_student(form: str, dimensions: int, stride: int, width: int, blocks: int, seed: int) -> Student:
    """A student before its first step: its weights are a function of `seed`. Raises `InputError` as `PixelStudent`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if form == "autoencoder":
            return Autoencoder(dimensions, width)
        return PixelStudent(dimensions, stride, width, blocks)


def head_of(student: Student) -> nn.Conv2d:
    """The last convolution, 1×1 and linear: what is linear behind it can be written into it."""
    return student.head
