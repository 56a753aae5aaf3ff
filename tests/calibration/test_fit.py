"""Calibration of a run folder: moments against NumPy in float64, health limits, and the file that keeps them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from calibration.model import load_run
from calibration.scoring import Moments
from calibration.statistics import Statistics
from numpy.typing import NDArray
from torch import Tensor

from calibration.fit import DEVIATION_FLOOR, describe_highest, fit, fit_moments, quantiles
from calibration.health import fit_health
from calibration.threshold import fit_threshold
from runtime.errors import InputError
from runtime.images import read_image
from runtime.preparation import prepare
from train.data import PreparedImages, Split
from train.ensemble import teacher_path

if TYPE_CHECKING:
    from train.students import StudentsConfig

ROI = (1, 2, 5, 4)


def stand_in(terms: Callable[[Any], list[tuple[Tensor, Tensor | None]]], scales: int, students: int) -> Any:
    """A run whose terms are a function of the frames."""
    config = SimpleNamespace(region_of_interest=ROI, students=students)
    return SimpleNamespace(scales=range(scales), config=config, terms=terms)


def random_terms(frames: Any) -> list[tuple[Tensor, Tensor | None]]:
    """Two scales; far from zero, where float32 sums of squares lose the deviation."""
    generator = torch.Generator().manual_seed(int(frames[0, 0, 0, 0]))
    return [(a + 1e3, b) for a, b in torch.rand(2, 2, len(frames), 8, 9, generator=generator)]


def test_moments_are_those_of_all_pixels_in_the_region() -> None:
    batches = [np.full((size, 8, 9, 3), seed, np.uint8) for seed, size in ((1, 2), (2, 1), (3, 3))]
    found = fit_moments(stand_in(random_terms, 2, 3), batches)
    for scale in range(2):
        for term, names in enumerate((("error_mean", "error_std"), ("variance_mean", "variance_std"))):
            values = [random_terms(batch)[scale][term] for batch in batches]
            pixels = np.concatenate(
                [v[:, 1:6, 2:6].numpy().astype(np.float64).ravel() for v in values if v is not None]
            )
            mean, deviation = (getattr(found[scale], name) for name in names)
            assert mean == pytest.approx(pixels.mean(), rel=1e-12)
            assert deviation == pytest.approx(pixels.std(), rel=1e-6)


def test_a_single_student_has_no_variance_to_fit() -> None:
    trained = stand_in(lambda frames: [(torch.rand(len(frames), 8, 9), None)], 1, 1)
    (moments,) = fit_moments(trained, [np.zeros((2, 8, 9, 3), np.uint8)])
    assert moments.variance_mean is None
    assert moments.variance_std is None


def test_a_term_that_never_varies_gets_the_floor_to_be_divided_by() -> None:
    constant = torch.full((1, 8, 9), 40.0)
    (moments,) = fit_moments(stand_in(lambda _: [(constant, constant * 0)], 1, 2), [np.zeros((1, 8, 9, 3), np.uint8)])
    assert moments == Moments(40.0, 40.0 * DEVIATION_FLOOR, 0.0, 1e-12)


def test_over_the_images_they_come_from_normalized_terms_have_mean_0_and_deviation_1(calibrated_run: Path) -> None:
    trained, statistics = load_run(calibrated_run), Statistics.load(calibrated_run / "statistics.json")
    images = PreparedImages(trained.split.statistics, trained.config.size_hw)
    frames = np.stack([images[i] for i in range(len(images))])
    top, left, height, width = trained.config.region_of_interest or (0, 0, 32, 36)
    for (error, variance), m in zip(trained.terms(frames), statistics.moments, strict=True):
        assert variance is not None
        assert m.variance_mean is not None
        assert m.variance_std is not None
        for values, mean, deviation in (
            (error, m.error_mean, m.error_std),
            (variance, m.variance_mean, m.variance_std),
        ):
            inside = ((values.double() - mean) / deviation)[:, top : top + height, left : left + width]
            assert float(inside.mean()) == pytest.approx(0, abs=1e-4)
            assert float(inside.std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_the_threshold_is_fitted_to_the_scores_of_its_own_images(calibrated_run: Path) -> None:
    trained, statistics = load_run(calibrated_run), Statistics.load(calibrated_run / "statistics.json")
    images = [prepare(read_image(path), (32, 36))[None] for path in trained.threshold_images]
    scores = np.array(
        [float(trained.maps_and_scores(image, statistics.moments, statistics.positions)[1]) for image in images]
    )
    kept = np.load(calibrated_run / "calibration_scores.npy")
    np.testing.assert_allclose(kept, scores, rtol=1e-5)
    assert statistics.threshold == fit_threshold(kept, 0.2)
    assert statistics.score_quantiles == quantiles(kept)
    assert statistics.patch_sizes == (33,)


def test_of_one_student_all_images_held_out_give_the_threshold_and_the_statistics_move_none_of_them(
    calibrated_run: Path,
) -> None:
    trained = load_run(calibrated_run)
    lone = replace(trained.scales[0], students=trained.scales[0].students[:1])
    trained = replace(trained, scales=(lone,), config=replace(trained.config, students=1, by_position=False))
    assert set(trained.threshold_images) == {*trained.split.threshold, *trained.split.statistics}
    images = [prepare(read_image(path), (32, 36))[None] for path in trained.threshold_images]

    def scores(moments: Moments) -> NDArray[np.float64]:
        return np.array([float(trained.maps_and_scores(image, [moments], None)[1]) for image in images])

    one, other = scores(Moments(20.0, 4.0, None, None)), scores(Moments(3.0, 0.5, None, None))
    np.testing.assert_allclose(one * 4.0 + 20.0, other * 0.5 + 3.0, rtol=1e-5)
    np.testing.assert_array_equal(np.argsort(one), np.argsort(other))


def test_by_position_the_images_of_the_statistics_have_no_part_in_the_threshold(calibrated_run: Path) -> None:
    trained = load_run(calibrated_run)
    lone = replace(trained.scales[0], students=trained.scales[0].students[:1])
    trained = replace(trained, scales=(lone,), config=replace(trained.config, students=1))
    assert trained.config.by_position
    assert trained.threshold_images == trained.split.threshold


def test_copies_of_held_out_images_prove_nothing_and_are_counted_aloud(
    calibrated_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    split = Split.load(run / "split.json")
    copies = [Path(shutil.copy(split.threshold[0], tmp_path / f"{number}.png")) for number in range(20)]
    sha256 = {**split.sha256, **dict.fromkeys(map(str, copies), split.sha256[str(split.threshold[0])])}
    replace(split, threshold=(*split.threshold, *copies), sha256=sha256).save(run / "split.json")
    assert fit(run, 0.2).threshold == Statistics.load(calibrated_run / "statistics.json").threshold
    assert "left out of the threshold: 20 copies of the 3 images it counts" in capsys.readouterr().out


def test_the_good_images_that_scored_highest_are_named() -> None:
    images = [Path(f"good/{index}.png") for index in range(5)]
    found = describe_highest(images, np.array([1.0, 28.834, 3.0, 15.2, 2.0]))
    assert found.startswith("highest scores of good images: 28.83 good/1.png, 15.20 good/3.png, 3.00 good/2.png. Look")


def test_quantiles_run_from_the_lowest_to_the_highest_score() -> None:
    found = quantiles(np.arange(101.0))
    assert found == {"0.0": 0, "0.05": 5, "0.25": 25, "0.5": 50, "0.75": 75, "0.95": 95, "1.0": 100}


def test_health_limits_leave_the_range_of_the_good_images_by_half_of_what_is_left() -> None:
    dark, bright = np.full((40, 60, 3), 50, np.uint8), np.full((40, 80, 3), 155, np.uint8)
    bright[:20] = 255  # half of it saturated: mean 205
    limits = fit_health([dark, bright], (20, 20))
    assert limits.brightness_low == 25
    assert limits.brightness_high == pytest.approx((205 + 255) / 2)
    assert limits.saturated_high == pytest.approx(0.75)
    assert limits.aspect_low == pytest.approx(1.5 * 0.95)
    assert limits.aspect_high == pytest.approx(2 * 1.05)


def test_statistics_come_back_from_their_file(calibrated_run: Path, tmp_path: Path) -> None:
    statistics = Statistics.load(calibrated_run / "statistics.json")
    single = replace(statistics, moments=(Moments(0.1, 1 / 3, None, None),), patch_sizes=(33,))
    single.save(tmp_path / "statistics.json")
    found = Statistics.load(tmp_path / "statistics.json")
    assert replace(found, positions=None) == replace(single, positions=None)
    assert found.positions is not None
    assert single.positions is not None
    assert torch.equal(found.positions.mean, single.positions.mean)
    assert torch.equal(found.positions.deviation, single.positions.deviation)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace("error_mean", "mean_error"),
        lambda text: json.dumps({**json.loads(text), "moments": "none"}),
        lambda text: json.dumps({**json.loads(text), "threshold": None}),
        lambda text: "[" * 100_000,
    ],
    ids=["cut", "list", "renamed", "no moments", "no threshold", "deep"],
)
def test_damaged_statistics_are_refused_with_the_way_out(
    calibrated_run: Path, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    path = tmp_path / "statistics.json"
    path.write_text(damage((calibrated_run / "statistics.json").read_text()))
    with pytest.raises(InputError, match=r"statistics.json is damaged \(.*\); run python -m calibration.fit "):
        Statistics.load(path)


def test_missing_statistics_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path} is not calibrated; run python -m calibration.fit {tmp_path}"):
        Statistics.load(tmp_path / "statistics.json")


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.1, float("nan")])
def test_a_budget_out_of_range_is_refused_before_the_work(tmp_path: Path, budget: float) -> None:
    with pytest.raises(InputError, match="false-reject budget is"):
        fit(tmp_path / "nowhere", budget)


def test_an_unfinished_run_is_not_calibrated(tmp_path: Path, tiny_config: "StudentsConfig") -> None:
    from train.students import train_students

    run = tmp_path / "run"
    assert not train_students(tiny_config, run, stop_after=1)
    with pytest.raises(InputError, match=r"has no finished students of p = 33; go on with python -m train.students"):
        fit(run, 0.2)
    assert not (run / "statistics.json").exists()
    with pytest.raises(
        InputError, match=r"is no run folder \(no config.yaml\); make one with python -m train.students"
    ):
        fit(tmp_path / "elsewhere", 0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"students": 0}, "students is 0; expected 1 or more"),
        ({"students": -1}, "students is -1; expected 1 or more"),
        ({"size_hw": [0, 0]}, "size_hw is 0,0; expected 32 pixels or more each way"),
        ({"smoothing": -1.0}, "smoothing is -1.0; expected 0 or more"),
        ({"score_pixels": 10**8}, "score_pixels is 100000000; expected 840 or less"),
        ({"region_of_interest": [500, 500, 10, 10]}, r"region_of_interest \(500, 500, 10, 10\) lies outside 32×36"),
    ],
)
def test_a_run_whose_options_cannot_be_used_is_refused(
    calibrated_run: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    config = run / "config.yaml"
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **changes}))
    with pytest.raises(InputError, match=rf"run/config\.yaml was changed since training: {message}"):
        load_run(run)


def test_a_shipped_teacher_in_a_run_folder_is_named(calibrated_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    shutil.copy(teacher_path("p33-quarter"), run)
    with pytest.raises(InputError, match=r"teacher-p33-quarter\.safetensors is a teacher as it is shipped.* remove it"):
        load_run(run)


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no GPU to ask for")
def test_a_gpu_that_is_not_there_is_no_claim_about_the_training(calibrated_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="device is cuda, but PyTorch finds no NVIDIA GPU; use --device cpu"):
        load_run(calibrated_run, "cuda")
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("device: cpu", "device: cuda"))
    with pytest.raises(InputError, match="run was trained on a GPU and there is none here; name the CPU with"):
        load_run(run)


def test_scores_that_cannot_be_written_leave_the_statistics_that_were_there(
    calibrated_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(calibrated_run, tmp_path / "run"))
    (run / "calibration_scores.npy").unlink()
    (run / "calibration_scores.npy").mkdir()
    with pytest.raises(InputError, match=r"calibration_scores\.npy cannot be written"):
        fit(run, 0.5)
    for name in ("statistics.json", "positions.safetensors"):
        assert (run / name).read_bytes() == (calibrated_run / name).read_bytes()
