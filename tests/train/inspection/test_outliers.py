"""Outliers among good parts: what is hidden is found, as far as the module's docstring says, and no further."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.metrics import auroc
from runtime.demo import DemoLine
from runtime.demo.defects import DEFECTS
from runtime.images import list_images, read_image
from train.inspection import outliers
from train.inspection.measure import measure
from train.inspection.outliers import unusualness


def small(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack([measure(image).colour for image in images])


@pytest.fixture(scope="module")
def good() -> NDArray[np.uint8]:
    line = DemoLine(8, (64, 64), defect_rate=0)
    return small([line.good(index).image for index in range(160)])


def far(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return unusualness(pictures)[0]


@pytest.mark.parametrize("kind", ["chip", "stain", "missing_hole"])
def test_one_defective_part_among_good_ones_is_the_least_typical(good: NDArray[np.uint8], kind: str) -> None:
    part = DemoLine(8, (64, 64)).defective(1000, kind)
    scores, peaks = unusualness(np.concatenate([good[:40], small([part.image]), good[40:]]))
    assert scores.argmax() == 40
    assert scores[40] > 3.5
    row, column = peaks[40] * 2  # of a cell of two pixels each way
    assert part.mask[max(0, row - 4) : row + 6, max(0, column - 4) : column + 6].any()


def test_defects_of_every_kind_rank_above_good_parts(good: NDArray[np.uint8]) -> None:
    line, scores, labels = DemoLine(8, (64, 64)), [], []
    for hidden in range(4):
        defective = small([line.defective(1000 + 10 * hidden + n, kind).image for n, kind in enumerate(DEFECTS)])
        scores.append(far(np.concatenate([good, defective])))
        labels.append(np.arange(len(good) + len(defective)) >= len(good))
    assert auroc(np.concatenate(scores), np.concatenate(labels)) > 0.9
    assert (np.concatenate(scores)[~np.concatenate(labels)] > 3.5).mean() < 0.03


def test_several_of_another_object_do_not_hide_each_other(good: NDArray[np.uint8]) -> None:
    y, x = np.mgrid[:32, :32]
    stripes = np.repeat(((np.sin(x + y * 0.3) + 1) * 100).astype(np.uint8)[None, :, :, None], 3, axis=3)
    checks = np.repeat((((x // 4 + y // 4) % 2) * 200).astype(np.uint8)[None, :, :, None], 3, axis=3)
    assert set(np.argsort(far(np.concatenate([good, stripes, checks])))[-2:]) == {160, 161}


def test_a_tenth_of_the_images_does_not_pass_for_normal_by_its_number(good: NDArray[np.uint8]) -> None:
    line = DemoLine(8, (64, 64), defect_rate=0)
    turned = small([line.good(200 + index).image[::-1] for index in range(16)])
    scores = far(np.concatenate([good, turned]))
    assert (scores[160:] > 3.5).mean() > 0.9
    assert (scores[:160] > 3.5).mean() < 0.03


def test_the_order_of_the_images_hardly_matters(good: NDArray[np.uint8]) -> None:
    order = np.random.default_rng(2).permutation(len(good))
    assert np.corrcoef(far(good)[order], far(good[order]))[0, 1] > 0.8


def test_a_folder_of_equal_images_has_no_outlier(good: NDArray[np.uint8]) -> None:
    assert far(np.repeat(good[:1], 30, axis=0)).max() == 0
    assert np.isfinite(far(np.zeros((outliers.FEWEST, 32, 32, 3), np.uint8))).all()


def test_large_folders_are_fitted_to_a_part_of_their_images(
    good: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.inspection.outliers.MOST_FITTED", 30)
    chip = small([DemoLine(8, (64, 64)).defective(1000, "chip").image])
    assert far(np.concatenate([good, chip])).argmax() == 160


@pytest.mark.data
@pytest.mark.skipif("PROCTOR_DATA" not in os.environ, reason="PROCTOR_DATA points at no images")
@pytest.mark.parametrize(("name", "hidden", "at_least"), [("cookie", 2, 0.88), ("magnetic_tile", 4, 0.84)])
def test_hidden_defects_of_real_parts_rank_as_the_docstring_says(name: str, hidden: int, at_least: float) -> None:
    data = Path(os.environ["PROCTOR_DATA"]) / name
    if not data.is_dir():
        pytest.skip(f"PROCTOR_DATA holds no {name}")
    good = small([read_image(path) for path in list_images(data / "train" / "good")])
    kinds = sorted(path for path in (data / "test").iterdir() if path.name != "good")
    assert ranked_above(good, [path for kind in kinds for path in list_images(kind)[:8]], hidden) > at_least
    # unseen good images do not: it is the defect that tells, not the test set
    assert ranked_above(good, list_images(data / "test" / "good")[:20], hidden) < 0.65


def ranked_above(good: NDArray[np.uint8], others: list[Path], hidden: int) -> float:
    """How probably one of the others, hidden a few at a time among the good, scores above a good one."""
    pictures = small([read_image(others[index]) for index in np.random.default_rng(2).permutation(len(others))])
    groups = [pictures[start : start + hidden] for start in range(0, len(pictures), hidden)]
    scores = [far(np.concatenate([good, group])) for group in groups]
    return float(np.mean([auroc(each, np.arange(len(each)) >= len(good)) for each in scores]))
