"""Runs, opened or made in memory: what the tests of several rooms need of one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.recipe import HealthLimits
from runtime.scoring import Scoring

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from calibration.calibrated import CalibratedRun
    from calibration.image_evidence import ImageEvidence
    from calibration.maps import Moments, Positions
    from train.data import Split
    from train.ensemble import Scale


def opened(run: Path) -> "CalibratedRun":
    """A run folder that was trained and calibrated, on the CPU."""
    from calibration.calibrated import with_statistics
    from calibration.methods import open_run

    return with_statistics(open_run(run, "cpu"))


def run_of(
    scales: "Sequence[Scale]",
    moments: "Sequence[Moments]",
    size_hw: tuple[int, int],
    stride: int,
    scoring: Scoring | None = None,
    positions: "Positions | None" = None,
    relative: bool = False,
    split: "Split | None" = None,
    image: "ImageEvidence | None" = None,
) -> "CalibratedRun":
    """A calibrated run of these networks and statistics, that no folder holds."""
    import torch

    from calibration.calibrated import CalibratedRun
    from calibration.methods.students import StudentsRun
    from train.data import Split
    from train.options import StudentsConfig
    from train.run_folder import RunFolder

    config = StudentsConfig(
        teachers=("made up",) * len(scales),
        students=len(scales[0].students),
        size_hw=size_hw,
        output_stride=stride,
        relative=relative,
        image_evidence=image is not None,
        scoring=scoring or Scoring(),
    )
    nothing = split or Split((), (), (), {})
    trained = StudentsRun(RunFolder(Path("nowhere")), config, nothing, tuple(scales), torch.device("cpu"))
    return CalibratedRun(trained, tuple(moments), positions, image, HealthLimits(0, 255, 1, 0.5, 2), 0.2, 0.95)


def bank_of(
    backbone: str,
    stages: tuple[str, ...],
    size_hw: tuple[int, int],
    frames: "NDArray[np.uint8]",
    image_evidence: bool = True,
    rows: int = 40,
) -> "CalibratedRun":
    """A run of a memory bank of some descriptors of prepared frames [n, H, W, 3], that no folder holds.

    The evidence of the whole frame is of the same frames, half of them for reference; the map is left as it is.
    """
    import torch

    from calibration.calibrated import CalibratedRun
    from calibration.image_evidence import fit_image_evidence
    from calibration.maps import Moments, Positions
    from calibration.methods.memory_bank import MemoryBankRun
    from train.backbones.features import features_of
    from train.data import Split
    from train.memory_bank import MemoryBank
    from train.options import MemoryBankConfig
    from train.run_folder import RunFolder

    config = MemoryBankConfig(backbone=backbone, stages=stages, size_hw=size_hw, image_evidence=image_evidence)
    features = features_of(config)
    pixels = torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255
    descriptors, pooled = features(pixels)
    vectors = descriptors.permute(0, 2, 3, 1).flatten(0, 2)
    chosen = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(0))[:rows]
    owners = (chosen // (len(vectors) // len(frames))).to(torch.int32)
    memory = MemoryBank(vectors[chosen].contiguous(), owners, tuple(map(str, range(len(frames)))))
    nothing = Split((), (), (), {})
    trained = MemoryBankRun(RunFolder(Path("nowhere")), config, nothing, features, memory, torch.device("cpu"))
    limits = HealthLimits(0, 255, 1, 0.5, 2)
    positions = Positions(torch.zeros(size_hw), torch.ones(size_hw))
    image = fit_image_evidence(pooled, slice((len(frames) + 1) // 2)) if image_evidence else None
    return CalibratedRun(trained, (Moments(0.0, 1.0),), positions, image, limits, 0.2, 0.95)
