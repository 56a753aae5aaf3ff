"""Training in pieces, as far as the time goes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gpu.job import Found, Job
from benchmarks.gpu.paper import _train, pieces

if TYPE_CHECKING:
    from train.options import StudentsConfig


def test_pieces_grow_by_the_pace_and_fill_most_of_the_time() -> None:
    now_s, taken = [0.0], []

    def train(steps: int) -> bool:
        taken.append(steps)
        now_s[0] += 0.01 + 0.002 * steps
        return False

    done = list(pieces(train, lambda: 1.5 - now_s[0], 5, clock=lambda: now_s[0]))
    assert [piece.steps for piece in done] == taken
    assert taken[0] == 5
    assert taken[1] > 50
    assert 1.2 < now_s[0] < 1.8


def test_a_training_that_is_done_ends_the_pieces() -> None:
    assert len(list(pieces(lambda steps: steps > 10, lambda: 1e9, 3))) == 2


def test_the_pace_of_a_scale_is_that_of_its_longest_piece(
    tiny_config: "StudentsConfig", make_job: Callable[..., Job], tmp_path: Path
) -> None:
    found, job = Found(tmp_path / "found.json"), make_job("paper", seconds=600.0)
    _train(replace(tiny_config, steps=6), tmp_path / "run", job, 0.0, found)
    (scale,) = found.figures["scales"]
    assert len(scale["pieces"]) > 1
    assert scale["steps_done"] == scale["steps_of_a_whole_training"] == 6
    assert scale["training_images"] == 10
    assert scale["precision"] == "fp32"
    longest = max(scale["pieces"][1:], key=lambda piece: piece["steps"])
    assert scale["steps_per_second"] == longest["steps"] / longest["seconds"]
    assert scale["last_loss"]["loss"] > 0
