"""AnoGAN (Schlegl et al., *Unsupervised Anomaly Detection with Generative Adversarial Networks to Guide Marker
Discovery*, IPMI 2017).

A DCGAN (Radford et al. 2016) learns good patches. For each patch of a frame, gradient descent searches the latent
vector whose generated patch is nearest: (1 − λ) · Σ|x − G(z)| + λ · Σ|f(x) − f(G(z))| (section 2.2, λ = 0.1), with f
the discriminator's last but one layer. The absolute residual after the search is the map (section 2.3). The image
score is the highest loss that the search of one of its patches ends with.

Deviations: colour patches; both sums are means, since in a sum the residual's weight depends on the size of the patch;
a smaller network for CPUs (`width` 64 is DCGAN's); steps in place of epochs; the rate of the search is ours.

Checked: the noise, which is uniform, both losses, λ, 500 search steps, score and residual, against public notes that
quote the paper. Bergmann et al. (*MVTec AD*, CVPR 2019, section 4.1.1), whose figures their later papers print, set
other values for the same method: patches of 128 pixels every 128, 64 latent dimensions, 300 steps at a rate of 0.02,
and the ℓ2 distance of each pixel as the map. Not checked: 64 pixels and 100 dimensions, which are DCGAN's.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.methods.base import Frames, Inspected, Maps, Method, Setting, as_pixels, check_frames, fitted
from benchmarks.methods.bounds import above_zero, at_least
from benchmarks.methods.patches import averaged_over_patches, check_patch, random_patches
from benchmarks.methods.training import NOISE, SEARCH, WEIGHTS, minimize, seeded
from runtime.errors import InputError
from train.seeds import generator


@dataclass(frozen=True)
class Options:
    """Options of AnoGAN."""

    patch: int = 64  # side, pixels
    stride: int = 64  # between patches of a frame that is scored
    latent: int = 100
    width: int = 32  # channels of the layer nearest the image
    steps: int = 5_000
    batch_size: int = 32
    learning_rate: float = 2e-4
    search_steps: int = 500
    search_rate: float = 1e-2
    discrimination: float = 0.1  # λ

    def __post_init__(self) -> None:
        at_least(self, latent=1, width=1, steps=1, batch_size=1, search_steps=0)
        above_zero(self, "learning_rate", "search_rate")


class Generator(nn.Module):
    """Latent vectors [b, z] to patches [b, 3, p, p] in [−1, 1]: transposed convolutions, batch norm, ReLU, tanh."""

    def __init__(self, patch: int, latent: int, width: int) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(_levels(patch))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent, channels[-1], 4, 1, 0, bias=False)]
        for c_in, c_out in zip(channels[:0:-1], channels[-2::-1], strict=True):
            layers += [nn.BatchNorm2d(c_in), nn.ReLU(), nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers).apply(_initialize)

    def forward(self, latent: Tensor) -> Tensor:
        """See the class."""
        patches: Tensor = self.layers(latent[:, :, None, None])
        return patches


class Discriminator(nn.Module):
    """Patches to logits [b], high for real ones; strided convolutions, batch norm, leaky ReLU of slope 0.2."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(_levels(patch))]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for c_in, c_out in pairwise(channels):
            layers += [nn.Conv2d(c_in, c_out, 4, 2, 1, bias=False), nn.BatchNorm2d(c_out), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers).apply(_initialize)
        self.head = nn.Conv2d(channels[-1], 1, 4, 1, 0).apply(_initialize)

    def forward(self, patches: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.head(self.features(patches))
        return logits.flatten()


def _levels(patch: int) -> int:
    levels = patch.bit_length() - 3  # from 4×4 pixels, doubled each
    if levels < 1 or patch != 4 << levels:
        raise InputError(f"patch is {patch}; expected a power of two, 8 pixels or more")
    return levels


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)  # DCGAN
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class AnoGan(Method):
    """A generator of good patches, and the search for what it would have made of a frame's."""

    def __init__(self, options: Options, seed: int, device: str = "cpu") -> None:
        if not 0 <= options.discrimination <= 1:
            raise InputError(f"discrimination is {options.discrimination}; expected a weight of 0 to 1")
        _levels(options.patch)
        self.options, self.seed, self.device = options, seed, device
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Raises `InputError` for frames smaller than a patch, or when the training diverges."""
        size_hw, options = check_frames(good), self.options
        check_patch(size_hw, options.patch, options.stride)
        with seeded(self.seed, WEIGHTS):
            self.generator = Generator(options.patch, options.latent, options.width).to(self.device)
            self.discriminator = Discriminator(options.patch, options.width).to(self.device)
        critic = torch.optim.Adam(self.discriminator.parameters(), options.learning_rate, (0.5, 0.999))

        def generator_loss(indices: Tensor, step: int) -> Tensor:
            """A step of the discriminator, then the loss of the generator against it."""
            real = random_patches(good, indices, options.patch, self.device, self.seed, step) * 2 - 1
            latent = _noise(len(real), options.latent, generator(self.seed, NOISE, step)).to(real)
            fake = self.generator(latent)
            loss = adversarial(self.discriminator(real), True) + adversarial(self.discriminator(fake.detach()), False)
            critic.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            critic.step()
            return adversarial(self.discriminator(fake), True)

        minimize(
            generator_loss, self.generator.parameters(), len(good), steps=options.steps, batch_size=options.batch_size,
            learning_rate=options.learning_rate, betas=(0.5, 0.999), seed=self.seed, name="anogan",
        )  # fmt: skip
        for network in (self.generator, self.discriminator):
            network.eval().requires_grad_(False)
        self.size_hw = size_hw

    def inspect(self, frames: Frames) -> Inspected:
        """See `Method`."""
        check_frames(frames, fitted(self.size_hw))
        found = [self._inspect(pixels) for pixels in as_pixels(frames, self.device)]
        return Inspected(np.stack([m for m, _ in found]), np.array([score for _, score in found], np.float32))

    def maps(self, frames: Frames) -> Maps:
        """The maps alone; the image scores do not follow from them."""
        maps = self.inspect(frames).maps
        assert maps is not None
        return maps

    def _inspect(self, pixels: Tensor) -> tuple[Maps, float]:
        losses = []

        def residual(patches: Tensor) -> Tensor:
            generated, loss = self.searched(patches * 2 - 1)
            losses.append(loss)
            return (patches * 2 - 1 - generated).abs().mean(dim=1)

        found = averaged_over_patches(pixels, self.options.patch, self.options.stride, residual)
        return np.asarray(found.cpu().numpy(), np.float32), float(torch.cat(losses).max())

    def searched(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """The generated patches nearest to `patches` [b, 3, p, p] in [−1, 1] that the search finds, and its loss [b].

        Every patch starts from the same latent vector, so that its result does not depend on the others.
        """
        options = self.options
        start = _noise(1, options.latent, generator(self.seed, SEARCH)).to(patches)
        latent = start.repeat(len(patches), 1).requires_grad_()
        optimizer = torch.optim.Adam([latent], options.search_rate)
        target = self.discriminator.features(patches)
        for _ in range(options.search_steps):
            optimizer.zero_grad(set_to_none=True)
            self._search_loss(latent, patches, target).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            return self.generator(latent), self._search_loss(latent, patches, target)

    def _search_loss(self, latent: Tensor, patches: Tensor, target: Tensor) -> Tensor:
        """The weighted sum of section 2.2, [b]."""
        generated = self.generator(latent)
        residual = (patches - generated).abs().mean(dim=(1, 2, 3))
        discrimination = (target - self.discriminator.features(generated)).abs().mean(dim=(1, 2, 3))
        weight = self.options.discrimination
        loss: Tensor = (1 - weight) * residual + weight * discrimination
        return loss


def _noise(count: int, latent: int, draw: torch.Generator) -> Tensor:
    """Latent vectors [count, latent], uniform in [−1, 1]."""
    return torch.rand(count, latent, generator=draw) * 2 - 1


def adversarial(logits: Tensor, real: bool) -> Tensor:
    """Cross entropy of a discriminator's logits with a label that all of them share."""
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def make(options: Options, setting: Setting) -> Method:
    """The method."""
    return AnoGan(options, setting.seed, setting.device)
