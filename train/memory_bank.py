"""A memory bank of good descriptors: PatchCore (Roth et al., *Towards Total Recall in Industrial Anomaly Detection*,
CVPR 2022) over a patch network of ours.

Training describes all images and keeps a greedy coreset of the descriptors (algorithm 1); nothing is learned. Evidence
is the distance to the nearest of them.

Deviations: descriptors are those of a teacher, dense, in place of locally averaged ResNet stages. The coreset is a
number of descriptors, not a share, so that a frame costs the same whatever the training set. The score is taken from
the smoothed map as for every method here, not from the highest patch re-weighted by equations 6 and 7.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm import tqdm

from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.scoring import Scoring
from runtime.typed import option
from train.checks import check_size
from train.claim import claimed_split
from train.coreset import greedy_coreset
from train.data import PreparedImages, file_sha256
from train.dense import dense_descriptors, reflect_padded
from train.device import resolve_device
from train.ensemble import channels_last, pixels_from_frames, teacher_path
from train.files import load_network, save_network
from train.networks import PatchNetwork
from train.run_folder import RunFolder

BANK, TEACHER = "memory-bank.safetensors", "teacher.safetensors"
FEWEST = 2  # descriptors in a bank


@dataclass(frozen=True)
class MemoryBankConfig:
    """Options of a memory bank, and all else that changes a score."""

    METHOD: ClassVar[str] = "memory-bank"

    data: str = option("", "good images: a flat folder, or one in the MVTec AD layout")
    teacher: str = option("p33-half", "whose descriptors are kept: the name of a shipped teacher, or a file")
    size_hw: tuple[int, int] = option((256, 256), "height,width of the prepared frame in pixels")
    output_stride: int = option(8, "keep and compare the descriptors of every s-th position", (1, 2, 4, 8))
    coreset: int = option(4_000, "descriptors in the bank")
    projected: int = option(128, "dimensions in which the coreset is chosen")
    scoring: Scoring = field(default_factory=partial(Scoring, smoothing=4.0))  # as the authors' code
    holdout: float = option(0.2, "share of the images held out, a quarter for statistics, the rest for the threshold")
    seed: int = option(0, "of the coreset")
    device: str = option("auto", "where to compute", ("auto", "cpu", "cuda"))

    def __post_init__(self) -> None:
        """Raises `InputError` for the first option that cannot be used."""
        check_size(self.size_hw)
        self.scoring.check(self.size_hw)
        for name, least in (("coreset", FEWEST), ("projected", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; expected {least} or more")


@dataclass(frozen=True)
class MemoryBank:
    """A finished bank: descriptors float32 [m, 128] and the network that describes."""

    bank: Tensor
    network: PatchNetwork
    teacher_sha256: str  # of the teacher's file


def train_memory_bank(config: MemoryBankConfig, out: Path) -> None:
    """Fill the run folder `out`. Holds the descriptors of all images at once, 512 bytes each.

    Raises `InputError` for unusable images, teachers or options.
    """
    config = replace(config, device=resolve_device(config.device))
    folder = RunFolder(out)
    folder.check(config)
    source = teacher_path(config.teacher)
    network, card, _ = load_network(source)
    pixels = torch.zeros(1, 1, *config.size_hw)
    split = claimed_split(folder, config, lambda: reflect_padded(network.layers, pixels, config.output_stride))
    if (out / BANK).exists():
        return
    network = channels_last(network.eval().requires_grad_(False).to(config.device))  # type: ignore[assignment]
    images = PreparedImages(split.training, config.size_hw)
    described = _described(network, images, config)
    vectors = torch.cat([each.flatten(2).transpose(1, 2).reshape(-1, each.shape[1]) for each in described])
    chosen = vectors[greedy_coreset(vectors, config.coreset, config.seed, config.projected)]
    save_network(out / TEACHER, network, {**card, "teacher_sha256": file_sha256(source)})
    write_atomically(out / BANK, save({"bank": chosen.cpu().contiguous()}))
    folder.log(images=len(images), descriptors=len(vectors), bank=len(chosen))
    print(f"memory bank of {len(chosen):,} of {len(vectors):,} descriptors, of {len(images):,} images")


def load_memory_bank(run: Path) -> MemoryBank:
    """The bank in a run folder. Raises `InputError` when it is not finished or damaged."""
    if not (run / BANK).is_file():
        raise InputError(f"{run} is not trained to the end; go on with python -m train --method memory-bank")
    network, card, _ = load_network(run / TEACHER)
    if "teacher_sha256" not in card:
        raise InputError(f"{run / TEACHER} is not the one that this run wrote; train again in a new run folder")
    bank = _bank(run / BANK, network.conv(len(network.convs) - 1).out_channels)
    return MemoryBank(bank, network.eval().requires_grad_(False), str(card["teacher_sha256"]))


def _bank(path: Path, dimensions: int) -> Tensor:
    """The descriptors in a file, [m, dimensions]. Raises `InputError` for a file that holds none of these."""
    try:
        bank: Tensor = load_file(path)["bank"]
        usable = bank.ndim == 2 and bank.shape[1] == dimensions and len(bank) > 0 and bool(bank.isfinite().all())
    except (OSError, SafetensorError, KeyError):
        usable = False
    if not usable:
        raise InputError(f"{path} is damaged, or of another teacher; delete it, and train again")
    return bank


def describe(network: PatchNetwork, pixels: Tensor, stride: int) -> Tensor:
    """Descriptors float32 [N, 128, h, w] of images [N, 3, H, W], RGB in [0, 1]."""
    return dense_descriptors(network, pixels.contiguous(memory_format=torch.channels_last), stride, "atrous").float()


@torch.no_grad()
def _described(network: PatchNetwork, images: PreparedImages, config: MemoryBankConfig) -> Iterator[Tensor]:
    for index in tqdm(range(len(images)), "descriptors", unit="image", disable=None, leave=False):
        frame = torch.from_numpy(images[index])[None].to(config.device)
        yield describe(network, pixels_from_frames(frame), config.output_stride).cpu()
