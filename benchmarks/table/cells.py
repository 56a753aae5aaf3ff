"""A cell of the accuracy table: one method, with its options and a seed, on one category.

Its result is a JSON file of its own, written whole, beside the settings that it depends on. A cell whose file holds the
same settings is not computed again, so that an interrupted table goes on where it stopped.
"""

import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.accuracy.ranking import Ranking, rank
from benchmarks.environment import describe_environment
from benchmarks.methods.base import Frames, Maps, Method, Setting
from benchmarks.methods.registry import entry, make_method
from runtime.atomic import write_atomically
from runtime.errors import InputError
from runtime.images import read_image
from runtime.preparation import scaled
from runtime.typed import build
from train.config import as_mapping
from train.data import file_sha256
from train.datasets import Subset, TestImage, read_pixels, read_test_set, select, training_images
from train.ensemble import teacher_path

T = TypeVar("T")
SCHEMA = 1  # of a cell's file, and of what its figures mean


@dataclass(frozen=True)
class Row:
    """A method with its options: a row of the table, whatever the category and the seed."""

    label: str
    method: str
    options: Any  # the dataclass `Options` of the method's module


@dataclass(frozen=True)
class Category:
    """A category's good frames and test set, read and prepared once for all methods."""

    name: str
    good: Frames  # [n, H, W, 3]
    images: tuple[TestImage, ...]
    frames: Frames  # of the test images, prepared
    masks: tuple[NDArray[np.bool_] | None, ...]  # at the size of the image files; None where not known or not needed
    sha256: str  # of all files, their names and their uses


@dataclass(frozen=True)
class Result:
    """What a cell's file says."""

    label: str
    category: str
    seed: int
    ranking: Ranking
    fit_s: float
    inspect_s: float


def read_category(data: Path, size_hw: tuple[int, int], subset: Subset, layout: str | None = None) -> Category:
    """Read a category in any layout. Raises `InputError` for an unknown one, `ImageError` for a bad image or mask."""
    images = select(read_test_set(data, layout), subset)
    paths = training_images(data, layout)
    masks_exist = any(image.mask_path is not None for image in images)
    digest = hashlib.sha256()
    for use, path in [("train", path) for path in paths] + [(image.defect, image.path) for image in images]:
        digest.update(f"{use} {path.name} {file_sha256(path)}\n".encode())
    bar = tqdm(paths, f"{data.name}, good", unit="image", leave=False, disable=None)
    good = np.stack([scaled(read_image(path), size_hw) for path in bar])
    frames, masks = [], []
    for image in tqdm(images, f"{data.name}, test", unit="image", leave=False, disable=None):
        pixels, mask = read_pixels(image)
        digest.update(b"" if mask is None else mask.tobytes())
        frames.append(scaled(pixels, size_hw))
        masks.append(mask if masks_exist else None)
    return Category(data.resolve().name, good, tuple(images), np.stack(frames), tuple(masks), digest.hexdigest())


def cell_settings(row: Row, category: Category, setting: Setting, subset: Subset) -> dict[str, object]:
    """Everything that a cell's figures depend on but the code, whose commit its file names."""
    needs, files = entry(row.method), [*getattr(row.options, "teachers", ()), getattr(row.options, "path", "")]
    settings = {
        "schema": SCHEMA,
        "method": row.method,
        "options": as_mapping(row.options),
        "seed": setting.seed,
        "size_hw": list(category.good.shape[1:3]),
        "subset": subset,
        "category": category.name,
        "category_sha256": category.sha256,
        "files": {name: _identity(name) for name in files if name},
    }
    if needs.of_descriptors:
        settings["teacher"] = _identity(setting.teacher)
    if needs.of_backbone:
        settings["backbone"] = setting.backbone
        settings["weights"] = file_sha256(setting.weights) if setting.weights else "torchvision"
    return settings


def _identity(name: str) -> str:
    """The content of a teacher or a detector; a run folder is known by its statistics."""

    path = Path(name)
    if path.is_dir():
        return file_sha256(path / "statistics.json")
    return file_sha256(path if path.is_file() else teacher_path(name))


