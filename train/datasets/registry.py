"""The layouts that can be read, and which of them a folder has."""

from pathlib import Path

from runtime.errors import InputError
from runtime.images import list_images
from train.datasets import btad, kolektor, kolektor2, loco, mvtec, mvtec2, plain, visa
from train.datasets.images import TestImage
from train.datasets.layout import Layout, contents, holds_images, subfolders

# A folder has the first that recognises it: the more particular stand before those they resemble
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        mvtec2.LAYOUT,
        loco.LAYOUT,
        visa.LAYOUT,
        visa.PREPARED_LAYOUT,
        btad.LAYOUT,
        kolektor2.LAYOUT,
        kolektor.LAYOUT,
        mvtec.LAYOUT,
        plain.LAYOUT,
    )
}


def layout_of(data: Path, name: str | None = None) -> Layout:
    """The layout of that name, or the one that a folder has.

    Raises `InputError` for an unknown name, a folder that is not there, and one that has none of the layouts; where its
    folders have one, they are named, since a data set is given category by category.
    """
    if name is not None and name not in LAYOUTS:
        raise InputError(f"the layout is {name!r}; expected one of {', '.join(LAYOUTS)}")
    if not data.is_dir():
        raise InputError(f"{data} is not a folder; give one that holds a data set's category")
    if name is not None:
        return LAYOUTS[name]
    layout = _recognised(data)
    if layout is not None:
        return layout
    categories = [path.name for path in subfolders(data) if _recognised(path)]
    if categories:
        raise InputError(f"{data} holds several categories; give one of them: {', '.join(categories)}")
    titles = "; ".join(each.title for each in LAYOUTS.values())
    raise InputError(
        f"{data} has none of the known layouts ({titles}); {contents(data)};"
        " sort the images into good/ and bad/, or see the modules of train/datasets"
    )


def read_test_set(data: Path, layout: str | None = None) -> list[TestImage]:
    """The test images of a category, good ones first, in the layout of that name or the one it has.

    Files are opened only where a layout keeps its labels in them. Raises `InputError` as `layout_of`, and for a folder
    that its layout does not fit.
    """
    return layout_of(data, layout).test(data)


def training_images(data: Path, layout: str | None = None) -> list[Path]:
    """The good images to train on, disjoint from the test's. Raises as `read_test_set`."""
    return layout_of(data, layout).training(data)


def good_images(data: Path) -> list[Path]:
    """The good images to train on in `data`: a category in any layout, or a folder of images that nobody has sorted.

    Of a category, what `training_images` lists. Where images lie in `data` itself, without ``train`` beside them, all
    of these; where there is ``good`` without ``bad``, all of ``good``. Raises `InputError` where there are none, where
    images lie beside ``good`` (nobody said which are meant), and as `layout_of`.
    """
    layout = sorted_layout(data)
    if layout is not None:
        return layout.training(data)
    return list_images(data / "good" if (data / "good").is_dir() else data)


def sorted_layout(data: Path) -> Layout | None:
    """The layout by which `good_images` lists a folder; None where all images in it, or in its ``good``, are good ones
    to train on. Raises `InputError` where images lie beside ``good``, and as `layout_of` where the folder is none of
    both."""
    has_train, layout = (data / "train").is_dir(), _recognised(data)
    if holds_images(data) and not has_train:
        _check_not_beside_good(data)
        return None
    if layout is plain.LAYOUT and not (data / "bad").is_dir():
        return None
    if layout is None and (has_train or any(_recognised(folder) for folder in subfolders(data))):
        return layout_of(data)  # says what is there, and what was expected
    return layout


def _check_not_beside_good(data: Path) -> None:
    if (data / "good").is_dir():
        beside = list_images(data)
        raise InputError(
            f"{data} has {len(beside)} images, such as {beside[0].name}, beside its folder good/; expected the good "
            "images in one place: move them into good/, or out of this folder where they are none to train on"
        )


def _recognised(data: Path) -> Layout | None:
    return next((layout for layout in LAYOUTS.values() if layout.recognises(data)), None)
