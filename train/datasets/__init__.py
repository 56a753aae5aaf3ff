"""Data sets on disk: good images to train on, and test images with their labels and masks, layout by layout.

A layout is a module here that says in its docstring what it expects; `registry` lists them. `read_test_set` recognises
the layout of a folder, or takes its name.

Settings are tuned on one half of the images and reported on the other. The halves are told apart by content, so that
they stay the same under any file name: *even* and *odd* are the parity of a file's SHA-256, read as an integer.
"""

from train.datasets.images import (
    GOOD,
    Subset,
    TestImage,
    content_parity,
    copies_among,
    mask_files,
    read_pixels,
    select,
)
from train.datasets.layout import Layout
from train.datasets.registry import (
    LAYOUTS,
    good_images,
    layout_of,
    read_test_set,
    sorted_layout,
    training_images,
)
from train.datasets.seen import images_made_from, without_seen

__all__ = [
    "GOOD",
    "LAYOUTS",
    "Layout",
    "Subset",
    "TestImage",
    "content_parity",
    "copies_among",
    "good_images",
    "images_made_from",
    "layout_of",
    "mask_files",
    "read_pixels",
    "read_test_set",
    "select",
    "sorted_layout",
    "training_images",
    "without_seen",
]
