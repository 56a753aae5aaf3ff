"""The plots of an accuracy report."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks import plots
from calibration.metrics import Curve, PixelRanking, rank_pixels

LIMITS = (0.3, 0.05)  # of the false-positive rate, to which AU-PRO is taken
# half and all of the page's width; as high as leaves figures, curves and the table by defect on the first sheet of A4
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


def term_scatter(
    kinds: Sequence[str], values: NDArray[np.float32], mask: NDArray[np.bool_], threshold: float
) -> Figure:
    """Each pixel of one image by its first two kinds of evidence, of normalized `values` [K, H, W]; `mask` [H, W].

    Where there are no others and they weigh 1 each, their sum is the anomaly map, and the threshold a straight line.
    """
    first, second = values[:2]
    drawn, axes = plots.figure(f"{kinds[0]} (σ)", f"{kinds[1]} (σ)", "", (3.4, 3.2))
    plots.points(axes, first[~mask], second[~mask], "pixels" if not mask.any() else "good", plots.GREY, size=3)
    if mask.any():
        plots.points(axes, first[mask], second[mask], "in the mask", plots.VERMILLION, size=5)
    if len(kinds) == 2:
        _threshold_line(axes, threshold)
    plots.legend(axes, "best", marker_scale=3)
    return drawn


def _threshold_line(axes: Any, threshold: float) -> None:
    """Where both terms add up to the threshold, if that is in view."""
    limits_x, limits_y = axes.get_xlim(), axes.get_ylim()
    if threshold > limits_x[1] + limits_y[1] or threshold < limits_x[0] + limits_y[0]:
        return
    x = np.array([threshold - limits_y[1], threshold - limits_y[0]])  # where the line enters and leaves
    plots.line(axes, x, threshold - x, "threshold", plots.BLACK, 3)
    axes.set_xlim(limits_x)
    axes.set_ylim(limits_y)
