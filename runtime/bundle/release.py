"""A release as install.sh lays it out: which of its files say that a folder is one."""

import os
from pathlib import Path

from runtime.location import Location

SETTINGS = "bundle.env"


def of_its_release(location: Location) -> Location:
    """A detector that lies in an installed release, by that release's own folder, whatever link led there.

    ``PREFIX/current`` leads to another release after an update, and a line that runs goes on with the one that it was
    started from, also when it opens its detector again. Any other location is as it was.
    """
    if not isinstance(location, Path):
        return location
    real = Path(os.path.realpath(location))
    return real if (real.parent / SETTINGS).is_file() else location
