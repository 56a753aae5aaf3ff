"""Where an exported file comes from: images, versions, commit, time."""

from datetime import datetime, timezone

from runtime.recipe import Provenance
from runtime.versions import commit, versions
from train.data import Split


def provenance(split: Split) -> Provenance:
    """That of a file exported now from the images of `split`."""
    return Provenance(
        images=split.counts,
        images_sha256=split.images_sha256,
        versions=versions(),
        commit=commit(),
        created=now(),
    )


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
