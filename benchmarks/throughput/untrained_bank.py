"""Memory banks that nobody filled: random descriptors, and random statistics, over the real backbone."""

from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.throughput.untrained import ANY_FRAME, Untrained
from calibration.calibrated import CalibratedRun
from calibration.image_evidence import ImageEvidence
from calibration.maps import Moments, Positions
from calibration.methods.memory_bank import MemoryBankRun
from train.backbones.features import Features
from train.data import Split
from train.memory_bank import MemoryBank, MemoryBankConfig, features_of
from train.run_folder import RunFolder


def untrained_bank(config: MemoryBankConfig) -> Untrained:
    """The detector of `config` with as many random descriptors as it asks for; a square where no size is given.

    Raises `InputError` for a backbone that is not there, or without the stages asked for.
    """
    config = replace(config, size_hw=config.size_hw or (config.side, config.side))
    features, cpu = features_of(config), torch.device("cpu")
    with torch.random.fork_rng(devices=[]):
        bank = torch.randn(config.coreset, features.dimensions)
        memory = MemoryBank(bank, torch.zeros(len(bank), dtype=torch.int32), ("no picture",))
        trained = MemoryBankRun(RunFolder(Path()), config, Split((), (), (), {}), features, memory, cpu)
        moments = tuple(Moments(*(1.5 + torch.rand(2)).tolist()) for _ in trained.kinds)
        by_position, size_hw = config.scoring.by_position, config.frame_hw
        positions = Positions(torch.randn(size_hw), 0.5 + torch.rand(size_hw)) if by_position else None
        image = _image_evidence(features) if config.image_evidence else None
    return Untrained(CalibratedRun(trained, moments, positions, image, ANY_FRAME, 1.0, 0.95))


def _image_evidence(features: Features) -> ImageEvidence:
    count = 2 * sum(stage.channels for stage in features.pooled)  # mean and deviation of each
    centre, deviation = torch.randn(count), 0.5 + torch.rand(count)
    return ImageEvidence(centre, deviation, torch.randn(count + 1, count + 1), *(1.5 + torch.rand(2)).tolist())