def cell_path(folder: Path, row: Row, category: str, seed: int) -> Path:
    """The file of a cell."""
    return folder / "cells" / category / f"{file_name(row.label)}-seed{seed}.json"


def file_name(label: str) -> str:
    """A row's label as a file's name: what is no letter or digit becomes one hyphen."""
    return re.sub(r"[\W_]+", "-", label).strip("-")


def run_cell(row: Row, category: Category, setting: Setting, subset: Subset, folder: Path) -> Result:
    """A cell's result: that of its file, or computed now and written there.

    Raises what the method raises. A file of other settings is computed anew and replaced.
    """
    path, settings = cell_path(folder, row, category.name, setting.seed), cell_settings(row, category, setting, subset)
    done = read_kept(Result, path, settings)
    if done is not None:
        return done
    method = make_method(row.method, row.options, setting)
    began = time.monotonic()
    method.fit(category.good)
    fitted_at = time.monotonic()
    scores, maps = inspect_category(method, category, row.label)
    inspected_at = time.monotonic()
    ranking = rank(category.images, scores, maps, [mask for mask in category.masks if mask is not None])
    seconds = {"fit_s": round(fitted_at - began, 3), "inspect_s": round(inspected_at - fitted_at, 3)}
    result = Result(row.label, category.name, setting.seed, ranking, **seconds)
    listed = [
        {"image": f"{image.defect}/{image.path.name}", "score": float(score)}
        for image, score in zip(category.images, scores, strict=True)
    ]
    keep(path, settings, result, scores=listed, device=setting.device, environment=describe_environment())
    return result


def keep(path: Path, settings: dict[str, object], result: Any, **more: object) -> None:
    """Write a result, a dataclass, with its settings, so that `read_kept` finds it; `more` is for whoever reads it."""
    document = {"settings": settings, "settings_sha256": settings_sha256(settings), "result": asdict(result), **more}
    write_atomically(path, json.dumps(document, indent=1).encode())


def read_kept(of: type[T], path: Path, settings: dict[str, object]) -> T | None:
    """The result in a cell's file, built as `of`; None when there is none, or it is of other settings.

    Raises `InputError` for a file that is no cell.
    """
    try:
        document = json.loads(path.read_text())
        if document["settings_sha256"] != settings_sha256(settings):
            return None
        return build(of, document["result"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, InputError) as error:
        raise InputError(f"{path} is damaged ({error}); remove it, so that it is computed again") from error


def settings_sha256(settings: dict[str, object]) -> str:
    """One hash over a cell's settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def inspect_category(method: Method, category: Category, name: str) -> tuple[NDArray[np.float32], list[Maps] | None]:
    """Scores [n] of the test frames, and the maps of those with a mask, each [H, W] at its size; None without maps."""
    scores: list[float] = []
    maps: list[Maps] | None = []
    for index in tqdm(range(len(category.frames)), name, unit="image", leave=False, disable=None):
        found, mask = method.inspect(category.frames[index : index + 1]), category.masks[index]
        scores.append(float(found.scores[0]))
        if found.maps is None:
            maps = None
        elif maps is not None and mask is not None:
            maps.append(at_mask_size(found.maps[0], mask))
    return np.array(scores, np.float32), maps


def at_mask_size(anomaly_map: Maps, mask: NDArray[np.bool_]) -> Maps:
    """A map resized bilinearly to its mask, as `benchmarks.accuracy.evaluation` does."""
    height, width = mask.shape
    return np.asarray(cv2.resize(anomaly_map, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def check_names(folders: Sequence[Path], rows: Sequence[Row]) -> None:
    """Raise `InputError` for two categories, or two rows, of one name: their cells would be one file."""
    categories, labels = [folder.resolve().name for folder in folders], [file_name(row.label) for row in rows]
    for names, what in ((categories, "data folders"), (labels, "rows")):
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise InputError(
                f"two {what} are called {double}; leave one out or rename it: a cell is known by its names"
            )
