"""A cell is computed once for its settings, judged at the size of the masks, and its file says what it depends on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.methods.base import Frames, Inspected, MapMethod, Maps, Setting
from benchmarks.methods.registry import method_options
from benchmarks.table import cells
from benchmarks.table.cells import Category, Row, check_names, read_category, run_cell
from runtime.errors import InputError


class Contrast(MapMethod):
    """Distance to the mean good colour, counted."""

    fits = 0

    def fit(self, good: Frames) -> None:
        Contrast.fits += 1
        self.mean = good.mean()

    def maps(self, frames: Frames) -> Maps:
        return np.abs(frames.mean(axis=3) - self.mean).astype(np.float32)


class ScoresOnly(Contrast):
    def inspect(self, frames: Frames) -> Inspected:
        return Inspected(None, self.scores(self.maps(frames)))


@pytest.fixture
def category(tiny_category: Path) -> Category:
    return read_category(tiny_category, (32, 32), "all")


@pytest.fixture
def row() -> Row:
    return Row("k-NN of images", "k-nn", method_options("k-nn", {}))


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method is `Contrast`: cells are tested here, not methods."""
    Contrast.fits = 0
    monkeypatch.setattr(cells, "make_method", lambda *arguments: Contrast())


def test_a_category_is_prepared_at_one_size_with_its_masks_at_their_own(category: Category) -> None:
    assert category.name == "tile"
    assert category.good.shape == (8, 32, 32, 3)
    assert category.frames.shape == (7, 32, 32, 3)
    assert [mask.shape for mask in category.masks] == [(40, 48)] * 7
    assert [int(mask.sum()) for mask in category.masks] == [0, 0, 0, 144, 144, 144, 144]
    assert category.frames[3, 10, 12].max() == 10  # inside the first dent


def test_a_cell_is_judged_at_the_size_of_the_masks(category: Category, row: Row, tmp_path: Path) -> None:
    result = run_cell(row, category, Setting(), "all", tmp_path)
    assert result.ranking.image_auroc == 1.0
    assert result.ranking.image_auroc_by_defect == {"dent": 1.0, "scratch": 1.0}
    assert result.ranking.au_pro_30 is not None
    assert result.ranking.au_pro_30 > 0.99
    assert result.ranking.images == {"dent": 2, "good": 3, "scratch": 2}


def test_a_finished_cell_is_read_and_not_computed_again(category: Category, row: Row, tmp_path: Path) -> None:
    first = run_cell(row, category, Setting(), "all", tmp_path)
    assert run_cell(row, category, Setting(), "all", tmp_path) == first
    assert Contrast.fits == 1


@pytest.mark.parametrize("change", ["options", "backbone", "subset", "data", "seed"])
def test_a_cell_of_other_settings_is_computed_anew(category: Category, row: Row, tmp_path: Path, change: str) -> None:
    run_cell(row, category, Setting(), "all", tmp_path)
    setting, subset = Setting(), "all"
    if change == "options":
        row = replace(row, options=method_options("k-nn", {"columns": 7}))
    elif change == "backbone":
        setting = replace(setting, backbone="resnet18-layer23")
    elif change == "subset":
        subset = "even"
    elif change == "data":
        category = replace(category, sha256="0" * 64)
    else:
        setting = replace(setting, seed=1)
    run_cell(row, category, setting, subset, tmp_path)  # type: ignore[arg-type]
    assert Contrast.fits == 2
    assert len(list(tmp_path.rglob("*.json"))) == (2 if change == "seed" else 1)


def test_a_method_does_not_depend_on_files_that_it_never_opens(category: Category, row: Row, tmp_path: Path) -> None:
    descriptors = Row("1-NN", "1-nn", method_options("1-nn", {}))
    for setting in (Setting(), Setting(backbone="resnet18-layer23")):
        run_cell(descriptors, category, setting, "all", tmp_path)
    assert Contrast.fits == 1
    for setting in (Setting(), Setting(teacher="no such file")):
        run_cell(row, category, setting, "all", tmp_path)
    assert Contrast.fits == 2
    with pytest.raises(InputError, match="teacher 'no such file' is neither"):
        run_cell(descriptors, category, Setting(teacher="no such file"), "all", tmp_path)


def test_the_data_hash_follows_pixels_masks_and_uses(tiny_category: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "tile"
    shutil.copytree(tiny_category, copy)
    before = read_category(copy, (32, 32), "all").sha256
    assert before == read_category(tiny_category, (32, 32), "all").sha256
    (copy / "train" / "good" / "7.png").unlink()
    fewer = read_category(copy, (32, 32), "all").sha256
    shutil.copy(copy / "ground_truth/dent/0_mask.png", copy / "ground_truth/dent/1_mask.png")
    assert len({before, fewer, read_category(copy, (32, 32), "all").sha256}) == 3


def test_a_cells_file_names_settings_scores_and_machine(category: Category, row: Row, tmp_path: Path) -> None:
    run_cell(row, category, Setting(), "all", tmp_path)
    document: Any = json.loads((tmp_path / "cells" / "tile" / "k-NN-of-images-seed0.json").read_text())
    assert document["settings"]["options"] == {"layers": ["layer2", "layer3"], "neighbours": 2, "columns": 256}
    assert document["settings"]["category_sha256"] == category.sha256
    assert [each["image"] for each in document["scores"][2:4]] == ["good/2.png", "dent/0.png"]
    assert document["scores"][3]["score"] > document["scores"][2]["score"]
    assert document["environment"]["cpu"]


def test_a_method_without_maps_has_no_pixel_figures(
    category: Category, row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "make_method", lambda *arguments: ScoresOnly())
    for _ in range(2):  # computed, then read back
        result = run_cell(row, category, Setting(), "all", tmp_path)
        assert result.ranking.image_auroc == 1.0
        assert result.ranking.au_pro_30 is None


def test_a_damaged_cell_is_named(category: Category, row: Row, tmp_path: Path) -> None:
    run_cell(row, category, Setting(), "all", tmp_path)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=f"{path.name} is damaged .*; remove it"):
        run_cell(row, category, Setting(), "all", tmp_path)


def test_two_categories_or_rows_of_one_name_are_refused(row: Row, tmp_path: Path) -> None:
    check_names([tmp_path / "tile", tmp_path / "wood"], [row, replace(row, label="Other")])
    with pytest.raises(InputError, match="two data folders are called tile"):
        check_names([tmp_path / "a" / "tile", tmp_path / "b" / "tile"], [row])
    with pytest.raises(InputError, match="two rows are called k-NN-of-images"):
        check_names([tmp_path], [row, replace(row, label="k-NN, of images")])
