"""OCGAN (Perera, Nallapati and Xiang, *OCGAN: One-class Novelty Detection Using GANs with Constrained Latent
Representations*, CVPR 2019), for one-class sets of small images.

A denoising autoencoder whose latent space is bounded by a tanh. A latent discriminator makes the codes of good images
uniform in it, a visual discriminator makes what the decoder turns uniform codes into look good, and
informative-negative mining seeks the codes that look least good, along the gradient of a classifier that tells
reconstructions from such images, and trains on those. An image's score is the mean squared error of its
reconstruction.

Deviations: images are zoomed to 32×32 pixels; networks are smaller (`width`), of other layers, and the code has 128
dimensions (the authors' example: 16); mining takes `mining_steps` of a fixed size along the gradient's sign; steps in
place of epochs; batches of 64 (512).

Checked against the authors' code (github.com/PramuPerera/OCGAN): what each network is trained on, and that the
classifier takes one step for each of the others'; Adam at 2e-4 with β₁ = 0.5; the noise, a deviation of 0.2 of pixels
in [−1, 1]; the beginning of the mining, after 150 of 201 epochs; the score. There, mining is a single long step, the
discriminators' losses are halved, the encoder ends without the tanh, and the tested images get noise too. Five steps
and the tanh are the paper's, by public notes of it. The weights of the losses are ours (1 visual, 10 latent, 50
reconstruction, for pixels in [0, 1]): on that scale the code has 1 and 10, and 1,000 by default or 20 in its example
for the reconstruction, and the notes say 1, 1 and 10 on a scale they do not name.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.methods.anogan import adversarial
from benchmarks.methods.base import Frames, Inspected, Method, Setting, as_pixels, check_frames, fitted
from benchmarks.methods.bounds import above_zero, at_least
from benchmarks.methods.descriptors import zoomed
from benchmarks.methods.training import NOISE, WEIGHTS, batches, seeded
from runtime.errors import InputError
from train.seeds import generator

SIDE = 32  # pixels


@dataclass(frozen=True)
class Options:
    """Options of OCGAN."""

    latent: int = 128
    width: int = 32  # channels of the first layers
    noise: float = 0.1  # deviation of what the encoder has to remove, for pixels in [0, 1]
    reconstruction: float = 50.0
    latent_weight: float = 10.0
    mine_from: float = 0.75  # share of the steps after which negatives are mined
    mining_steps: int = 5
    mining_rate: float = 0.05
    steps: int = 3_000
    batch_size: int = 64
    learning_rate: float = 2e-4

    def __post_init__(self) -> None:
        at_least(self, latent=1, width=1, noise=0, reconstruction=0, latent_weight=0, mining_steps=0, mining_rate=0)
        at_least(self, steps=1, batch_size=2)
        above_zero(self, "learning_rate")
        if not 0 <= self.mine_from <= 1:
            raise InputError(f"mine_from is {self.mine_from}; expected a share of 0 to 1")


def _encoder(width: int, outputs: int) -> list[nn.Module]:
    """32×32 pixels to `outputs` numbers."""
    w = width
    return [
        nn.Conv2d(3, w, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(w, 2 * w, 4, 2, 1), nn.BatchNorm2d(2 * w),
        nn.LeakyReLU(0.2), nn.Conv2d(2 * w, 4 * w, 4, 2, 1), nn.BatchNorm2d(4 * w), nn.LeakyReLU(0.2), nn.Flatten(),
        nn.Linear(4 * w * 16, outputs),
    ]  # fmt: skip


class Networks(nn.Module):
    """Encoder, decoder, the two discriminators and the classifier."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        w, latent = options.width, options.latent
        self.encoder = nn.Sequential(*_encoder(w, latent), nn.Tanh())
        self.decoder = nn.Sequential(
            nn.Linear(latent, 4 * w * 16), nn.Unflatten(1, (4 * w, 4, 4)), nn.BatchNorm2d(4 * w), nn.ReLU(),
            nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1), nn.BatchNorm2d(2 * w), nn.ReLU(),
            nn.ConvTranspose2d(2 * w, w, 4, 2, 1), nn.BatchNorm2d(w), nn.ReLU(),
            nn.ConvTranspose2d(w, 3, 4, 2, 1), nn.Sigmoid(),
        )  # fmt: skip
        self.latent_critic = nn.Sequential(
            nn.Linear(latent, 128), nn.LeakyReLU(0.2), nn.Linear(128, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
        )
        self.visual_critic = nn.Sequential(*_encoder(w, 1))
        self.classifier = nn.Sequential(*_encoder(w, 1))


class OneClassGan(Method):
    """A bounded autoencoder of one class of images."""

    def __init__(self, options: Options, seed: int, device: str = "cpu") -> None:
        self.options, self.seed, self.device = options, seed, device
        self.size_hw: tuple[int, int] | None = None

    def fit(self, good: Frames) -> None:
        """See `Method`. Raises `InputError` when the training diverges."""
        from tqdm import tqdm

        options, size_hw = self.options, check_frames(good)
        images = zoomed(good, SIDE)
        with seeded(self.seed, WEIGHTS):
            self.networks = Networks(options).to(self.device)
        nets, rate, betas = self.networks, options.learning_rate, (0.5, 0.999)
        critics = [*nets.latent_critic.parameters(), *nets.visual_critic.parameters()]
        self.optimizers = {
            "critics": torch.optim.Adam(critics, rate, betas),
            "classifier": torch.optim.Adam(nets.classifier.parameters(), rate, betas),
            "autoencoder": torch.optim.Adam([*nets.encoder.parameters(), *nets.decoder.parameters()], rate, betas),
        }
        drawn = batches(len(images), options.batch_size, options.steps, self.seed)
        for step, indices in enumerate(tqdm(drawn, "ocgan", options.steps, unit="step", leave=False, disable=None)):
            loss = self._step(as_pixels(images[indices.numpy()], self.device), step)
        if not torch.isfinite(loss):
            raise InputError(f"ocgan diverged: its last loss is {loss.item()}; use a smaller learning rate")
        self.networks.eval().requires_grad_(False)
        self.size_hw = size_hw

    @torch.no_grad()
    def inspect(self, frames: Frames) -> Inspected:
        """See `Method`. Images only: it has no map."""
        check_frames(frames, fitted(self.size_hw))
        errors = []
        for first in range(0, len(frames), 256):
            images = as_pixels(zoomed(frames[first : first + 256], SIDE), self.device)
            rebuilt = self.networks.decoder(self.networks.encoder(images))
            errors.append((rebuilt - images).square().mean(dim=(1, 2, 3)).cpu())
        return Inspected(None, np.asarray(torch.cat(errors).numpy(), np.float32))

    def _step(self, images: Tensor, step: int) -> Tensor:
        """One step of each part; the loss of the autoencoder."""
        nets, options = self.networks, self.options
        draw = generator(self.seed, NOISE, step)
        noisy = images + options.noise * torch.randn(images.shape, generator=draw).to(images)
        uniform = (torch.rand(len(images), options.latent, generator=draw) * 2 - 1).to(images)
        codes, generated = nets.encoder(noisy), nets.decoder(uniform)
        rebuilt = nets.decoder(codes)
        self._descend(
            "classifier",
            adversarial(nets.classifier(rebuilt.detach()), True)
            + adversarial(nets.classifier(generated.detach()), False),
        )
        self._descend(
            "critics",
            adversarial(nets.latent_critic(uniform), True)
            + adversarial(nets.latent_critic(codes.detach()), False)
            + adversarial(nets.visual_critic(images), True)
            + adversarial(nets.visual_critic(generated.detach()), False),
        )
        if step >= options.mine_from * options.steps:
            generated = nets.decoder(self.mined(uniform))
        loss = (
            options.reconstruction * (rebuilt - images).square().mean()
            + options.latent_weight * adversarial(nets.latent_critic(codes), True)
            + adversarial(nets.visual_critic(generated), True)
        )
        self._descend("autoencoder", loss)
        detached: Tensor = loss.detach()
        return detached

    def mined(self, codes: Tensor) -> Tensor:
        """Codes [b, z] moved, within the bounds, to where the classifier finds the decoded image least good."""
        codes = codes.detach().clone()
        for _ in range(self.options.mining_steps):
            codes.requires_grad_()
            loss = adversarial(self.networks.classifier(self.networks.decoder(codes)), False)
            (gradient,) = torch.autograd.grad(loss, codes)
            codes = (codes - self.options.mining_rate * gradient.sign()).clamp(-1, 1).detach()
        return codes

    def _descend(self, part: str, loss: Tensor) -> None:
        self.optimizers[part].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[part].step()


def make(options: Options, setting: Setting) -> Method:
    """The method."""
    return OneClassGan(options, setting.seed, setting.device)
