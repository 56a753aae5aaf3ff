"""Our students and a finished detector behind the interface of the compared methods."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.methods.base import Frames, Setting, as_pixels
from benchmarks.methods.detector import FinishedDetector
from benchmarks.methods.students import Options, Students
from calibration.calibrated import with_statistics
from calibration.methods import open_run
from calibration.methods.students import StudentsRun
from runtime.default_detector import DEMO_DETECTOR
from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.errors import InputError


@pytest.fixture
def options(teacher_files: dict[int, Path]) -> Options:
    return Options(
        (str(teacher_files[33]),), students=1, ensemble=2, steps=3, learning_rate=1e-3, output_stride=8, train_stride=8
    )


def test_fewer_students_are_the_first_of_one_training(
    options: Options, good: Frames, planted: Frames, unseen: Frames, tmp_path: Path
) -> None:
    setting = Setting(runs=tmp_path)
    one, two = Students(options, setting), Students(replace(options, students=2), setting)
    one.fit(good)
    (run,) = tmp_path.iterdir()
    trained_at = (run / "run" / "student-p33-0.safetensors").stat().st_mtime_ns
    two.fit(good)
    assert [path.name for path in tmp_path.iterdir()] == [run.name]
    assert (run / "run" / "student-p33-0.safetensors").stat().st_mtime_ns == trained_at
    opened = open_run(run / "run")
    assert isinstance(opened, StudentsRun)
    _, students = opened.scales[0].descriptors(as_pixels(planted[:1], "cpu"), 8)
    for method, count in ((one, 1), (two, 2)):
        assert method.run is not None
        used_run = method.run.trained
        assert isinstance(used_run, StudentsRun)
        assert len(method.run.moments) == count  # a single student has no variance
        _, used = used_run.scales[0].descriptors(as_pixels(planted[:1], "cpu"), 8)
        assert torch.equal(used, students[:count])
        found = method.inspect(planted)
        assert found.maps is not None
        assert found.maps.shape == (4, 32, 32)
        assert found.scores.min() > method.inspect(unseen).scores.max()
        assert np.array_equal(found.scores, found.maps.max(axis=(1, 2)))
    with pytest.raises(InputError, match="fitted on frames"):
        one.inspect(planted[:, :24])


def test_by_position_scores_are_of_another_map_and_maps_stay_the_papers(
    options: Options, good: Frames, planted: Frames, tmp_path: Path
) -> None:
    setting = Setting(runs=tmp_path)
    plain, by_position = Students(options, setting), Students(replace(options, by_position=True), setting)
    plain.fit(good)
    by_position.fit(good)
    assert len(list(tmp_path.iterdir())) == 1  # one training serves both
    found, expected = by_position.inspect(planted), plain.inspect(planted)
    assert found.maps is not None
    assert expected.maps is not None
    np.testing.assert_array_equal(found.maps, expected.maps)
    assert by_position.run is not None
    positions = by_position.run.positions
    assert positions is not None
    deviations = (found.maps - positions.mean.numpy()) / positions.deviation.numpy()
    np.testing.assert_allclose(found.scores, deviations.max(axis=(1, 2)), rtol=1e-5)


def test_more_students_than_were_trained_are_refused(options: Options) -> None:
    with pytest.raises(InputError, match="students is 3; expected 1 to 2, the ensemble trained"):
        Students(replace(options, students=3), Setting())


def test_a_detector_file_gives_its_own_scores_and_maps_of_the_frames_size() -> None:
    line = DemoLine(5, (200, 200), defect_rate=0)
    frames = np.stack([line.good(index).image for index in range(2)])
    method = FinishedDetector(DEMO_DETECTOR)
    with pytest.raises(InputError, match="not fitted yet"):
        method.inspect(frames)
    method.fit(frames)
    found = method.inspect(frames)
    with Detector.open(DEMO_DETECTOR) as detector:
        verdicts = [detector.inspect(frame) for frame in frames]
    assert found.scores.tolist() == pytest.approx([verdict.score for verdict in verdicts])
    assert found.maps is not None
    assert found.maps.shape == frames.shape[:3]
    assert found.maps.shape[1:] != method.own_size_hw


def test_a_run_folder_gives_the_plain_formulas_scores(calibrated_run: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, 32, 36, 3)).astype(np.uint8)
    method = FinishedDetector(calibrated_run)
    method.fit(frames)
    maps, scores = with_statistics(open_run(calibrated_run)).maps_and_scores(frames)
    found = method.inspect(frames)
    np.testing.assert_allclose(found.scores, scores.numpy(), rtol=1e-4)
    assert found.maps is not None
    np.testing.assert_allclose(found.maps, maps.numpy(), rtol=1e-3, atol=1e-4)
