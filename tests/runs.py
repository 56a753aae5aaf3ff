"""Runs of students, opened or made in memory: what the tests of several rooms need of one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.recipe import HealthLimits
from runtime.scoring import Scoring

if TYPE_CHECKING:
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
