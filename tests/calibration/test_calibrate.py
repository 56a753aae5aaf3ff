"""Calibration of a run: moments against NumPy in float64, health limits, and the file that keeps them."""

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
from numpy.typing import NDArray
from runs import opened
from torch import Tensor

from calibration.calibrate import calibrate, fit_moments
from calibration.calibrated import CalibratedRun, of_pixels, threshold_images
from calibration.health import fit_health, unlimited
from calibration.maps import Moments, normalized
from calibration.methods import open_run
from calibration.statistics import DEVIATION_FLOOR
from runtime.demo import DemoLine
from runtime.errors import InputError
from runtime.scoring import Scoring
from train.data import PreparedImages
from train.ensemble import teacher_path
from train.method import Kind

if TYPE_CHECKING:
    from train.options import StudentsConfig

ROI = (1, 2, 5, 4)


@pytest.fixture
def run(calibrated_run: Path, tmp_path: Path) -> Path:
    """A copy of the run folder, to be changed."""
    return Path(shutil.copytree(calibrated_run, tmp_path / "run"))


def stand_in(kinds: int) -> Any:
    """A run as far as the moments of its evidence go."""
    found = tuple(Kind(str(index), 1.0) for index in range(kinds))
    return SimpleNamespace(kinds=found, scoring=Scoring(ROI), size_hw=(8, 9), stride=1)


def random_evidence(count: int, seed: int) -> Tensor:
    """Three kinds; far from zero, where float32 sums of squares lose the deviation."""
    generator = torch.Generator().manual_seed(seed)
    return 1e3 + torch.rand(count, 3, 8, 9, generator=generator) * torch.tensor([1, 2, 3]).view(3, 1, 1)


def test_moments_are_those_of_all_pixels_in_the_region() -> None:
    batches = [random_evidence(size, seed) for seed, size in ((1, 2), (2, 1), (3, 3))]
    found = fit_moments(stand_in(3), batches)
    assert len(found) == 3
    for kind, moments in enumerate(found):
        values = [batch[:, kind, 1:6, 2:6].numpy().astype(np.float64) for batch in batches]
        pixels = np.concatenate([each.ravel() for each in values])
        assert moments.mean == pytest.approx(pixels.mean(), rel=1e-12)
        assert moments.deviation == pytest.approx(pixels.std(), rel=1e-6)


def test_a_kind_that_never_varies_gets_the_floor_to_be_divided_by() -> None:
    constant = torch.tensor([40.0, -40.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 8, 9)
    found = fit_moments(stand_in(3), [constant])
    floor = 40.0 * DEVIATION_FLOOR
    assert found == (Moments(40.0, floor), Moments(-40.0, floor), Moments(0.0, 1e-12))


def test_evidence_of_every_other_position_is_measured_at_every_pixel() -> None:
    run, evidence = stand_in(1), torch.arange(20.0).view(1, 1, 4, 5)
    run.stride, run.scoring = 2, Scoring()
    (found,) = fit_moments(run, [evidence])
    pixels = of_pixels(run, evidence).double()
    assert pixels.shape == (1, 1, 8, 9)
    assert found.mean == pytest.approx(float(pixels.mean()), rel=1e-12)


def test_over_the_images_they_come_from_normalized_evidence_has_mean_0_and_deviation_1(calibrated_run: Path) -> None:
    run = opened(calibrated_run)
    images = PreparedImages(run.trained.split.statistics, run.trained.size_hw, None)
    frames = np.stack([images[i] for i in range(len(images))])
    top, left, height, width = run.trained.scoring.region_of_interest or (0, 0, 32, 36)
    terms = normalized(of_pixels(run.trained, run.trained.evidence(frames)).double(), run.moments)
    inside = terms[:, :, top : top + height, left : left + width]
    assert inside.shape[1] == len(run.moments) == 2
    assert inside.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-4)
    assert inside.std(dim=(0, 2, 3), correction=0).tolist() == pytest.approx([1, 1], abs=1e-4)


def lone(run: CalibratedRun, by_position: bool) -> CalibratedRun:
    """The run with one student in place of two."""
    trained: Any = run.trained
    scale = replace(trained.scales[0], students=trained.scales[0].students[:1])
    config = replace(trained.config, students=1, scoring=replace(trained.scoring, by_position=by_position))
    return replace(run, trained=replace(trained, scales=(scale,), config=config), positions=None)


