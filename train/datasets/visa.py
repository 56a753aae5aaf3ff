"""VisA (Zou et al., ECCV 2022), as distributed.

::

    DATA/Data/Images/Normal/0000.JPG       good parts
    DATA/Data/Images/Anomaly/000.JPG       defective ones
    DATA/Data/Masks/Anomaly/000.png        what is defective: the values 1, 2, … are kinds of defect
    DATA/../split_csv/1cls.csv             which good parts are to train on, and which to test on

The split file is the authors' for one-class methods; its columns are ``object,split,label,image,mask``, and its paths
start at the folder that holds the categories. Where it is missing, `train.data.set_apart` splits the good images by
content, and figures are not those of the published protocol. What the authors' script makes of the set is MVTec AD's
layout but for the names of its masks (``NAME.png``); it has the layout ``visa-prepared`` here.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import InputError
from train.data import set_apart
from train.datasets.images import TestImage
from train.datasets.layout import Layout, good, listed, masked

COLUMNS = ["object", "split", "label", "image", "mask"]
EXPECTED = "VisA layout: Data/Images/Normal, Data/Images/Anomaly, Data/Masks/Anomaly, and ../split_csv/1cls.csv"
PREPARED = "layout that VisA's own script writes: train/good, test/good, test/bad, ground_truth/bad/NAME.png"


@dataclass(frozen=True)
class Row:
    """One image of the split file; `normal` as its label says."""

    split: str
    normal: bool
    image: Path
    mask: Path | None


def _recognises(data: Path) -> bool:
    return (data / "Data" / "Images").is_dir()


def _training(data: Path) -> list[Path]:
    rows = _rows(data)
    if rows is None:
        return set_apart(listed(data, "Data/Images/Normal", EXPECTED))[0]
    return sorted(row.image for row in rows if row.split == "train" and row.normal)


def _test(data: Path) -> list[TestImage]:
    bad = listed(data, "Data/Images/Anomaly", EXPECTED)
    rows = _rows(data)
    if rows is None:
        normal = set_apart(listed(data, "Data/Images/Normal", EXPECTED))[1]
        return good(normal) + masked(bad, data / "Data" / "Masks" / "Anomaly", "anomaly")
    tested = sorted((row for row in rows if row.split == "test"), key=lambda row: (not row.normal, row.image))
    return [TestImage(row.image, not row.normal, "good" if row.normal else "anomaly", row.mask) for row in tested]


def _rows(data: Path) -> list[Row] | None:
    """The split file's rows of this category, or None where there is no such file."""
    folder = data.resolve()
    path = folder.parent / "split_csv" / "1cls.csv"
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark before the first column
            header, *lines = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}); expected CSV in UTF-8, as in the download") from error
    if header != COLUMNS:
        raise InputError(f"{path} has the columns {', '.join(header) or 'none'}; expected {', '.join(COLUMNS)}")
    rows = [_row(data, line, path) for line in lines if line and line[0] == folder.name]
    if not rows:
        raise InputError(f"{path} has no row whose object is {folder.name}; name the folder as VisA names its category")
    return rows


def _row(data: Path, line: list[str], path: Path) -> Row:
    if len(line) != len(COLUMNS) or line[1] not in ("train", "test") or line[2] not in ("normal", "anomaly"):
        raise InputError(f"{path} has a row {','.join(line)}; expected train or test, normal or anomaly")
    _, split, label, image, mask = line
    row = Row(split, label == "normal", _within(data, image), _within(data, mask) if mask else None)
    for file in (row.image, row.mask):
        if file is not None and not file.is_file():
            raise InputError(f"{file} is missing, and {path} names it; restore it from the download")
    if not row.normal and row.mask is None:
        raise InputError(f"{path} has a row {','.join(line)} without a mask; expected one for every anomaly")
    return row


def _within(data: Path, name: str) -> Path:
    """A path of the split file, ``CATEGORY/Data/…``, as one below `data`."""
    parts = Path(name).parts[1:]
    if not parts or parts[0] != "Data" or ".." in parts:
        raise InputError(f"the split file names {name!r}; expected a path such as candle/Data/Images/Normal/0000.JPG")
    return data.joinpath(*parts)


def _recognises_prepared(data: Path) -> bool:
    masks = data / "ground_truth" / "bad"
    return (data / "test" / "bad").is_dir() and masks.is_dir() and not any(masks.glob("*_mask.png"))


def _training_prepared(data: Path) -> list[Path]:
    return listed(data, "train/good", PREPARED)


def _test_prepared(data: Path) -> list[TestImage]:
    bad = listed(data, "test/bad", PREPARED)
    return good(listed(data, "test/good", PREPARED)) + masked(bad, data / "ground_truth" / "bad", "bad")


LAYOUT = Layout("visa", "VisA", _recognises, _training, _test)
PREPARED_LAYOUT = Layout("visa-prepared", "prepared VisA", _recognises_prepared, _training_prepared, _test_prepared)
