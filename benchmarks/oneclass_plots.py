"""Pictures of one-class detection on small images, as in the paper's Figure 4: scores, and descriptors by the eye."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.embedding import Method, embed
from benchmarks.teacher_plots import axes
from calibration.metrics import auroc
from runtime.errors import InputError

NORMAL, ANOMALOUS = "#009E73", "#D55E00"  # Okabe and Ito's bluish green and vermilion
BINS = 50


def score_histogram(scores: NDArray[np.floating], anomalous: NDArray[np.bool_], trained_on: str) -> Figure:
    """Anomaly scores [N] of the normal class and of all others, each as shares of its own images.

    `trained_on` names the normal class. Raises what `auroc` raises: both kinds are needed, and finite scores.
    """
    scores, anomalous = np.asarray(scores, np.float64), np.asarray(anomalous, np.bool_)
    area = auroc(scores, anomalous)
    figure, plot = axes("anomaly score", "share of the images (%)", f"Trained on {trained_on}: AUROC {area:.3f}")
    edges = np.histogram_bin_edges(scores, BINS).tolist()
    for kind, colour, label in ((~anomalous, NORMAL, trained_on), (anomalous, ANOMALOUS, "all others")):
        weights = np.full(int(kind.sum()), 100 / kind.sum())
        label = f"{label} ({int(kind.sum()):,})"
        plot.hist(scores[kind], edges, weights=weights, color=colour, alpha=0.6, label=label)
    plot.legend()
    return figure


def descriptor_embedding(
    teacher: NDArray[np.floating],
    students: NDArray[np.floating],
    variance: NDArray[np.floating],
    anomalous: NDArray[np.bool_],
    method: Method = "pca",
    seed: int = 0,
) -> Figure:
    """The teacher's descriptors [N, D] (points) and the mean of the students' [N, D] (circles), embedded together.

    A line joins the two of an image: its length stands for the regression error, as far as two dimensions show it, and
    hardly at all under t-SNE. A circle's area grows with the students' predictive `variance` [N]. Both should be small
    for the normal class alone. Raises `InputError` for arrays that do not go together.
    """
    teacher, students, anomalous = np.asarray(teacher), np.asarray(students), np.asarray(anomalous, np.bool_)
    count = len(teacher)
    if teacher.shape != students.shape or not len(variance) == len(anomalous) == count:
        raise InputError(f"expected descriptors of one shape, got {teacher.shape} and {students.shape}")
    found = embed(np.concatenate([teacher, students]), method, seed)
    targets, guesses = found.points[:count], found.points[count:]
    area = 12 + 300 * np.asarray(variance, np.float64) / max(float(np.max(variance)), 1e-12)
    figure, plot = axes("first dimension (no unit)", "second dimension (no unit)", found.described)
    for kind, colour, label in ((~anomalous, NORMAL, "trained on"), (anomalous, ANOMALOUS, "never seen")):
        plot.plot(*np.stack([targets[kind], guesses[kind]]).transpose(2, 0, 1), color=colour, alpha=0.4, linewidth=0.8)
        (x, y), (u, v) = targets[kind].T, guesses[kind].T
        plot.scatter(x, y, s=14, color=colour, label=f"teacher, {label}")
        plot.scatter(u, v, s=area[kind], facecolors="none", edgecolors=colour, label=f"students' mean, {label}")
    plot.legend(fontsize="small")
    return figure