def test_of_one_student_all_images_held_out_give_the_threshold_and_the_statistics_move_none_of_them(
    calibrated_run: Path,
) -> None:
    run = lone(opened(calibrated_run), by_position=False)
    split = run.trained.split
    assert set(run.threshold_images) == {*split.threshold, *split.statistics}
    images = PreparedImages(run.threshold_images, run.trained.size_hw, None)

    def scores(moments: Moments) -> NDArray[np.float64]:
        shifted = replace(run, moments=(moments,))
        return np.array([float(shifted.maps_and_scores(images[i][None])[1]) for i in range(len(images))])

    one, other = scores(Moments(20.0, 4.0)), scores(Moments(3.0, 0.5))
    np.testing.assert_allclose(one * 4.0 + 20.0, other * 0.5 + 3.0, rtol=1e-5)
    np.testing.assert_array_equal(np.argsort(one), np.argsort(other))


def test_where_kinds_are_added_or_scores_by_position_the_statistics_have_no_part_in_the_threshold(
    calibrated_run: Path,
) -> None:
    run = opened(calibrated_run)
    for each in (lone(run, by_position=True), run):
        assert threshold_images(each.trained) == each.threshold_images == each.trained.split.threshold


def test_health_limits_leave_the_range_of_the_good_images_by_half_of_what_is_left() -> None:
    dark, bright = np.full((40, 60, 3), 50, np.uint8), np.full((40, 80, 3), 155, np.uint8)
    bright[:20] = 255  # half of it saturated: mean 205
    limits = fit_health([dark, bright], (20, 20))
    assert limits.brightness_low == 25
    assert limits.brightness_high == pytest.approx((205 + 255) / 2)
    assert limits.saturated_high == pytest.approx(0.75)
    assert limits.aspect_low == pytest.approx(1.5 * 0.95)
    assert limits.aspect_high == pytest.approx(2 * 1.05)
    assert limits.height_low == 20


def test_good_images_set_limits_of_sharpness_and_likeness_or_it_is_said_that_they_do_not() -> None:
    line = DemoLine(9, (64, 64), 0.0)
    parts = [line.good(number).image for number in range(10)]
    limits = fit_health(parts, (64, 64))
    assert min(limits.sharpness_low) > 0
    assert limits.likeness_low > 0.5
    assert unlimited(limits) == []
    few = fit_health(parts[:7], (64, 64))
    assert (few.sharpness_low, few.likeness_low, few.typical) == ((0.0, 0.0), 0.0, ())
    assert [sentence.partition(":")[0] for sentence in unlimited(few)] == [
        "blur from left to right and from top to bottom is not noticed",
        "a frame without a part is not noticed before it is scored",
    ]
    bars = np.repeat(np.arange(64, dtype=np.uint8) % 9 // 5 * 150, 64).reshape(64, 64)  # nothing differs along a row
    striped = fit_health([np.dstack([np.roll(bars, shift, axis=0)] * 3) for shift in range(10)], (64, 64))
    assert striped.sharpness_low[0] == 0
    assert striped.sharpness_low[1] > 0
    assert unlimited(striped)[0].startswith("blur from left to right is not noticed: ")
    assert fit_health(parts, (15, 15)).sharpness_low == (0.0, 0.0)


def test_statistics_come_back_from_their_file(run: Path) -> None:
    calibrated = replace(opened(run), moments=(Moments(0.1, 1 / 3), Moments(2.0, 1e-12)), budget=0.3, confidence=0.9)
    calibrated.save()
    found = opened(run)
    assert (found.moments, found.health) == (calibrated.moments, calibrated.health)
    assert (found.budget, found.confidence) == (0.3, 0.9)
    assert found.positions is not None
    assert calibrated.positions is not None
    assert torch.equal(found.positions.mean, calibrated.positions.mean)
    assert torch.equal(found.positions.deviation, calibrated.positions.deviation)


def test_what_calibration_returns_is_what_it_writes(run: Path) -> None:
    (run / "statistics.json").unlink()
    returned, read = calibrate(open_run(run), 0.2), opened(run)
    assert (returned.moments, returned.health, returned.budget) == (read.moments, read.health, 0.2)
    assert returned.positions is not None
    assert read.positions is not None
    assert torch.equal(returned.positions.mean, read.positions.mean)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"deviation"', '"spread"'),
        lambda text: json.dumps({**json.loads(text), "moments": "none"}),
        lambda text: json.dumps({**json.loads(text), "health": None}),
        lambda text: json.dumps({**json.loads(text), "kinds": ["distance"]}),
        lambda text: json.dumps({**json.loads(text), "moments": json.loads(text)["moments"][:1]}),
        lambda text: json.dumps({"moments": [{"error_mean": 1.0}], "patch_sizes": [33]}),  # an earlier version's
        lambda text: "[" * 100_000,
    ],
    ids=["cut", "list", "renamed", "no moments", "no health", "other kinds", "one moment", "earlier", "deep"],
)
def test_damaged_statistics_are_refused_with_the_way_out(run: Path, damage: Callable[[str], str]) -> None:
    path = run / "statistics.json"
    path.write_text(damage(path.read_text()))
    message = r"statistics.json is damaged, or of an earlier version \(.*\); run python -m calibration.fit "
    with pytest.raises(InputError, match=message):
        opened(run)


