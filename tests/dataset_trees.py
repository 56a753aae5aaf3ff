"""One small category for each layout that can be read: the tests write it, nothing is downloaded.

Every tree has images of 6×8 pixels, each of its own grey, from black on; masks mark two pixels.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_greys = iter(range(256))


def write(path: Path, pixels: NDArray[np.uint8] | None = None) -> Path:
    """An image of the next grey, or of these pixels."""
    if pixels is None:
        pixels = np.full((6, 8, 3), next(_greys), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def mask(path: Path, *points_yx: tuple[int, int], value: int = 255) -> Path:
    """A mask with these pixels marked."""
    pixels = np.zeros((6, 8), np.uint8)
    for point in points_yx:
        pixels[point] = value
    return write(path, pixels)


def many(folder: Path, count: int, ending: str = ".png") -> None:
    for index in range(count):
        write(folder / f"{index:03}{ending}")


def make_tree(layout: str, data: Path) -> None:
    """Write the tree of a layout; its contents, and so the splits by content, are the same each time."""
    global _greys
    _greys = iter(range(256))
    TREES[layout](data)


def mvtec(data: Path) -> None:
    many(data / "train" / "good", 3)
    many(data / "test" / "good", 2)
    many(data / "test" / "dent", 2)
    for name in ("000_mask.png", "001_mask.png"):
        mask(data / "ground_truth" / "dent" / name, (1, 2), (1, 3))


def mvtec2(data: Path) -> None:
    many(data / "train" / "good", 3)
    many(data / "validation" / "good", 1)
    many(data / "test_public" / "good", 2)
    many(data / "test_public" / "bad", 2)
    many(data / "test_private", 2)
    for name in ("000_mask.png", "001_mask.png"):
        mask(data / "test_public" / "ground_truth" / "bad" / name, (1, 2), (1, 3))


def loco(data: Path) -> None:
    many(data / "train" / "good", 3)
    many(data / "validation" / "good", 1)
    many(data / "test" / "good", 2)
    many(data / "test" / "logical_anomalies", 1)
    many(data / "test" / "structural_anomalies", 1)
    mask(data / "ground_truth" / "logical_anomalies" / "000" / "000.png", (1, 2), value=226)
    mask(data / "ground_truth" / "logical_anomalies" / "000" / "001.png", (1, 3), value=1)
    mask(data / "ground_truth" / "structural_anomalies" / "000" / "000.png", (1, 2), (1, 3))
    (data / "defects_config.json").write_text("[]")


def visa(data: Path) -> None:
    many(data / "Data" / "Images" / "Normal", 5, ".JPG")
    many(data / "Data" / "Images" / "Anomaly", 2, ".JPG")
    for name in ("000.png", "001.png"):
        mask(data / "Data" / "Masks" / "Anomaly" / name, (1, 2), (1, 3), value=2)
    prefix = f"{data.name}/Data"
    lines = ["object,split,label,image,mask"]
    for name, split in (("003", "train"), ("000", "train"), ("004", "train"), ("002", "test"), ("001", "test")):
        lines.append(f"{data.name},{split},normal,{prefix}/Images/Normal/{name}.JPG,")
    for name in ("000", "001"):
        lines.append(f"{data.name},test,anomaly,{prefix}/Images/Anomaly/{name}.JPG,{prefix}/Masks/Anomaly/{name}.png")
    lines.append("another,train,normal,another/Data/Images/Normal/000.JPG,")
    (data.parent / "split_csv").mkdir()
    (data.parent / "split_csv" / "1cls.csv").write_text("\n".join(lines) + "\n")


def visa_prepared(data: Path) -> None:
    many(data / "train" / "good", 3, ".JPG")
    many(data / "test" / "good", 2, ".JPG")
    many(data / "test" / "bad", 2, ".JPG")
    for name in ("000.png", "001.png"):
        mask(data / "ground_truth" / "bad" / name, (1, 2), (1, 3))


def btad(data: Path) -> None:
    many(data / "train" / "ok", 3, ".bmp")
    many(data / "test" / "ok", 2, ".bmp")
    many(data / "test" / "ko", 2, ".bmp")
    mask(data / "ground_truth" / "ko" / "000.png", (1, 2), (1, 3))
    mask(data / "ground_truth" / "ko" / "001.bmp", (1, 2), (1, 3))


def ksdd(data: Path) -> None:
    for folder, count in (("kos01", 8), ("kos02", 8), ("kos21", 8)):
        for part in range(count):
            write(data / folder / f"Part{part}.jpg")
            points = [(1, 2), (1, 3)] if part == 5 and folder != "kos21" else []
            mask(data / folder / f"Part{part}_label.bmp", *points)


def ksdd2(data: Path) -> None:
    for folder, first, count in (("train", 10000, 4), ("test", 20000, 4)):
        for number in range(first, first + count):
            write(data / folder / f"{number}.png")
            mask(data / folder / f"{number}_GT.png", *([(1, 2), (1, 3)] if number % 2 else []))
    write(data / "train" / "10000 (copy).png")
    mask(data / "train" / "10000_GT (copy).png")


def plain(data: Path) -> None:
    many(data / "good", 24)
    many(data / "bad", 2)
    for name in ("000.png", "001.png"):
        mask(data / "masks" / name, (1, 2), (1, 3))


TREES: dict[str, Callable[[Path], None]] = {
    "mvtec": mvtec,
    "mvtec2": mvtec2,
    "loco": loco,
    "visa": visa,
    "visa-prepared": visa_prepared,
    "btad": btad,
    "ksdd": ksdd,
    "ksdd2": ksdd2,
    "plain": plain,
}
