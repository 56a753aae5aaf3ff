"""The convolutional autoencoder of Bergmann et al., *Improving Unsupervised Defect Segmentation by Applying Structural
Similarity to Autoencoders* (2018, VISAPP 2019, table 1), trained on random patches and laid over whole frames.

`autoencoder` and `ssim_autoencoder` choose its loss and its residual. Deviations: steps in place of 200 epochs over
10,000 stored patches, and patches are drawn anew for each step; no augmentation; the size of a batch is ours.

Checked against Bergmann et al. (*MVTec AD*, CVPR 2019, section 4.1.2): patches of 128 pixels every 30, averaged, 100
latent dimensions, 10,000 augmented patches (section 4.2). There, objects are not cut into patches but zoomed to 256
pixels, with one more layer. The layers of table 1 and the slope: against a public implementation, which puts a leaky
ReLU behind the latent vector too. Not checked: 200 epochs, the rate and the weight decay.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.methods.base import Frames, MapMethod, Maps, as_pixels, check_frames, fitted
from benchmarks.methods.bounds import above_zero, at_least
from benchmarks.methods.patches import averaged_over_patches, check_patch, random_patches
from benchmarks.methods.training import WEIGHTS, minimize, seeded
from runtime.errors import InputError

SHRINKS = 16  # pixels of a patch to one of the encoder's last map


@dataclass(frozen=True)
class PatchOptions:
    """Options that both losses share."""

    patch: int = 128  # side, pixels
    stride: int = 30  # between patches of a frame that is scored
    latent: int = 100
    width: int = 32  # channels of the first layers
    steps: int = 5_000
    batch_size: int = 16
    learning_rate: float = 2e-4
    weight_decay: float = 1e-5

    def __post_init__(self) -> None:
        at_least(self, latent=1, width=1, steps=1, batch_size=1, weight_decay=0)
        above_zero(self, "learning_rate")


def encoder_layers(patch: int, latent: int, width: int) -> list[tuple[int, int, int, int, int]]:
    """Channels in and out, kernel, stride and padding of each convolution of the encoder (table 1)."""
    if patch < 2 * SHRINKS or patch % SHRINKS:
        raise InputError(f"patch is {patch}; expected a multiple of {SHRINKS} pixels, {2 * SHRINKS} or more")
    w = width
    return [
        (3, w, 4, 2, 1), (w, w, 4, 2, 1), (w, w, 3, 1, 1), (w, 2 * w, 4, 2, 1), (2 * w, 2 * w, 3, 1, 1),
        (2 * w, 4 * w, 4, 2, 1), (4 * w, 2 * w, 3, 1, 1), (2 * w, w, 3, 1, 1), (w, latent, patch // SHRINKS, 1, 0),
    ]  # fmt: skip


def autoencoder(patch: int, latent: int, width: int) -> nn.Sequential:
    """The encoder of table 1 and its mirror image; leaky ReLUs of slope 0.2, both ends linear."""
    forward = encoder_layers(patch, latent, width)
    layers: list[nn.Module] = []
    for c_in, c_out, kernel, stride, padding in forward:
        layers += [nn.Conv2d(c_in, c_out, kernel, stride, padding), nn.LeakyReLU(0.2)]
    layers.pop()
    for c_in, c_out, kernel, stride, padding in reversed(forward):
        layers += [nn.ConvTranspose2d(c_out, c_in, kernel, stride, padding), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class PatchAutoencoder(MapMethod):
    """An autoencoder of patches with a loss (reconstructed, original → number) and a residual (→ maps [b, p, p])."""

    def __init__(
        self,
        options: PatchOptions,
        loss: Callable[[Tensor, Tensor], Tensor],
        residual: Callable[[Tensor, Tensor], Tensor],
        seed: int,
        device: str = "cpu",
    ) -> None:
        encoder_layers(options.patch, options.latent, options.width)  # a patch that does not fit is refused here
        self.options, self.loss, self.residual, self.seed, self.device = options, loss, residual, seed, device
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Raises `InputError` for frames smaller than a patch, or when the training diverges."""
        size_hw, options = check_frames(good), self.options
        check_patch(size_hw, options.patch, options.stride)
        with seeded(self.seed, WEIGHTS):
            network = autoencoder(options.patch, options.latent, options.width).to(self.device)

        def loss(indices: Tensor, step: int) -> Tensor:
            patches = random_patches(good, indices, options.patch, self.device, self.seed, step)
            return self.loss(network(patches), patches)

        minimize(
            loss, network.parameters(), len(good), steps=options.steps, batch_size=options.batch_size,
            learning_rate=options.learning_rate, weight_decay=options.weight_decay, seed=self.seed, name="autoencoder",
        )  # fmt: skip
        self.network, self.size_hw = network.eval(), size_hw

    @torch.no_grad()
    def maps(self, frames: Frames) -> Maps:
        """See `MapMethod`. A pixel's value is the mean over the patches that cover it, as in the paper."""
        check_frames(frames, fitted(self.size_hw))
        side, stride = self.options.patch, self.options.stride
        found = [averaged_over_patches(x, side, stride, self._residuals) for x in as_pixels(frames, self.device)]
        return np.asarray(torch.stack(found).cpu().numpy(), np.float32)

    def _residuals(self, patches: Tensor) -> Tensor:
        return self.residual(self.network(patches), patches)
