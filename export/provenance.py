"""Where an exported file comes from: images, versions, commit, time."""

from runtime.image_hashes import packed
from runtime.recipe import Provenance
from runtime.versions import commit, now, versions
from train.method import TrainedRun


def provenance(trained: TrainedRun) -> Provenance:
    """That of a file exported now from a run."""
    split = trained.split
    learned, statistics = split.training, split.statistics
    if trained.leaves_out or trained.shaped_by_statistics:
        learned, statistics = (*learned, *statistics), ()
    return Provenance(
        images=split.counts,
        images_sha256=split.images_sha256,
        versions=versions(),
        commit=commit(),
        created=now(),
        learned_from=packed(split.sha256[str(path)] for path in learned),
        statistics_from=packed(split.sha256[str(path)] for path in statistics),
    )
