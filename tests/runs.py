"""A run folder, opened: what the tests of several rooms need of one."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibration.calibrated import CalibratedRun


def opened(run: Path) -> "CalibratedRun":
    """A run folder that was trained and calibrated, on the CPU."""
    from calibration.calibrated import with_statistics
    from calibration.methods import open_run

    return with_statistics(open_run(run, "cpu"))
