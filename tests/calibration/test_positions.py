"""Statistics by position: against NumPy, from the images that were trained on, and what happens to their file."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from runs import opened
from scipy.ndimage import gaussian_filter

from calibration.calibrate import with_fitted_statistics
from calibration.calibrated import POSITIONS, CalibratedRun
from calibration.maps import Positions, by_position
from calibration.positions import fit_positions, in_score_units
from calibration.statistics import POSITION_PRIOR as PRIOR_IMAGES
from runtime.errors import InputError
from runtime.scoring import POSITIONS_SMOOTHING
from train.backbones import load_backbone
from train.backbones.features import Features
from train.data import PreparedImages

SIZE_HW = (20, 24)
REGION = (2, 3, 15, 16)


def fitted(*sets: list[NDArray[np.float64]]) -> Positions:
    """Those over sets of batches of maps [n, H, W]."""
    return fit_positions([map(torch.from_numpy, batches) for batches in sets], SIZE_HW, REGION)


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(
        gaussian_filter(values, POSITIONS_SMOOTHING, mode="mirror", radius=int(np.ceil(3 * POSITIONS_SMOOTHING)))
    )


def drawn(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    top, left, height, width = REGION
    overall = values[top : top + height, left : left + width].mean()
    return (count * values + PRIOR_IMAGES * overall) / (count + PRIOR_IMAGES)


def test_mean_and_deviation_of_each_position_are_those_of_numpy() -> None:
    # far from zero, where a sum of squares in float32 would lose the deviation
    maps = 1e3 + np.random.default_rng(0).normal(size=(5, *SIZE_HW)) * np.linspace(0.1, 3, SIZE_HW[1])
    found = fitted([maps[:2], maps[2:3]], [maps[3:4], maps[4:]])
    sets = maps[:3], maps[3:]  # the two count the same
    mean = drawn(smooth(np.mean([each.mean(axis=0) for each in sets], axis=0)), 5)
    variance = drawn(smooth(np.mean([np.square(each - mean).mean(axis=0) for each in sets], axis=0)), 5)
    np.testing.assert_allclose(found.mean.numpy(), mean, rtol=1e-6)
    np.testing.assert_allclose(found.deviation.numpy(), np.sqrt(variance), rtol=1e-5)


def test_a_place_where_few_images_show_nothing_borrows_from_the_others() -> None:
    maps = np.zeros((3, *SIZE_HW))
    maps[:, :, 14:] = np.array([-1.0, 0.0, 1.0])[:, None, None]
    found = fitted([maps])
    assert 0.1 < found.deviation[0, 0] < 0.5 < found.deviation[0, -1]


def test_what_is_common_at_a_place_counts_less_there_than_elsewhere() -> None:
    mean, deviation = torch.zeros(2, 3), torch.ones(2, 3)
    mean[1, 2], deviation[1, 2] = 6.0, 2.0
    found = by_position(torch.full((1, 2, 3), 8.0), Positions(mean, deviation))
    assert found[0].tolist() == [[8.0, 8.0, 8.0], [8.0, 8.0, 1.0]]


def expected_positions(run: CalibratedRun, *uses: tuple[Path, ...]) -> Positions:
    """Those over the maps of these images, each by the run without it."""
    trained, sets = run.trained, []
    for use in uses:
        images = PreparedImages(use, trained.size_hw, None)
        evidence = [trained.without(path).evidence(images[i][None]) for i, path in enumerate(use)]
        sets.append([run.maps_of(torch.cat(evidence))])
    return fit_positions(sets, trained.size_hw, trained.scoring.region_of_interest)


def test_of_students_they_come_from_the_images_trained_on_and_from_those_of_the_statistics(
    calibrated_run: Path,
) -> None:
    run = opened(calibrated_run)
    expected = expected_positions(run, run.trained.split.training, run.trained.split.statistics)
    assert run.positions is not None
    torch.testing.assert_close(run.positions.mean, expected.mean)
    torch.testing.assert_close(run.positions.deviation, expected.deviation)


def test_where_images_are_left_out_in_turn_they_come_from_those_of_reference_each_left_out(bank_run: Path) -> None:
    run = opened(bank_run)
    config = replace(run.trained.config, image_evidence=False)  # type: ignore[attr-defined]
    features = Features(load_backbone("efficientnet-lite0"), config.stages or ("group3", "group5"), ())
    plain: Any = replace(run.trained, config=config, features=features)  # type: ignore[type-var]
    found = with_fitted_statistics(plain, run.health, 0.2, 0.95)
    expected = expected_positions(found, plain.split.statistics)
    assert found.image is None
    assert found.positions is not None
    torch.testing.assert_close(found.positions.mean, expected.mean)
    torch.testing.assert_close(found.positions.deviation, expected.deviation)


def test_in_the_unit_of_scores_those_of_good_images_have_mean_0_and_deviation_1() -> None:
    maps = torch.randn(7, *SIZE_HW, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 50
    plain = Positions(torch.full(SIZE_HW, 48.0), torch.linspace(1, 4, SIZE_HW[1]).expand(SIZE_HW))
    scores = by_position(maps, plain).flatten(1).amax(dim=1)
    found = by_position(maps, in_score_units(plain, scores.numpy()))
    torch.testing.assert_close(found, (by_position(maps, plain) - scores.mean()) / scores.std(), rtol=1e-5, atol=1e-5)
    unit = found.flatten(1).amax(dim=1)
    assert (float(unit.mean()), float(unit.std())) == pytest.approx((0, 1), abs=1e-5)


def test_scores_that_are_all_the_same_are_no_division_by_nothing() -> None:
    plain = Positions(torch.zeros(SIZE_HW), torch.ones(SIZE_HW))
    found = in_score_units(plain, np.full(4, 2.0))
    assert torch.equal(found.mean, torch.full(SIZE_HW, 2.0))
    assert 0 < float(found.deviation.min()) < 1e-6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "positions.safetensors is missing or damaged"),
        (b"x", "positions.safetensors is not the one that was written with it"),
    ],
)
def test_a_file_that_is_missing_or_another_is_refused_with_the_way_out(
    calibrated_run: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    if content is None:
        (run / POSITIONS).unlink()
    else:
        (run / POSITIONS).write_bytes(content)
    with pytest.raises(
        InputError, match=rf"statistics.json is damaged, .* \({message}\); run python -m calibration.fit"
    ):
        opened(run)
