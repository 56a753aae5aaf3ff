"""Statistics by position: against NumPy, from the images that were trained on, and what happens to their file."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from runs import opened
from scipy.ndimage import gaussian_filter
from torch import Tensor

from calibration.calibrate import positions_of
from calibration.calibrated import POSITIONS
from calibration.maps import Positions, by_position
from calibration.positions import PRIOR_IMAGES, SMOOTHING, fit_positions
from runtime.errors import InputError
from train.data import PreparedImages

SIZE_HW = (20, 24)
REGION = (2, 3, 15, 16)


def fitted(maps: NDArray[np.float64], *sets: list[NDArray[np.uint8]]) -> Positions:
    """Those over sets of frames whose maps are `maps` [n, H, W], by the number that a frame's first pixel holds."""

    def maps_of(frames: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(maps[[int(frame[0, 0, 0]) for frame in frames]])

    return fit_positions(maps_of, sets, SIZE_HW, REGION)


def frames(*numbers: int) -> NDArray[np.uint8]:
    return np.stack([np.full((*SIZE_HW, 3), number, np.uint8) for number in numbers])


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(values, SMOOTHING, mode="mirror", radius=int(np.ceil(3 * SMOOTHING))))


def drawn(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    top, left, height, width = REGION
    overall = values[top : top + height, left : left + width].mean()
    return (count * values + PRIOR_IMAGES * overall) / (count + PRIOR_IMAGES)


def test_mean_and_deviation_of_each_position_are_those_of_numpy() -> None:
    # far from zero, where a sum of squares in float32 would lose the deviation
    maps = 1e3 + np.random.default_rng(0).normal(size=(5, *SIZE_HW)) * np.linspace(0.1, 3, SIZE_HW[1])
    found = fitted(maps, [frames(0, 1), frames(2)], [frames(3), frames(4)])
    sets = maps[:3], maps[3:]  # the two count the same
    mean = drawn(smooth(np.mean([each.mean(axis=0) for each in sets], axis=0)), 5)
    variance = drawn(smooth(np.mean([np.square(each - mean).mean(axis=0) for each in sets], axis=0)), 5)
    np.testing.assert_allclose(found.mean.numpy(), mean, rtol=1e-6)
    np.testing.assert_allclose(found.deviation.numpy(), np.sqrt(variance), rtol=1e-5)


def test_a_place_where_few_images_show_nothing_borrows_from_the_others() -> None:
    maps = np.zeros((3, *SIZE_HW))
    maps[:, :, 14:] = np.array([-1.0, 0.0, 1.0])[:, None, None]
    found = fitted(maps, [frames(0, 1, 2)])
    assert 0.1 < found.deviation[0, 0] < 0.5 < found.deviation[0, -1]


def test_what_is_common_at_a_place_counts_less_there_than_elsewhere() -> None:
    mean, deviation = torch.zeros(2, 3), torch.ones(2, 3)
    mean[1, 2], deviation[1, 2] = 6.0, 2.0
    found = by_position(torch.full((1, 2, 3), 8.0), Positions(mean, deviation))
    assert found[0].tolist() == [[8.0, 8.0, 8.0], [8.0, 8.0, 1.0]]


@pytest.mark.parametrize("knows", [False, True])
def test_calibration_takes_them_from_all_images_that_say_something_of_new_parts(
    calibrated_run: Path, knows: bool
) -> None:
    run = opened(calibrated_run)
    split, size_hw = run.trained.split, run.trained.size_hw
    images = [PreparedImages(use, size_hw) for use in (split.training, split.statistics)[knows:]]
    sets = [[np.stack([some[i] for i in range(len(some))])] for some in images]
    expected = fit_positions(run.maps, sets, size_hw, run.trained.scoring.region_of_interest)

    class Knowing(type(run.trained)):  # type: ignore[misc]
        knows_training_images = knows

    trained = Knowing(**vars(run.trained))
    found = positions_of(trained, run.moments)
    for positions in (found,) if knows else (found, run.positions):
        assert positions is not None
        torch.testing.assert_close(positions.mean, expected.mean)
        torch.testing.assert_close(positions.deviation, expected.deviation)


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
