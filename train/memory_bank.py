"""A memory bank of good descriptors: PatchCore (Roth et al., *Towards Total Recall in Industrial Anomaly Detection*,
CVPR 2022) over a pretrained backbone.

Training describes all images and keeps a few thousand of their descriptors; nothing is learned. Evidence is the
distance to the nearest of them.

Deviations. The bank is made so that each image can be left out of it in turn, exactly, which is what the threshold is
proven by (`calibration.threshold`, jackknife-minmax). Half of the images are for reference: their greedy coreset
(algorithm 1) is one half of the bank, and normalizations come from them. Each of the others adds the few of its own
descriptors that lie farthest from the reference and from each other. So what an image adds depends on nothing but the
reference and itself, and the bank without it is the bank that would have been made without it, for a number of
descriptors each. Together they fill the bank: the number is the room over the number of images, rounded down, and those
of the lowest hashes add one more (of more images than there is room for, these alone add one). So it is a matter of an
image's own content and of where all images together draw the line. Normalizations come from the reference images as the
whole bank sees them; the proof takes these and that line as given. A coreset of all images at once finds about as much,
and nothing can be left out of it. The bank has a number of descriptors, not a share, so that a frame costs the same
whatever the training set. The score is taken from the smoothed map as for every method here, not from the highest patch
re-weighted by equations 6 and 7.
"""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from runtime.alignment import Alignment
from runtime.atomic import write_atomically
from runtime.errors import InputError
from train.alignment import alignment_of_run
from train.backbones import backbone_path
from train.backbones.features import Features, features_of
from train.claim import claimed_split
from train.coreset import greedy_coreset
from train.data import PreparedImages, Split, split_in_turn
from train.device import resolve_device
from train.ensemble import pixels_from_frames
from train.options import MemoryBankConfig
from train.progress import Progress
from train.regions import looked_at
from train.run_folder import RunFolder
from train.shape import with_frame_shape

BANK, BACKBONE = "memory-bank.safetensors", "backbone.safetensors"
REFERENCE_SHARE = 0.5  # of the bank
# descriptors of an image that may come into the bank: so many for all images together, within these limits for each.
# They are a coreset, too: of a random subset the rare ones would be missing, and good parts be rejected for them
CANDIDATES, FEWEST_CANDIDATES, MOST_CANDIDATES = 40_000, 64, 256


@dataclass(frozen=True)
class MemoryBank:
    """Good descriptors float32 [m, D], and which picture each is of, [m], by index into `pictures`."""

    bank: Tensor
    owners: Tensor
    pictures: tuple[str, ...]  # their keys; see `train.data.Split.picture`

    def without(self, picture: str) -> "MemoryBank":
        """The bank that would have been made without a picture; all of it for one that it does not know."""
        if picture not in self.pictures:
            return self
        others = self.owners != self.pictures.index(picture)
        return replace(self, bank=self.bank[others], owners=self.owners[others])


def train_memory_bank(config: MemoryBankConfig, out: Path) -> None:
    """Fill the run folder `out`. Holds at most `MOST_CANDIDATES` descriptors of each image at once.

    Raises `InputError` for unusable images, backbones or options.
    """
    folder = RunFolder(out)
    config = with_frame_shape(replace(config, device=resolve_device(config.device)), folder)
    folder.check(config)  # before anything is put into a folder that is none of ours
    with folder.only_one():
        _fill(config, folder)


def _fill(config: MemoryBankConfig, folder: RunFolder) -> None:
    kept = folder.path / BACKBONE  # a run goes on with the one that it was begun with
    features = features_of(config, str(kept) if kept.is_file() else None)
    split = claimed_split(folder, config, partial(split_in_turn, reference=config.reference))
    if (folder.path / BANK).exists():
        return
    if not kept.is_file():
        write_atomically(kept, backbone_path(config.backbone).read_bytes())
    made = _made(features.to(config.device), split, config, alignment_of_run(folder, config))
    write_atomically(
        folder.path / BANK,
        save({"bank": made.bank, "owners": made.owners}, metadata={"pictures": json.dumps(made.pictures)}),
    )
    images = len(made.pictures)
    folder.log(images=images, bank=len(made.bank))
    print(f"memory bank of {len(made.bank):,} descriptors, of {images:,} images")


