"""The photographs that a teacher is pretrained on, and those held out to measure it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from runtime.errors import InputError
from runtime.images import list_images, read_image
from train.options import TeacherConfig
from train.patches import ZOOM_RANGE, PatchSampler, Photographs, without_excess
from train.progress import Progress
from train.seeds import PHOTOGRAPH_SPLIT, generator

HELD_OUT_FRACTION = 0.05  # of the photographs


@dataclass(frozen=True)
class PhotographSplit:
    """Samplers over the training and the held-out photographs, and what a teacher's card says of them."""

    training: PatchSampler
    held_out: PatchSampler
    card: dict[str, object]


def held_out_count(photographs: int) -> int:
    """How many of so many photographs are never trained on."""
    return max(2, round(photographs * HELD_OUT_FRACTION))


def sampler_of(photographs: Photographs, config: TeacherConfig) -> PatchSampler:
    """Draws patches of photographs, or views of them, as the options say."""
    if config.dense is None:
        return PatchSampler(photographs, config.patch_size, config.zoom_cap, config.luminance)
    least, largest = (int(factor * config.patch_size) for factor in ZOOM_RANGE)
    sides = (max(least, config.dense), largest)  # from the view's side on, it lies inside its photograph
    return PatchSampler(photographs, config.dense, config.zoom_cap, short_sides=sides)


def read_photographs(config: TeacherConfig, device: torch.device) -> PhotographSplit:
    """The folder `config.data`, split by `config.seed`. Raises `InputError` for fewer than four images."""
    paths = list_images(Path(config.data))
    if len(paths) < 4:
        raise InputError(f"{config.data} holds {len(paths)} images; a teacher needs 4 or more (thousands, to be good)")
    bar = Progress(paths, "photographs", len(paths), unit="image")
    images = [without_excess(read_image(path), config.patch_size) for path in bar]
    order = torch.randperm(len(paths), generator=generator(config.seed, PHOTOGRAPH_SPLIT)).tolist()
    count = held_out_count(len(paths))

    def sampler(indices: list[int]) -> PatchSampler:
        return sampler_of(Photographs.pack([images[i] for i in indices], device), config)

    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    card = {"photographs": len(paths), "photographs_sha256": digest.hexdigest()}
    return PhotographSplit(sampler(order[count:]), sampler(order[:count]), card)
