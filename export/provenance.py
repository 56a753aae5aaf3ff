"""Where an exported file comes from: images, versions, commit, time."""

from runtime.recipe import Provenance
from runtime.versions import commit, now, versions
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
