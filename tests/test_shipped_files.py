"""Every binary file that comes with the install has a card, and the card says what the file says."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
TEACHERS, DATA = ROOT / "train" / "teachers", ROOT / "runtime" / "data"
BACKBONES = ROOT / "train" / "backbones"
MOST_BYTES = 7_000_000
DEMO_GRAPH = "95056aebe692ee9e5b15d3535bffd08a34556d65e9221095790719b0262c77ff"


def binaries(folder: Path) -> list[Path]:
    """Files below `folder`, hidden ones too, that are not text about the others or code beside them."""
    text = (".md", ".py", ".pyc")
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in text)


def card_of(path: Path) -> Path:
    """A teacher's or backbone's card has its name; the demo detector and its arrays share one."""
    if path.parent == BACKBONES:
        return path.with_suffix(".md")
    if path.parent == TEACHERS:
        return TEACHERS / f"{path.stem.removeprefix('teacher-')}.md"
    return DATA / "README.md"


SHIPPED = binaries(TEACHERS) + binaries(BACKBONES) + binaries(DATA)
TEACHER_FILES, BACKBONE_FILES = binaries(TEACHERS), binaries(BACKBONES)


def named(path: Path) -> str:
    return path.name


def test_there_are_files_to_check() -> None:
    assert {path.name for path in SHIPPED} >= {"teacher-p33.safetensors", "demo.onnx", "demo.golden.npz"}


@pytest.mark.parametrize("path", SHIPPED, ids=named)
def test_a_shipped_file_is_small_and_its_card_has_its_hash_and_its_clearance(path: Path) -> None:
    assert path.stat().st_size <= MOST_BYTES
    assert card_of(path).is_file(), f"{path.name} has no card; python -m train.card prints one"
    card = card_of(path).read_text()
    assert f"`{path.name}`" in card
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert "**Licence of the data.**" in card
    assert re.findall(r"^\*\*Cleared for commercial use: (yes|no)\.\*\*$", card, re.MULTILINE)


@pytest.mark.parametrize("path", TEACHER_FILES, ids=named)
def test_a_teachers_card_says_what_its_file_says(path: Path) -> None:
    pytest.importorskip("safetensors")
    from train.card import command, facts

    card = card_of(path).read_text()
    assert facts(path) in card, f"the table of {card_of(path).name} differs; python -m train.card prints the right one"
    assert command(path) in card


@pytest.mark.parametrize("path", BACKBONE_FILES, ids=named)
def test_a_backbones_card_says_what_its_file_says(path: Path) -> None:
    pytest.importorskip("safetensors")
    from train.backbones import read_card
    from train.backbones.card import command, facts, known_answers

    card, file = card_of(path).read_text(), read_card(path)
    assert facts(path) in card, f"the table of {card_of(path).name} differs; python -m train.card prints the right one"
    assert command(path) in card
    licence = known_answers(path)["licence"]
    assert f"**Licence of the data.** {licence}" in " ".join(card.split())
    (line,) = [
        line for line in (BACKBONES / "README.md").read_text().splitlines() if line.startswith(f"| `{path.stem}`")
    ]
    figures = (file["parameters"] / 1e6, path.stat().st_size / 1e6, file["multiply_adds"]["count"] / 1e9)
    assert "| {:.2f} M | {:.1f} MB | {:.2f} G |".format(*figures) in line
    assert f"| {file['source']['licence']} |" in line


def test_a_notice_goes_with_the_weights_that_ask_for_one() -> None:
    for path in BACKBONE_FILES:
        card = card_of(path).read_text()
        if path.stem == "resnet18":
            assert "Copyright (c) Soumith Chintala 2016" in card
            assert "Redistributions in binary form must reproduce the above copyright" in card
        else:
            assert "Copyright (c) 2020, ML Illustrated" in card
            assert "http://www.apache.org/licenses/LICENSE-2.0" in card


@pytest.mark.parametrize("path", TEACHER_FILES + BACKBONE_FILES, ids=named)
def test_the_index_lists_each_network_as_its_card_clears_it(path: Path) -> None:
    card = card_of(path)
    (line,) = [line for line in (path.parent / "README.md").read_text().splitlines() if f"({card.name})" in line]
    (cleared,) = re.findall(r"Cleared for commercial use: (yes|no)", card.read_text())
    assert line.startswith(f"| `{card.stem}` |")
    assert f"| {cleared} |" in line


def test_no_card_is_left_without_its_file() -> None:
    for folder, files in ((TEACHERS, TEACHER_FILES), (BACKBONES, BACKBONE_FILES)):
        cards = {path.name for path in folder.glob("*.md")} - {"README.md"}
        assert cards == {card_of(path).name for path in files}


def test_the_demo_detectors_card_says_what_its_recipe_says() -> None:
    from runtime.detector_file import read_detector

    recipe, card = read_detector(DATA / "demo.onnx")[1], (DATA / "README.md").read_text()
    images, threshold = recipe.provenance.images, recipe.threshold
    settings: Any = recipe.method.settings
    height, width = recipe.size_hw
    assert threshold.supported
    for text in (
        f"{(DATA / 'demo.onnx').stat().st_size:,} bytes",
        f"{sum(images.values()):,} rendered good parts: {images['statistics']} for reference",
        f"{images['training']} left out in turn",
        f"a memory of {settings['bank']:,} descriptors of EfficientNet-Lite2, frames of {height}×{width}",
        f"{threshold.value:.4f}, for {100 * threshold.budget:g} % false rejects on average",
        f"proven ({threshold.method})",
    ):
        assert text in card


def test_every_shipped_detector_carries_its_recipes_hash_and_the_graph_it_had() -> None:
    from runtime.detector_file import read_detector
    from runtime.onnx_file import graph_sha256, read_metadata

    detectors = [path for path in SHIPPED if path.suffix == ".onnx"]
    assert detectors
    for path in detectors:
        model, recipe = read_detector(path)
        assert read_metadata(model)["recipe_sha256"] == recipe.sha256
        assert recipe.threshold.vouched
    demo = graph_sha256((DATA / "demo.onnx").read_bytes())
    assert demo == DEMO_GRAPH
