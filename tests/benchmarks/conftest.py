"""A test set of four images and a detector for it whose every figure can be worked out by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.recipe import Evidence, HealthLimits, Method, Provenance, Recipe
from runtime.scoring import Scoring
from runtime.threshold import Threshold

IMAGES = {"good/000": (10, 1), "good/001": (40, 1), "dent/000": (60, 3), "scratch/000": (20, 2)}  # excess, pixels


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def test_set(tmp_path: Path) -> Path:
    """Middle grey, 8×6 pixels, but for a spot that is brighter by its excess in IMAGES; the spots are the masks.

    The fake engine's map is 0 on grey and excess / 128 on a spot.
    """
    folder = tmp_path / "data"
    for name, (excess, size) in IMAGES.items():
        pixels, mask = np.full((6, 8), 128, np.uint8), np.zeros((6, 8), np.uint8)
        spot = (slice(1, 2), slice(2, 2 + size))
        pixels[spot], mask[spot] = 128 + excess, 255
        write_image(folder / "test" / f"{name}.png", pixels)
        if not name.startswith("good"):
            write_image(folder / "ground_truth" / f"{name}_mask.png", mask)
    return folder


@pytest.fixture
def recipe() -> Recipe:
    """A detector of frames of 6×8 pixels that rejects spots brighter than 30 above grey."""
    return Recipe(
        size_hw=(6, 8),
        interpolation="area",
        aspect="stretch",
        scoring=Scoring(),
        method=Method("students", "", (Evidence("regression error, p = 33", 1.0, 1.0, 0.5),), {"form": "bailer"}),
        score_quantiles={},
        threshold=Threshold(30 / 128, 0.01, 0.95, 40, "gumbel", False, 0.0722),
        health=HealthLimits(0, 255, 1, 0.1, 10),
        precision="fp32",
        explain=False,
        largest_activation=1.0,
        parity_sha256="c" * 64,
        graph_sha256="d" * 64,
        provenance=Provenance({}, "e" * 64, {}, "unknown", ""),
    )


@pytest.fixture(scope="session")
def tiny_category(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight good images to train on, three good and four defective ones to test on, 40×48 pixels."""
    folder, draw = tmp_path_factory.mktemp("data") / "tile", np.random.default_rng(0)

    def picture() -> NDArray[np.uint8]:
        return draw.integers(110, 140, (40, 48, 3)).astype(np.uint8)

    for index in range(8):
        write_image(folder / "train" / "good" / f"{index}.png", picture())
    for index in range(3):
        write_image(folder / "test" / "good" / f"{index}.png", picture())
    for defect, value in (("dent", 10), ("scratch", 250)):
        for index in range(2):
            pixels, mask = picture(), np.zeros((40, 48), np.uint8)
            spot = (slice(8, 20), slice(12 + 8 * index, 24 + 8 * index))
            pixels[spot], mask[spot] = value, 255
            write_image(folder / "test" / defect / f"{index}.png", pixels)
            write_image(folder / "ground_truth" / defect / f"{index}_mask.png", mask)
    return folder
