"""A cell of the presets' benchmark: the detector of one preset and one seed for one test set, and its figures.

Its folder's name ends in a hash of all that the detector depends on, so that another option, teacher or image makes
another cell, and no figure is taken for one of other settings. What was measured lies in the cell beside a hash of the
detector and of the test images, and is measured again where they differ.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.accuracy.evaluation import inspect_all, scores_and_labels, summarize
from benchmarks.accuracy.image_evidence import image_evidence_of
from benchmarks.presets.report import Result
from benchmarks.table.cells import file_name, keep, read_kept, settings_sha256
from benchmarks.throughput.arithmetic import count
from calibration.metrics import auroc
from export.detector import ExportOptions
from runtime.detector import Detector
from runtime.errors import InputError
from runtime.typed import as_text
from train.__main__ import make_detector
from train.backbones import backbone_path
from train.checks import check_teacher_files
from train.config import as_mapping
from train.data import file_sha256, sha256_of_images
from train.datasets import Subset, TestImage, good_images, mask_files
from train.datasets.checked import checked_category
from train.ensemble import teacher_path
from train.options import StudentsConfig
from train.preset import configuration, method_of, renamed

BUDGET = 0.01  # of false rejects, for the threshold
SCHEMA = 1  # of a cell, and of what its figures mean
LONGEST_NAME = 80  # characters of a label in a folder's name


@dataclass(frozen=True)
class DataSet:
    """One test set, with the good images to train on."""

    folder: Path
    subset: Subset
    training: list[Path]
    test: list[TestImage]

    @property
    def name(self) -> str:
        """As results call it."""
        return self.folder.resolve().name


def read_data_set(folder: Path, subset: Subset, layout: str | None) -> DataSet:
    """A data set in any layout, each of its files read once. Raises as `checked_category`."""
    return DataSet(folder, subset, *checked_category(folder, subset, layout))


def counts_for(data: DataSet, counts: Sequence[int | None]) -> list[int | None]:
    """Those of the numbers of good images that a data set has; None is all. Raises `InputError` where it has none."""
    have = len(data.training)
    found = [count for count in counts if count is None or count <= have]
    if not found:
        asked = ",".join(map(str, counts))
        raise InputError(
            f"{data.folder} has {have} good images to train on; --good asks for {asked}: give a number of {have} or "
            "less, or leave this data set out"
        )
    return found


def with_fewer(data: DataSet, count: int | None) -> DataSet:
    """The data set with so many good images to train on, those of the lowest hashes; with all of them for None."""
    if count is None:
        return data
    return replace(data, training=sorted(sorted(data.training, key=file_sha256)[:count]))


def checked_config(name: str, over: dict[str, object]) -> Any:
    """A preset with the options `over` it. Raises `InputError` for what no training would begin with."""
    name = renamed(name)  # once: it is read again
    config = configuration(name, method_of(name, None), over)
    if isinstance(config, StudentsConfig):
        check_teacher_files(config)
    _weights(config)
    return config


def _weights(config: Any) -> list[Path]:
    """The pretrained networks that a detector is made with. Raises `InputError` for one that is not there."""
    if isinstance(config, StudentsConfig):
        return [teacher_path(name) for name in config.teachers]
    return [backbone_path(config.backbone)]


def label_of(name: str, config: Any, over: Mapping[str, object]) -> str:
    """A preset and the options `over` it, as the rows of its results are called."""
    return ", ".join([name, *(f"{option}={_as_typed(as_mapping(config)[option])}" for option in sorted(over))])


def _as_typed(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else as_text(tuple(value) if isinstance(value, list) else value)


def cell_folder(label: str, config: Any, data: DataSet, out: Path) -> Path:
    """The folder of a cell."""
    settings = {
        "schema": SCHEMA,
        "config": as_mapping(replace(config, data="", seed=0)),
        "weights": [file_sha256(path) for path in _weights(config)],
        "images": sha256_of_images(file_sha256(path) for path in data.training),
    }
    name = f"{file_name(label)[:LONGEST_NAME]}-{settings_sha256(settings)[:8]}-seed{config.seed}"
    return out / data.name / name


def measure(label: str, config: Any, data: DataSet, out: Path) -> Result:
    """Make the detector of a preset for `data`, or go on with it, and measure it; what is measured is kept.

    Raises what the stages of ``python -m train`` and reading the test images raise.
    """
    detector = detector_of(label, config, data, out)
    kept = detector.with_name(f"accuracy-{data.subset}.json")
    settings: dict[str, object] = {
        "schema": SCHEMA,
        "detector": file_sha256(detector),
        "subset": data.subset,
        "images": images_sha256(data.test),
    }
    done = read_kept(Result, kept, settings)
    if done is not None:
        return done
    result = _measured(label, config.seed, data, detector)
    keep(kept, settings, result)
    return result


def detector_of(label: str, config: Any, data: DataSet, out: Path) -> Path:
    """The detector of a preset for `data`, made where it is not there yet, or its making gone on with.

    Raises what the stages of ``python -m train`` raise.
    """
    folder = cell_folder(label, config, data, out)
    detector = folder / "detector.onnx"
    if not detector.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{data.name}, {label}, seed {config.seed}")
        good = training_folder(data, folder / "good")
        make_detector(config.METHOD, replace(config, data=str(good)), folder / "run", detector, BUDGET, ExportOptions())
    return detector


def training_folder(data: DataSet, links: Path) -> Path:
    """A folder that training takes the good images from: the data set's own where it finds the same ones there, else
    `links`, which then holds a link to each."""
    try:
        if good_images(data.folder) == data.training:
            return data.folder
    except InputError:
        pass  # of another layout than it looks
    links.mkdir(parents=True, exist_ok=True)
    for image in data.training:
        link = links / flat_name(image, data.folder)
        link.unlink(missing_ok=True)  # of an interrupted run, or to where the data set lay then
        link.symlink_to(image.resolve())
    return links


def flat_name(image: Path, data: Path) -> str:
    """An image's path below `data` as the name of a file."""
    return "-".join(image.relative_to(data).parts)


def images_sha256(images: Sequence[TestImage]) -> str:
    """One hash over test images, their masks and their uses."""
    digest = hashlib.sha256()
    for image in images:
        hashes = [file_sha256(path) for path in (image.path, *mask_files(image))]
        digest.update(f"{image.label} {image.defect} {' '.join(hashes)}\n".encode())
    return digest.hexdigest()


def _measured(label: str, seed: int, data: DataSet, path: Path) -> Result:
    with Detector.open(path) as detector:
        found: Any = inspect_all(detector, data.test)
        inspections = list(tqdm(found, data.name, len(data.test), unit="image", leave=False, disable=None))
        accuracy, recipe = summarize(inspections), detector.recipe
    evidence = image_evidence_of(inspections, recipe)
    labels = scores_and_labels(inspections)[1]
    return Result(
        preset=label,
        category=data.name,
        seed=seed,
        multiply_adds=count(path.read_bytes(), (1, *recipe.size_hw, 3)).multiply_adds,
        au_pro_30=accuracy.au_pro_30,
        pixel_auroc=accuracy.pixel_auroc,
        image_auroc=accuracy.image_auroc,
        image_auroc_by_defect=accuracy.image_auroc_by_defect,
        good_rejected=(accuracy.false_rejects.count, accuracy.false_rejects.total),
        defective_rejected=(accuracy.detected.count, accuracy.detected.total),
        map_auroc=None if evidence is None else auroc(evidence.scores[:, 0], labels),
        good_images=sum(recipe.provenance.images.values()),
        proven_budget=recipe.threshold.supported_budget,
    )