def test_missing_statistics_name_the_command_that_makes_them(run: Path) -> None:
    (run / "statistics.json").unlink()
    with pytest.raises(InputError, match=f"{run} is not calibrated; run python -m calibration.fit {run}"):
        opened(run)


@pytest.mark.parametrize("was", [True, False])
def test_statistics_of_scores_of_another_kind_are_refused(run: Path, was: bool) -> None:
    config = run / "config.yaml"
    text = config.read_text()
    other = text.replace(f"by_position: {str(True).lower()}", "by_position: false")
    assert other != text
    if not was:  # calibrated without positions, then asked for them
        config.write_text(other)
        calibrate(open_run(run), 0.2)
        other = text
    config.write_text(other)
    with pytest.raises(InputError, match=r"by_position was changed since\); run python -m calibration.fit"):
        opened(run)


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.1, float("nan")])
def test_a_budget_out_of_range_is_refused_before_the_work(calibrated_run: Path, budget: float) -> None:
    before = (calibrated_run / "statistics.json").read_bytes()
    with pytest.raises(InputError, match="false-reject budget is"):
        calibrate(open_run(calibrated_run), budget)
    assert (calibrated_run / "statistics.json").read_bytes() == before


def test_an_unfinished_run_is_not_calibrated(tmp_path: Path, tiny_config: "StudentsConfig") -> None:
    from train.student_training import train_students

    run = tmp_path / "run"
    assert not train_students(tiny_config, run, stop_after=1)
    with pytest.raises(InputError, match=r"has no finished students of p = 33; go on with the command that began it"):
        open_run(run)
    next(run.glob("teacher-p*")).unlink()
    with pytest.raises(InputError, match=r"run is not trained to the end; go on with the command that began it"):
        open_run(run)
    with pytest.raises(InputError, match=r"is no run folder \(no config.yaml\); make one with python -m train"):
        open_run(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"students": 0}, "students is 0; expected 1 or more"),
        ({"students": -1}, "students is -1; expected 1 or more"),
        ({"size_hw": [0, 0]}, "size_hw is 0,0; expected 32 pixels or more each way"),
        ({"smoothing": -1.0}, "smoothing is -1; expected 0 to 10"),
        ({"score_pixels": 10**8}, "score_pixels is 100000000; expected 1 to 840"),
        ({"region_of_interest": [500, 500, 10, 10]}, r"region_of_interest \(500, 500, 10, 10\) lies outside 32×36"),
    ],
)
def test_a_run_whose_options_cannot_be_used_is_refused(run: Path, changes: dict[str, object], message: str) -> None:
    config = run / "config.yaml"
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **changes}))
    with pytest.raises(InputError, match=rf"run/config\.yaml was changed since training: {message}"):
        open_run(run)


def test_a_run_from_before_there_was_another_method_is_one_of_students(run: Path) -> None:
    config, before = run / "config.yaml", opened(run)
    text = config.read_text()
    assert text.startswith("method: students\n")
    config.write_text(text.removeprefix("method: students\n"))
    after = opened(run)
    assert after.trained.method == "students"
    assert after.trained.scoring == before.trained.scoring
    assert after.moments == before.moments


def test_a_method_that_is_not_known_is_refused(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("method: students", "method: nonsense"))
    with pytest.raises(InputError, match="method is 'nonsense'; expected one of students, memory-bank"):
        open_run(run)


def test_a_shipped_teacher_in_a_run_folder_is_named(run: Path) -> None:
    shutil.copy(teacher_path("p33-quarter"), run)
    with pytest.raises(InputError, match=r"teacher-p33-quarter\.safetensors is a teacher as it is shipped.* remove it"):
        open_run(run)


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no GPU to ask for")
def test_a_gpu_that_is_not_there_is_no_claim_about_the_training(run: Path) -> None:
    with pytest.raises(InputError, match="device is cuda, but PyTorch finds no NVIDIA GPU; use --device cpu"):
        open_run(run, "cuda")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("device: cpu", "device: cuda"))
    with pytest.raises(InputError, match="run was trained on a GPU and there is none here; name the CPU with"):
        open_run(run)


def test_statistics_that_cannot_be_written_leave_those_that_were_there(run: Path) -> None:
    before = (run / "statistics.json").read_bytes()
    (run / "positions.safetensors").unlink()
    (run / "positions.safetensors").mkdir()
    with pytest.raises(InputError, match=r"positions\.safetensors cannot be written"):
        calibrate(open_run(run), 0.5)
    assert (run / "statistics.json").read_bytes() == before
