"""What a layout is, and what the readers of folders share: finding a folder, and pairing images with masks by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import InputError
from runtime.images import is_picture, list_images
from train.datasets.images import TestImage

ENTRIES_SHOWN = 8  # of a folder, in one message


@dataclass(frozen=True)
class Layout:
    """How a data set lays out one category on disk.

    `recognises` tells from the names of folders alone, and lets broken sets pass, so that they get this layout's own
    error. `training` lists the good images to train on, `test` the test images, good ones first; both raise
    `InputError` for what does not fit, and `test` where an image lacks its mask or a mask its image.
    """

    name: str  # as the option --layout takes it
    title: str
    recognises: Callable[[Path], bool]
    training: Callable[[Path], list[Path]]
    test: Callable[[Path], list[TestImage]]


def folder_in(data: Path, name: str, expected: str) -> Path:
    """``DATA/name``. Raises `InputError` that says what is there instead, and what was `expected`."""
    folder = data / name
    if not folder.is_dir():
        raise InputError(f"{data} has no {name}; expected the {expected}; {contents(data)}")
    return folder


def contents(folder: Path) -> str:
    """What a folder holds, in a few words."""
    if not folder.is_dir():
        return "it is not a folder"
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    more = f" and {len(names) - ENTRIES_SHOWN} more" if len(names) > ENTRIES_SHOWN else ""
    return f"it holds {', '.join(names[:ENTRIES_SHOWN]) or 'nothing'}{more}"


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted; none when it is not there."""
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def good(paths: Sequence[Path], kind: str = "good") -> list[TestImage]:
    """Good test images."""
    return [TestImage(path, False, kind, None) for path in paths]


def holds_images(folder: Path) -> bool:
    """Whether images lie in `folder` itself."""
    return folder.is_dir() and any(is_picture(path) for path in folder.iterdir())


def by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by stem, in order. Raises `InputError` for two of one stem, since masks are found by it."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise InputError(
                f"{found[path.stem]} and {path.name} differ in their ending alone; rename one, since images and masks"
                " are paired by what stands before it"
            )
        found[path.stem] = path
    return found


def masked(images: Sequence[Path], masks: Path, defect: str, ending: str = "") -> list[TestImage]:
    """Defective test images, each with the file in `masks` whose stem is its own and `ending`.

    Raises `InputError` for an image without its mask, for a mask (a file with `ending`) without its image, and for two
    files of one stem.
    """
    found = by_stem([path for path in sorted(masks.glob("*")) if is_picture(path)])
    for image in by_stem(images).values():
        if image.stem + ending not in found:
            raise InputError(f"{image} has no mask; expected {masks / f'{image.stem}{ending}.png'}")
    expected = {image.stem + ending for image in images}
    orphans = [path for stem, path in found.items() if stem.endswith(ending) and stem not in expected]
    if orphans:
        raise InputError(f"{orphans[0]} has no image in {images[0].parent}; restore the image or remove the mask")
    return [TestImage(image, True, defect, found[image.stem + ending]) for image in images]


def masked_if_any(images: Sequence[Path], masks: Path, defect: str, ending: str, marked: bool) -> list[TestImage]:
    """As `masked`, where the set is `marked`: has a mask of any image; all without a mask where it has none."""
    if marked:
        return masked(images, masks, defect, ending)
    return [TestImage(path, True, defect, None) for path in images]


def has_masks(folder: Path) -> bool:
    """Whether a folder, or one in it, holds an image file."""
    return any(is_picture(path) for path in folder.rglob("*"))


def defects_in(folder: Path, except_for: str = "good") -> list[Path]:
    """A folder for each kind of defect beside that of the good images. Raises `InputError` when there is none."""
    defects = [path for path in subfolders(folder) if path.name != except_for]
    if not defects:
        raise InputError(f"{folder} holds no defects; expected a folder for each kind beside {except_for}")
    return defects


def listed(folder: Path, name: str, expected: str) -> list[Path]:
    """The images in ``folder/name``. Raises `InputError` when it is missing or holds none."""
    return list_images(folder_in(folder, name, expected))
