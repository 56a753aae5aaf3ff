"""Pictures of one-class detection on small images, as in the paper's Figure 4: scores, and descriptors by the eye."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks import plots
from benchmarks.methods.registry import entry
from benchmarks.oneclass.embedding import Method, embed
from benchmarks.oneclass.results import Answers, ClassResult, shown_images
from calibration.metrics import auroc
from runtime.errors import InputError

NORMAL, ANOMALOUS = plots.GREEN, plots.VERMILLION
BINS = 50
EMBEDDING_IN = (5.4, 4.0)  # width, height


def write_plots(
    folder: Path, found: Mapping[str, Mapping[int, ClassResult]], labels: NDArray[np.int64], form: plots.Format
) -> list[Path]:
    """Write a histogram for each method and class, and where there are answers their embedding; returns the paths.

    `labels` [N] are those of the test images.
    """
    figures = {}
    for name, results in found.items():
        for kind, result in results.items():
            title = f"{entry(name).title}, class {kind}"
            figures[f"{name}-{kind}-scores"] = score_histogram(result.scores, labels != kind, title)
            if result.answers is not None:
                anomalous = labels[shown_images(labels, kind)] != kind
                figures[f"{name}-{kind}-descriptors"] = descriptor_embedding(result.answers, anomalous, title)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"oneclass-{name}.{form}")
        plots.save(figure, paths[-1])
    return paths


def score_histogram(scores: NDArray[np.floating], anomalous: NDArray[np.bool_], title: str) -> Figure:
    """Anomaly scores [N] of the class trained on and of all others, each as shares of its own images.

    Raises what `auroc` raises: both kinds are needed, and finite scores.
    """
    scores, anomalous = np.asarray(scores, np.float64), np.asarray(anomalous, np.bool_)
    area = auroc(scores, anomalous)
    figure, axes = plots.figure("anomaly score (no unit)", "share of the images (%)", f"{title}: AUROC {area:.4f}")
    kinds = {"trained on": scores[~anomalous], "all others": scores[anomalous]}
    plots.histogram(axes, kinds, BINS, (NORMAL, ANOMALOUS), percent=True)
    plots.legend(axes)
    return figure


def descriptor_embedding(
    answers: Answers, anomalous: NDArray[np.bool_], title: str, method: Method = "pca", seed: int = 0
) -> Figure:
    """The teacher's descriptors (points) and the mean of the students' (circles), embedded together.

    A line joins the two of an image: its length stands for the regression error, as far as two dimensions show it, and
    hardly at all under t-SNE. A circle's area grows with the students' predictive variance. Both should be small for
    the normal class alone. Raises `InputError` for arrays that do not go together.
    """
    teacher, students, anomalous = answers.teacher, answers.students, np.asarray(anomalous, np.bool_)
    count = len(teacher)
    if teacher.shape != students.shape or not len(answers.variance) == len(anomalous) == count:
        raise InputError(f"expected descriptors of one shape, got {teacher.shape} and {students.shape}")
    found = embed(np.concatenate([teacher, students]), method, seed)
    targets, guesses = found.points[:count], found.points[count:]
    area = 12 + 300 * np.asarray(answers.variance, np.float64) / max(float(np.max(answers.variance)), 1e-12)
    figure, axes = plots.figure(
        "first dimension (no unit)", "second dimension (no unit)", f"{title}: {found.described}", EMBEDDING_IN
    )
    for kind, colour, label in ((~anomalous, NORMAL, "trained on"), (anomalous, ANOMALOUS, "never seen")):
        axes.plot(*np.stack([targets[kind], guesses[kind]]).transpose(2, 0, 1), color=colour, alpha=0.4, linewidth=0.8)
        (x, y), (u, v) = targets[kind].T, guesses[kind].T
        axes.scatter(x, y, s=14, color=colour, label=f"teacher, {label}")
        axes.scatter(u, v, s=area[kind], facecolors="none", edgecolors=colour, label=f"students' mean, {label}")
    plots.legend(axes)
    return figure
