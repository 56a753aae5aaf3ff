"""What a log shows of long work."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from train import progress
from train.options import StudentsConfig, TeacherConfig
from train.progress import Progress, duration
from train.student_training import train_students
from train.teacher_training import train_teacher


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def working(clock: Clock, steps: int, step_s: float) -> Iterator[int]:
    for step in range(steps):
        clock.now_s += step_s
        yield step


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_log_gets_a_line_early_one_a_minute_and_one_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    bar = Progress(working(clock, 100, 2.5), "p33", 100, clock=clock)
    assert list(bar) == list(range(100))
    assert lines(capsys) == [
        "p33: step 4 of 100, 4 min left",
        "p33: step 28 of 100, 3 min left",
        "p33: step 52 of 100, 2 min left",
        "p33: step 76 of 100, 60 s left",
        "p33: step 100 of 100",
    ]


def test_work_of_seconds_is_not_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    assert len(list(Progress(working(clock, 9, 1.0), "health", 9, unit="image", clock=clock))) == 9
    assert lines(capsys) == []


def test_work_that_goes_on_counts_from_where_it_began_and_shows_its_latest_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    bar = Progress(working(clock, 3, 3600.0), "p65", 1204, start=1200, clock=clock)
    for step in bar:
        assert bar.is_due()
        bar.show(loss=12.345 / (step + 1))
    assert lines(capsys) == [
        "p65: step 1,201 of 1,204, loss 12.3, 3 h 00 min left",
        "p65: step 1,202 of 1,204, loss 6.17, 2 h 00 min left",
        "p65: step 1,203 of 1,204, loss 4.12, 60 min left",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (91, "2 min"), (5399, "1 h 30 min"), (36_000, "10 h 00 min")]
)
def test_a_time_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    bar = Progress(range(3), "p33", 3, leave=True)
    for _ in bar:
        assert not bar.is_due()
        bar.show(loss=1.5)
    assert "p33: 100%" in terminal.getvalue()
    assert "loss=1.5" in terminal.getvalue()


@pytest.fixture
def every_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line after each item, in place of one a minute."""
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    monkeypatch.setattr(progress, "EVERY_S", 0.0)


def test_the_training_of_students_tells_a_log_its_loss_and_time(
    part_images: Path,
    teacher_files: dict[int, Path],
    tmp_path: Path,
    every_item: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = StudentsConfig(
        data=str(part_images), teachers=(str(teacher_files[33]),), students=1, size_hw=(32, 36), train_stride=8,
        output_stride=8, steps=3, device="cpu", precision="fp32",
    )  # fmt: skip
    assert train_students(config, tmp_path / "run")
    said = lines(capsys)
    assert [line for line in said if line.startswith("images: image ")]
    assert [line for line in said if line.startswith("p33 statistics: image ")]
    first, second, last = (line for line in said if line.startswith("p33: step "))
    assert first.startswith("p33: step 1 of 3, loss ")
    assert second.endswith(" s left")
    assert last.startswith("p33: step 3 of 3, loss ")


def test_the_training_of_a_teacher_tells_a_log_its_losses(
    photographs: Path,
    tmp_path: Path,
    every_item: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("train.teacher_training.HELD_OUT_PATCHES", 24)
    monkeypatch.setattr("train.teacher_training.HELD_OUT_TRIPLETS", 16)
    config = TeacherConfig(
        data=str(photographs), patch_size=17, width=0.1, descriptor="none", triplet=1.0, iterations=2, batch_size=2,
        device="cpu", precision="fp32",
    )  # fmt: skip
    train_teacher(config, tmp_path / "run")
    said = lines(capsys)
    assert [line for line in said if line.startswith("photographs: image ")]
    assert next(line for line in said if line.startswith("p17: step 1 of 2, triplet "))
