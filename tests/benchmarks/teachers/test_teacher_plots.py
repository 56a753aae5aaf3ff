"""Pictures say what they were given, in axes with units, and come out the same twice."""

from pathlib import Path

import cv2
import pytest

pytest.importorskip("matplotlib")
from matplotlib.colors import to_hex

from benchmarks.plots import save
from benchmarks.teachers.curves import Curve
from benchmarks.teachers.plots import COLOURS, held_out_curves, loss_curves, spectra

DISTILLED = Curve("p33", (5, 10), {"distillation": (3.0, 2.0), "compactness": (1.0, 0.5), "held_out_error": (0.9, 0.5)})
TRIPLETS = Curve("own", (5, 10), {"triplet": (3.0, 0.0), "held_out_triplets_confused": (0.25, 0.125)})


def test_losses_are_drawn_against_iterations() -> None:
    (plot,) = loss_curves(DISTILLED).axes
    assert [line.get_label() for line in plot.lines] == ["distillation", "compactness"]
    assert list(plot.lines[0].get_xdata()) == [5, 10]
    assert list(plot.lines[0].get_ydata()) == [3.0, 2.0]
    assert plot.get_yscale() == "log"
    assert (plot.get_xlabel(), plot.get_ylabel()) == ("iteration", "weighted loss of a batch (log)")


def test_a_loss_that_reached_zero_is_still_drawn() -> None:
    (plot,) = loss_curves(TRIPLETS).axes
    assert plot.get_yscale() == "symlog"
    assert plot.get_ylim()[0] <= 0


def test_held_out_errors_of_several_trainings_share_axes_with_the_mean() -> None:
    other = Curve("p65", (5,), {"held_out_error": (1.3,)})
    (plot,) = held_out_curves([DISTILLED, TRIPLETS, other], "held_out_error").axes
    assert [line.get_label() for line in plot.lines] == ["p33", "p65", "the mean of P's output"]
    assert plot.get_ylim()[1] > 1.3


def test_triplets_have_a_picture_of_their_own() -> None:
    (plot,) = held_out_curves([DISTILLED, TRIPLETS], "held_out_triplets_confused").axes
    assert [line.get_label() for line in plot.lines] == ["own"]
    assert plot.get_ylabel() == "share of triplets with the positive farther"


def test_spectra_name_their_effective_rank_and_random_weights_are_dashed() -> None:
    shares = {"random p33": (0.7, 0.3, 0.0), "p33": (0.5, 0.4, 0.1)}
    (plot,) = spectra(shares, {"random p33": 1.84, "p33": 2.57}).axes
    assert [line.get_label() for line in plot.lines] == ["random p33: effective rank 1.8", "p33: effective rank 2.6"]
    assert [line.get_linestyle() for line in plot.lines] == ["--", "-"]
    assert to_hex(plot.lines[1].get_color()).upper() == COLOURS[1]


def test_a_picture_is_the_same_twice(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "c.png"):
        save(loss_curves(DISTILLED), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "distillation" in (tmp_path / "a.svg").read_text()
    assert cv2.imread(str(tmp_path / "c.png")).std() > 10
