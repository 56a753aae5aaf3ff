"""SSIM-AE (Bergmann et al., VISAPP 2019, section 3.1.4): an autoencoder trained and scored by structural similarity.

The window of 11 pixels is that of Bergmann et al. (*MVTec AD*, CVPR 2019, section 4.1.2). They turn colour images grey
first; here SSIM is averaged over the channels. The deviations of `patch_autoencoder` apply. Nothing is clipped: a
reconstruction may leave [0, 1].
"""

from dataclasses import dataclass

from torch import Tensor

from benchmarks.methods.base import MapMethod, Setting
from benchmarks.methods.bounds import at_least
from benchmarks.methods.patch_autoencoder import PatchAutoencoder, PatchOptions
from benchmarks.methods.ssim import dissimilarity_map, ssim


@dataclass(frozen=True)
class Options(PatchOptions):
    """Options of the SSIM autoencoder."""

    window: int = 11  # side of SSIM's window, pixels

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, window=1)


def make(options: Options, setting: Setting) -> MapMethod:
    """The method."""

    def loss(reconstructed: Tensor, patches: Tensor) -> Tensor:
        return (1 - ssim(reconstructed, patches, options.window)).mean()

    def residual(reconstructed: Tensor, patches: Tensor) -> Tensor:
        return dissimilarity_map(reconstructed, patches, options.window)

    return PatchAutoencoder(options, loss, residual, setting.seed, setting.device)