def _made(features: Features, split: Split, config: MemoryBankConfig, alignment: Alignment | None) -> MemoryBank:
    """The bank of the different pictures of a split."""
    reference, others = split.different(split.statistics), split.different(split.training)
    images = PreparedImages((*reference, *others), config.frame_hw, alignment, config.seen)
    candidates = _candidates(features, images, config)
    first, rest = candidates[: len(reference)], candidates[len(reference) :]
    owners = torch.cat([torch.full((len(each),), number) for number, each in enumerate(first)])
    described = torch.cat(first)
    chosen = greedy_coreset(described, round(config.coreset * REFERENCE_SHARE), config.seed, config.projected)
    base = described[chosen]
    rows, own = [base], [owners[chosen]]
    shares = shared_out(config.coreset - len(base), len(rest))
    for number, found in enumerate(Progress(rest, "coreset", len(rest), unit="image"), start=len(first)):
        added = found[greedy_coreset(found, shares[number - len(first)], config.seed, None, beside=base)]
        rows.append(added)
        own.append(torch.full((len(added),), number))
    pictures = tuple(split.picture(path) for path in (*reference, *others))
    return MemoryBank(torch.cat(rows).contiguous(), torch.cat(own).to(torch.int32), pictures)


def shared_out(room: int, images: int) -> list[int]:
    """How many descriptors each of so many images adds, in the order of their hashes, so that all of `room` is filled
    where the images have as many."""
    each, left = divmod(room, images)
    return [each + 1] * left + [each] * (images - left)


@torch.no_grad()
def _candidates(features: Features, images: PreparedImages, config: MemoryBankConfig) -> list[Tensor]:
    """Descriptors [c, D] of each image that may come into the bank.

    Of named regions those alone that have a part in what is inspected: others would take the bank's room. A rectangle
    is of the map's score, and the bank is of the whole frame.
    """
    cells = looked_at(config.scoring, config.frame_hw, features.stride)
    used = slice(None) if cells is None else torch.from_numpy(cells.ravel())
    count = min(max(CANDIDATES // len(images), FEWEST_CANDIDATES), MOST_CANDIDATES)
    found = []
    for index in Progress(range(len(images)), "descriptors", len(images), unit="image"):
        frame = torch.from_numpy(images[index])[None].to(config.device)
        vectors = features(pixels_from_frames(frame))[0][0].flatten(1).T.cpu()[used].contiguous()
        found.append(vectors[greedy_coreset(vectors, count, config.seed, None)])
    return found


def load_memory_bank(run: Path, config: MemoryBankConfig) -> tuple[Features, MemoryBank]:
    """Features and bank of a run folder. Raises `InputError` when it is not finished or damaged."""
    if not (run / BANK).is_file():
        raise InputError(f"{run} is not trained to the end; go on with python -m train --method memory-bank")
    features = features_of(config, str(run / BACKBONE))
    return features, _read(run / BANK, features.dimensions)


def _read(path: Path, dimensions: int) -> MemoryBank:
    try:
        with safe_open(path, framework="pt") as file:
            pictures = tuple(str(each) for each in json.loads((file.metadata() or {})["pictures"]))
            found = MemoryBank(file.get_tensor("bank"), file.get_tensor("owners"), pictures)
        usable = (
            found.bank.ndim == 2
            and found.bank.shape[1] == dimensions
            and found.owners.shape == found.bank.shape[:1]
            and len(found.bank) > 0
            and bool(found.bank.isfinite().all())
            and 0 <= int(found.owners.min()) <= int(found.owners.max()) < len(pictures)
        )
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        usable = False
    if not usable:
        raise InputError(f"{path} is damaged, or of another backbone; delete it, and train again")
    return found
