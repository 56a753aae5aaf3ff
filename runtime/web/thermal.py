"""The machine's temperatures, as Linux's thermal zones say them."""

from contextlib import suppress
from pathlib import Path


def temperatures(folder: str) -> dict[str, float]:
    """Degrees Celsius by zone, from ``thermal_zone*/temp``, by the names in ``type``; zones that fail are left out."""
    found = {}
    for zone in sorted(Path(folder).glob("thermal_zone*")):
        with suppress(OSError, ValueError):
            degrees = int((zone / "temp").read_text()) / 1000
            kind = (zone / "type").read_text().strip() if (zone / "type").is_file() else zone.name
            found[kind if kind not in found else zone.name] = degrees
    return found
