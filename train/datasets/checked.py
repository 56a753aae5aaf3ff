"""A category whose every file is read before hours of work, so that a bad one is named at once."""

from pathlib import Path

from tqdm import tqdm

from runtime.images import read_image
from train.datasets.images import Subset, TestImage, read_pixels, select
from train.datasets.registry import read_test_set, training_images
from train.masks import describe_cover


def checked_category(data: Path, subset: Subset, layout: str | None = None) -> tuple[list[Path], list[TestImage]]:
    """The good images to train on, and the test images of a subset; warns of masks that mark implausibly much.

    Raises as `read_test_set`, `select`, `read_pixels` and `read_image`.
    """
    training, test = training_images(data, layout), select(read_test_set(data, layout), subset)
    covers = []
    with tqdm(
        total=len(training) + len(test), desc=f"{data.name}, check", unit="image", leave=False, disable=None
    ) as bar:
        for path in training:
            read_image(path)
            bar.update()
        for image in test:
            marked = read_pixels(image)[1]
            bar.update()
            if marked is not None and image.label:
                covers.append((image.path.name, float(marked.mean())))
    if warning := describe_cover(covers):
        print(f"warning: {warning}")
    return training, test
