"""Training and the line see the same aligned frames, and a run says what the good images do not allow."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.methods import open_run
from export.detector import export
from export.golden import write_golden
from runtime.demo.line import DemoLine
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.errors import ImageError, InputError
from runtime.images import list_images, read_image
from runtime.placement import turned
from train.alignment import ALIGNMENT
from train.config import configured
from train.data import PreparedImages
from train.memory_bank import train_memory_bank
from train.options import AlignmentOptions, MemoryBankConfig, StudentsConfig
from train.run_folder import SCORES
from train.student_training import train_students

SIZE_HW = (96, 96)
ANY_ANGLE = AlignmentOptions(align="any-angle")


@pytest.fixture(scope="module")
def lying_anyhow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good parts that lie at any angle."""
    folder, line, rng = tmp_path_factory.mktemp("lying"), DemoLine(7, SIZE_HW), np.random.default_rng(0)
    for index in range(16):
        matrix = turned(rng.uniform(-180, 180), tuple(rng.uniform(-3, 3, 2)), SIZE_HW)
        image = cv2.warpAffine(line.good(index).image, matrix, SIZE_HW, borderMode=cv2.BORDER_REPLICATE)
        cv2.imwrite(str(folder / f"{index:02}.png"), image)
    return folder


def config_of(
    data: Path, alignment: AlignmentOptions = ANY_ANGLE, backbone: str = "efficientnet-lite0"
) -> MemoryBankConfig:
    return MemoryBankConfig(
        data=str(data), backbone=backbone, size_hw=SIZE_HW, coreset=60, projected=16, device="cpu",
        alignment=alignment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bank_detector(lying_anyhow: Path, shallow_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aligned")
    train_memory_bank(config_of(lying_anyhow, backbone=str(shallow_backbone)), folder / "run")
    export(calibrate(open_run(folder / "run"), budget=0.2), folder / "detector.onnx")
    return folder / "detector.onnx"


def test_the_line_prepares_a_file_as_training_did(bank_detector: Path, lying_anyhow: Path) -> None:
    trained, paths = open_run(bank_detector.with_name("run")), list_images(lying_anyhow)
    recipe = read_detector(bank_detector)[1]
    assert trained.alignment is not None
    assert recipe.alignment == trained.alignment
    images = PreparedImages(paths, SIZE_HW, trained.alignment)
    unaligned = PreparedImages(paths, SIZE_HW, None)
    with Detector.open(bank_detector, threads=1) as detector:
        for index, path in enumerate(paths):
            expected = detector.engine.result(detector.engine.submit(images[index][None]))
            verdict = detector.inspect(read_image(path))
            assert verdict.score == expected.anomaly_score[0]
    # upright, parts are more alike than as they lie
    assert spread_of(images) < 0.8 * spread_of(unaligned)


def spread_of(images: PreparedImages) -> float:
    middle = slice(SIZE_HW[0] // 4, 3 * SIZE_HW[0] // 4)
    return float(np.stack([images[i][middle, middle].astype(float) for i in range(len(images))]).std(axis=0).mean())


def test_students_scores_of_held_out_files_are_those_of_the_line(lying_anyhow: Path, tmp_path: Path) -> None:
    config = StudentsConfig(
        data=str(lying_anyhow), teachers=("p33-quarter",), students=1, size_hw=SIZE_HW, output_stride=8, train_stride=8,
        steps=2, holdout=0.375, device="cpu", precision="fp32", alignment=AlignmentOptions("any-angle"),
    )  # fmt: skip
    assert train_students(config, tmp_path / "run")
    run = calibrate(open_run(tmp_path / "run"), budget=0.2)
    export(run, tmp_path / "detector.onnx")
    kept = np.load(tmp_path / "run" / SCORES)
    with Detector.open(tmp_path / "detector.onnx") as detector:
        found = [detector.inspect(read_image(path)).score for path in run.threshold_images]
    np.testing.assert_array_equal(np.float32(kept), np.float32(found))


def test_golden_arrays_hold_how_the_part_lies(bank_detector: Path, lying_anyhow: Path, tmp_path: Path) -> None:
    image = list_images(lying_anyhow)[3]
    write_golden(bank_detector, image, tmp_path / "golden.npz")
    with np.load(tmp_path / "golden.npz") as arrays:
        assert arrays["placed"].shape == (2, 3)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        middle = slice(30, 66)  # clear of what lies outside the picture
        again = cv2.warpAffine(read_image(image), arrays["placed"], SIZE_HW, flags=flags)
        np.testing.assert_array_equal(again[middle, middle], arrays["prepared"][middle, middle])


def test_an_image_in_which_the_part_is_not_found_cannot_be_trained_on(bank_detector: Path, tmp_path: Path) -> None:
    alignment = read_detector(bank_detector)[1].alignment
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((*SIZE_HW, 3), 90, np.uint8))
    with pytest.raises(ImageError, match=r"flat.png: part not found: .*; take it out, or train with another --align"):
        PreparedImages([tmp_path / "flat.png"], SIZE_HW, alignment)[0]
    assert PreparedImages([tmp_path / "flat.png"], SIZE_HW, alignment, anyhow=True)[0].shape == (*SIZE_HW, 3)


def test_images_of_different_things_are_refused_before_a_run_begins(tmp_path: Path) -> None:
    data, rng = tmp_path / "data", np.random.default_rng(0)
    data.mkdir()
    for index in range(9):
        noise = cv2.resize(rng.integers(0, 255, (12, 12, 3), np.uint8), SIZE_HW, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(data / f"{index}.png"), noise)
    with pytest.raises(InputError, match="the part is not found in all good images: the lowest qualities are"):
        train_memory_bank(config_of(data), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_good_images_outside_given_limits_are_refused(lying_anyhow: Path, tmp_path: Path) -> None:
    tight = AlignmentOptions(align="any-angle", align_shift=0.001)
    with pytest.raises(InputError, match=r"good images that the line would not inspect: .*shifted by"):
        train_memory_bank(config_of(lying_anyhow, tight), tmp_path / "run")


def test_a_named_reference_is_how_parts_lie(lying_anyhow: Path, tmp_path: Path) -> None:
    reference = list_images(lying_anyhow)[5]
    train_memory_bank(config_of(lying_anyhow, replace(ANY_ANGLE, align_reference=str(reference))), tmp_path / "run")
    run = open_run(tmp_path / "run")
    frame = PreparedImages([reference], SIZE_HW, run.alignment)[0]
    assert np.abs(frame.astype(int) - read_image(reference)).mean() < 2


def test_a_run_whose_alignment_was_lost_or_changed_is_not_opened(bank_detector: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for file in bank_detector.with_name("run").iterdir():
        (run / file.name).write_bytes(file.read_bytes())
    kept = json.loads((run / ALIGNMENT).read_text())
    (run / ALIGNMENT).write_text(json.dumps(kept | {"mode": "near", "largest_angle": 10.0}))
    with pytest.raises(InputError, match="is of align near, the run of any-angle: it was changed since"):
        open_run(run)
    (run / ALIGNMENT).unlink()
    with pytest.raises(InputError, match=r"alignment\.json is missing or damaged"):
        open_run(run)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"align": "upright"}, "align is upright; expected one of none, near, any-angle"),
        ({"align_shift": 0.1}, "align_shift is given and align is none"),
        ({"align": "any-angle", "align_angle": 10}, "align_angle is given and align is any-angle, which takes any"),
        ({"align": "near", "align_angle": 45}, "align_angle is 45; expected more than 0 and 30 at most"),
        ({"align": "near", "align_shift": 0}, "align_shift is 0; expected more than 0 and 0.2 at most"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        configured(MemoryBankConfig, options)
