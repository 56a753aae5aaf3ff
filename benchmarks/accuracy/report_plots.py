"""The plots of an accuracy report."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks import plots
from benchmarks.accuracy.findings import Intervals
from benchmarks.accuracy.shortcuts import Shortcuts
from benchmarks.accuracy.thresholds import ThresholdTable
from calibration.metrics import Curve, PixelRanking, rank_pixels
from runtime.recipe import Recipe

LIMITS = (0.3, 0.05)  # of the false-positive rate, to which AU-PRO is taken
# half and all of the page's width; as high as leaves figures, curves and the table by defect on the first sheet of A4
LONGEST_NAME = 24
HALF_IN, WHOLE_IN = (4.4, 2.5), (9.0, 2.2)


def image_roc(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> Curve:
    """The ROC curve of image scores: an image is a map of one pixel."""
    return rank_pixels([scores[None].astype(np.float32)], [labels[None]]).roc_curve()


def roc_plot(images: Curve, ranking: PixelRanking | None) -> Figure:
    """ROC curves of images and, where masks are known, of pixels."""
    drawn, axes = plots.figure("false-positive rate", "true-positive rate", "ROC", HALF_IN)
    plots.line(axes, [0, 1], [0, 1], "guessing", plots.GREY, 2)
    plots.line(axes, images.fpr, images.value, f"images, {images.area():.3f}", plots.BLUE)
    if ranking is not None:
        pixels = ranking.roc_curve()
        plots.line(axes, *pixels.outline(), f"pixels, {pixels.area():.3f}", plots.VERMILLION, 1)
    plots.legend(axes, "lower right")
    return drawn


def pro_plot(ranking: PixelRanking) -> Figure:
    """The PRO curve up to a little more than the larger limit, with the areas that are measured shaded."""
    drawn, axes = plots.figure("false-positive rate of pixels", "mean overlap (PRO)", "PRO", HALF_IN)
    curve = ranking.pro_curve()
    for limit in LIMITS:
        label = f"to {100 * limit:.0f} %, area {curve.area(limit):.3f}"
        plots.shade_x(axes, 0, limit, label, plots.ORANGE if limit == min(LIMITS) else plots.SKY_BLUE)
    plots.line(axes, *curve.outline(), colour=plots.BLUE)
    axes.set_xlim(0, 1.15 * max(LIMITS))
    axes.set_ylim(0, 1.02)
    plots.legend(axes, "lower right")
    return drawn


def score_histogram(scores: NDArray[np.float64], labels: NDArray[np.bool_], threshold: float) -> Figure:
    """How good and defective images score, about the threshold."""
    drawn, axes = plots.figure("image score", "images", "Image scores", WHOLE_IN)
    plots.histogram(axes, {"good": scores[~labels], "defective": scores[labels]}, 40)
    plots.mark_x(axes, threshold, f"threshold {threshold:.4g}")
    plots.legend(axes, "upper right")
    return drawn


def interval_plot(intervals: Intervals, shortcuts: Shortcuts) -> Figure:
    """The image AUROC with its interval: of the detector, of it by kind of defect, and of plain values alone."""
    detector = [("detector, all defects", intervals.image_auroc), *intervals.image_auroc_by_defect.items()]
    alone = [(f"{each.name} alone", each.auroc) for each in shortcuts.values]
    names = [_short(name) for name, _ in [*detector, *alone]]
    size_in = HALF_IN[0], max(HALF_IN[1], 0.7 + 0.16 * len(names))
    drawn, axes = plots.figure(
        "image AUROC with 95 % interval; 0.5 is guessing", "", "How well defects are told from good", size_in
    )
    for start, rows, label, colour in ((0, detector, "detector", plots.BLUE), (len(detector), alone, "", plots.GREY)):
        y = np.arange(start, start + len(rows))
        plots.whiskers(axes, [each.low for _, each in rows], [each.high for _, each in rows], y, colour)
        plots.points(axes, [each.auroc for _, each in rows], y, label, colour)
    plots.mark_x(axes, 0.5, "guessing")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(min(0.45, *(each.low for _, each in [*detector, *alone])), 1.01)
    axes.invert_yaxis()
    return drawn


def threshold_plot(table: ThresholdTable) -> Figure | None:
    """Defects found and good test images rejected, by the rate of false rejects that is proven of a threshold.

    None where less than two thresholds are proven.
    """
    proven = [(row.proof.rate, row) for row in table.proven if row.proof is not None]
    if len(proven) < 2:
        return None
    drawn, axes = plots.figure(
        "good parts rejected, proven to be at most (%)", "test images rejected (%)", "What a threshold costs", HALF_IN
    )
    x = np.array([100 * rate for rate, _ in proven])
    for label, colour, dash, rates in (
        ("defective", plots.BLUE, 0, [row.found for _, row in proven]),
        ("good", plots.VERMILLION, 1, [row.false_rejects for _, row in proven]),
    ):
        plots.band(axes, x, [100 * rate.low for rate in rates], [100 * rate.high for rate in rates], colour)
        plots.line(axes, x, [100 * rate.share for rate in rates], label, colour, dash)
    if x.max() > 10 * x.min():
        plots.logarithmic(axes, "x")
    axes.set_ylim(-2, 102)
    plots.legend(axes, "center left")
    return drawn


def _short(name: str) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def term_scatter(recipe: Recipe, values: NDArray[np.float32], mask: NDArray[np.bool_]) -> Figure:
    """Each pixel of one image by its first two kinds of evidence, of normalized `values` [K, H, W]; `mask` [H, W].

    Where their sum at a pixel is what the threshold is of, it is drawn, a straight line.
    """
    first, second = values[:2]
    kinds = [kind.name for kind in recipe.method.evidence]
    drawn, axes = plots.figure(f"{kinds[0]} (σ)", f"{kinds[1]} (σ)", "", (3.4, 3.2))
    plots.points(axes, first[~mask], second[~mask], "pixels" if not mask.any() else "good", plots.GREY, size=3)
    if mask.any():
        plots.points(axes, first[mask], second[mask], "in the mask", plots.VERMILLION, size=5)
    if sum_is_scored(recipe):
        _threshold_line(axes, recipe.threshold.value)
    plots.legend(axes, "best", marker_scale=3)
    return drawn


def sum_is_scored(recipe: Recipe) -> bool:
    """Whether a pixel of the map that scores are of is the sum of two kinds of normalized evidence there.

    It is not where kinds weigh otherwise, or the map is smoothed, or in deviations by position.
    """
    plain = not recipe.scoring.by_position and not recipe.scoring.smoothing
    return plain and [kind.weight for kind in recipe.method.evidence] == [1, 1]


def _threshold_line(axes: Any, threshold: float) -> None:
    """Where both terms add up to the threshold, if that is in view."""
    limits_x, limits_y = axes.get_xlim(), axes.get_ylim()
    if threshold > limits_x[1] + limits_y[1] or threshold < limits_x[0] + limits_y[0]:
        return
    x = np.array([threshold - limits_y[1], threshold - limits_y[0]])  # where the line enters and leaves
    plots.line(axes, x, threshold - x, "threshold", plots.BLACK, 3)
    axes.set_xlim(limits_x)
    axes.set_ylim(limits_y)
