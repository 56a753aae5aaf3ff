"""Evidence of the whole frame against refitting and ridge regression written plainly, and how calibration fits it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from runs import opened

from calibration import calibrate as calibration
from calibration.calibrate import EvidenceOfImages, calibrate_folder
from calibration.calibrated import IMAGE_EVIDENCE, CalibratedRun, as_tensors
from calibration.image_evidence import (
    ImageEvidence,
    fit_image_evidence,
    image_evidence_from,
    left_out,
)
from calibration.methods import open_run
from calibration.statistics import PRIOR_IMAGES
from runtime.errors import InputError
from train.data import PreparedImages
from train.memory_bank import train_memory_bank
from train.options import MemoryBankConfig, StudentsConfig
from train.student_training import train_students

Array = NDArray[np.float64]
IMAGES, FEATURES = 30, 7


def drawn(images: int = IMAGES, features: int = FEATURES, seed: int = 0) -> Array:
    """Features that vary together, far from zero, each in a unit of its own."""
    draw = np.random.default_rng(seed)
    mixed = draw.normal(size=(images, features)) @ draw.normal(size=(features, features))
    return np.asarray(50 + mixed * np.geomspace(0.2, 5, features))


def fitted(features: Array, reference: slice = slice(None)) -> ImageEvidence:
    return fit_image_evidence(torch.from_numpy(features), reference)


def raw(evidence: ImageEvidence, features: Array) -> Array:
    return np.asarray(evidence.raw(torch.from_numpy(features)))


def plain(known: Array, reference: Array, features: Array, prior: float = PRIOR_IMAGES) -> Array:
    """√h by the formula: a sum over images, and an inverse."""
    centre, deviation = reference.mean(axis=0), reference.std(axis=0, ddof=1)

    def extended(x: Array) -> Array:
        return np.append(1, (x - centre) / deviation)

    matrix = prior * np.eye(known.shape[1] + 1)
    for image in known:
        matrix += np.outer(extended(image), extended(image))
    inverse = np.linalg.inv(matrix)
    return np.sqrt([extended(x) @ inverse @ extended(x) for x in features])


@pytest.mark.parametrize("images", [IMAGES, 5])
def test_evidence_is_the_leverage_of_ridge_regression(images: int) -> None:
    known, new = drawn(images), drawn(9, seed=1)
    evidence = fitted(known, slice(4))
    np.testing.assert_allclose(raw(evidence, new), plain(known, known[:4], new), rtol=1e-9)


def test_without_shrinkage_it_is_mahalanobis_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.statistics.PRIOR_IMAGES", 0.0)
    known, new = drawn(), drawn(9, seed=1)
    gaps = new - known.mean(axis=0)
    squared = np.einsum("ni,ij,nj->n", gaps, np.linalg.inv(np.cov(known.T)), gaps)
    np.testing.assert_allclose(raw(fitted(known), new) ** 2, 1 / IMAGES + squared / (IMAGES - 1), rtol=1e-6)


@pytest.mark.parametrize(("images", "features"), [(IMAGES, FEATURES), (6, 40)], ids=["many", "fewer than features"])
def test_an_image_left_out_by_the_closed_form_has_what_it_has_where_it_was_never_known(
    images: int, features: int
) -> None:
    known, fixed = drawn(images, features), 4
    found = left_out(torch.from_numpy(raw(fitted(known, slice(fixed)), known) ** 2)).numpy()
    for index in range(fixed, images):
        without = fitted(np.delete(known, index, axis=0), slice(fixed))
        assert found[index] == pytest.approx(raw(without, known[index : index + 1])[0], rel=1e-9)


def test_one_more_image_raises_no_evidence() -> None:
    known, new = drawn(), drawn(50, seed=1)
    before = raw(fitted(known[:10], slice(5)), new)
    for count in range(11, IMAGES + 1):
        after = raw(fitted(known[:count], slice(5)), new)
        assert np.all(after <= before * (1 + 1e-12))
        assert np.any(after < before * (1 - 1e-6))
        before = after


def test_the_unit_is_that_of_reference_images_each_left_out() -> None:
    known = drawn()
    evidence = fitted(known, slice(12))
    refitted = [float(plain(np.delete(known, i, axis=0), known[:12], known[i : i + 1])[0]) for i in range(12)]
    assert evidence.evidence_mean == pytest.approx(np.mean(refitted), rel=1e-9)
    assert evidence.evidence_deviation >= np.std(refitted, ddof=1) * (1 - 1e-9)
    new = drawn(9, seed=1)
    expected = (raw(evidence, new) - evidence.evidence_mean) / evidence.evidence_deviation
    np.testing.assert_allclose(evidence.score(torch.from_numpy(new)).numpy(), expected)


def test_the_unit_of_a_feature_is_nothing_to_its_evidence() -> None:
    known, new = drawn(), drawn(9, seed=1)
    units = np.geomspace(0.5, 2, FEATURES)
    np.testing.assert_allclose(raw(fitted(known * units), new * units), raw(fitted(known), new), rtol=1e-6)


def test_a_feature_that_never_varies_takes_no_part_until_it_does() -> None:
    known, new = drawn(), drawn(9, seed=1)
    known[:, 2] = new[:, 2] = 50.0
    others = [index for index in range(FEATURES) if index != 2]
    evidence = fitted(known)
    np.testing.assert_allclose(raw(evidence, new), raw(fitted(known[:, others]), new[:, others]), rtol=1e-6)
    assert np.isfinite(raw(evidence, known)).all()
    changed = new + np.eye(FEATURES)[2]
    assert np.all(raw(evidence, changed) > 8 * raw(evidence, new))


def test_images_that_are_all_the_same_are_no_division_by_nothing() -> None:
    evidence = fitted(np.full((3, FEATURES), 2.0))
    assert np.isfinite(np.asarray(evidence.score(torch.full((2, FEATURES), 2.0)))).all()


def test_it_comes_back_from_its_tensors_and_another_is_refused() -> None:
    evidence = fitted(drawn())
    tensors = as_tensors(evidence)
    found = image_evidence_from(tensors)
    new = torch.from_numpy(drawn(9, seed=1))
    assert torch.equal(found.score(new), evidence.score(new))
    with pytest.raises(TypeError):
        image_evidence_from({**tensors, "speed": torch.zeros(1)})


@pytest.fixture
def run(bank_run: Path, tmp_path: Path) -> Path:
    """A copy of the run folder, to be changed."""
    return Path(shutil.copytree(bank_run, tmp_path / "run"))


def frames_of(run: CalibratedRun, paths: tuple[Path, ...]) -> NDArray[np.uint8]:
    images = PreparedImages(paths, run.trained.size_hw, None)
    return np.stack([images[index] for index in range(len(images))])


def pooled_of(run: CalibratedRun, paths: tuple[Path, ...]) -> torch.Tensor:
    frames = frames_of(run, paths)
    return torch.cat([run.trained.pooled_features(frames[i : i + 1]) for i in range(len(frames))])


def test_a_memory_bank_knows_all_its_images_and_both_units_are_of_those_of_reference(bank_run: Path) -> None:
    run = opened(bank_run)
    split = run.trained.split
    assert run.image is not None
    expected = fit_image_evidence(pooled_of(run, (*split.statistics, *split.training)), slice(8))
    for name, value in vars(expected).items():
        torch.testing.assert_close(getattr(run.image, name), value)
    scores = []
    for index, path in enumerate(split.statistics):
        evidence = run.trained.without(path).evidence(frames_of(run, split.statistics)[index : index + 1])
        scores.append(float(run.score_of_map(run.scored(run.maps_of(evidence)))))
    assert (np.mean(scores), np.std(scores, ddof=1)) == pytest.approx((0, 1), abs=1e-3)


def test_scores_are_the_maps_before_the_frames(bank_run: Path) -> None:
    run = opened(bank_run)
    assert run.image is not None
    frames = frames_of(run, run.trained.split.training[:3])
    maps, scores = run.maps_and_scores(frames)
    assert (maps.shape, scores.shape) == ((3, 32, 36), (3, 2))
    torch.testing.assert_close(scores[:, 0], run.score_of_map(run.scored(maps)))
    torch.testing.assert_close(scores[:, 1], run.image.score(run.trained.pooled_features(frames)).float())


def test_a_picture_in_several_files_is_known_once(
    bank_config: MemoryBankConfig, bank_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(bank_config.data, tmp_path / "images")
    for path in sorted((tmp_path / "images").iterdir()):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    train_memory_bank(replace(bank_config, data=str(tmp_path / "images")), tmp_path / "run")
    found, expected = calibrate_folder(tmp_path / "run", 0.2, 0.95).image, opened(bank_run).image
    assert found is not None
    assert expected is not None
    torch.testing.assert_close(found.whitening, expected.whitening)
    assert found.evidence_mean == pytest.approx(expected.evidence_mean)


def test_students_know_the_images_they_were_trained_on_and_their_map_is_of_those_held_out(
    tiny_config: StudentsConfig, tmp_path: Path
) -> None:
    assert train_students(replace(tiny_config, image_evidence=True), tmp_path / "run")
    run = calibrate_folder(tmp_path / "run", 0.2, 0.95)
    split = run.trained.split
    assert run.trained.pooled == "descriptors of p = 33"
    assert run.image is not None
    expected = fit_image_evidence(pooled_of(run, split.training), slice(None))
    torch.testing.assert_close(run.image.whitening, expected.whitening)
    assert run.image.evidence_mean == pytest.approx(expected.evidence_mean)
    scores = run.maps_and_scores(frames_of(run, split.statistics))[1][:, 0]
    assert (float(scores.mean()), float(scores.std())) == pytest.approx((0, 1), abs=1e-3)
    frames = frames_of(run, split.threshold)
    assert torch.equal(opened(tmp_path / "run").maps_and_scores(frames)[1], run.maps_and_scores(frames)[1])


def test_what_calibration_returns_is_what_it_writes(run: Path) -> None:
    (run / "statistics.json").unlink()
    (run / IMAGE_EVIDENCE).unlink()
    returned, read = calibrate_folder(run, 0.2, 0.95), opened(run)
    assert returned.image is not None
    assert read.image is not None
    assert vars(returned.image).keys() == vars(read.image).keys()
    for name, value in vars(returned.image).items():
        assert torch.equal(torch.as_tensor(getattr(read.image, name)), torch.as_tensor(value)), name


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove, "image-evidence.safetensors is missing or damaged"),
        (lambda path: path.write_bytes(b"x"), "image-evidence.safetensors is not the one that was written with it"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-8]),
            "image-evidence.safetensors is not the one that was written with it",
        ),
    ],
)
def test_a_file_that_is_missing_or_another_is_refused_with_the_way_out(
    run: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(run / IMAGE_EVIDENCE)
    with pytest.raises(
        InputError, match=rf"statistics.json is damaged, .* \({message}\); run python -m calibration.fit"
    ):
        opened(run)


def test_statistics_of_a_run_without_it_are_refused(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("image_evidence: true", "image_evidence: false"))
    with pytest.raises(InputError, match=r"image_evidence was changed since\); run python -m calibration.fit"):
        opened(run)
    calibrate_folder(run, 0.2, 0.95)
    assert opened(run).image is None
    config.write_text(config.read_text().replace("image_evidence: false", "image_evidence: true"))
    with pytest.raises(InputError, match=r"image_evidence was changed since\); run python -m calibration.fit"):
        opened(run)


class Counting:
    """A run that counts how often it is asked for evidence."""

    alignment = None

    def __init__(self, run: Any) -> None:
        self.run, self.size_hw, self.asked = run, run.size_hw, 0

    def without(self, path: Path) -> Any:
        self.asked += 1
        return self.run.without(path)


@pytest.fixture
def counting(bank_run: Path) -> Counting:
    return Counting(open_run(bank_run))


@pytest.mark.parametrize(("images", "again"), [(8, 0), (3, 5), (0, 8)])
def test_evidence_is_kept_within_its_bound_and_is_the_same_again(
    counting: Counting, images: int, again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = 4 * 5 * 4  # bytes of the evidence of an image
    monkeypatch.setattr(calibration, "CACHE_BYTES", images * one + one - 1)
    paths = counting.run.split.statistics
    evidence: Any = EvidenceOfImages(counting, paths, "evidence")  # type: ignore[arg-type]
    first = list(evidence)
    assert (len(evidence), len(first), counting.asked) == (8, 8, 8)
    for round_ in (1, 2):
        assert all(map(torch.equal, first, evidence))
        assert counting.asked == 8 + round_ * again
    frames = PreparedImages(paths, counting.size_hw, None)
    for index, path in enumerate(paths):
        torch.testing.assert_close(first[index], counting.run.without(path).evidence(frames[index][None]))


def test_of_few_images_the_evidence_counts_for_little() -> None:
    known = drawn(40)
    spread = [
        fitted(known, slice(count)).evidence_deviation / np.std(left_out_scores(known)[:count], ddof=1)
        for count in (5, 10, 20, 40)
    ]
    assert spread[0] > 10 > 5 > spread[1] > spread[2] > spread[3] > 1


def left_out_scores(known: Array) -> Array:
    """√h of each image, of a fit to all others."""
    return np.array(
        [raw(fitted(np.delete(known, index, axis=0)), known[index : index + 1])[0] for index in range(len(known))]
    )
