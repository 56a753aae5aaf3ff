"""Pictures of `benchmarks.teachers`: the course of a training, held-out measures, eigenvalue spectra."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks import plots
from benchmarks.plots import CYCLE as COLOURS
from benchmarks.teachers.curves import LOSSES, Curve
from benchmarks.teachers.measure import Group

SIZE_IN = (6.4, 4.0)  # width, height: the names of teachers take room
MARKERS = ("o", "s", "^", "D", "v", "P")  # one fewer, so that pairs of the two repeat late


def loss_curves(curve: Curve) -> Figure:
    """The losses of one training, each weighted as it was in the sum."""
    figure, plot = plots.figure(
        "iteration", "weighted loss of a batch (log)", f"{curve.name}: losses of equation 6", SIZE_IN
    )
    names = [name for name in LOSSES if name in curve.values]
    for name, colour, marker in zip(names, COLOURS, MARKERS, strict=False):
        plot.plot(curve.iterations, curve.values[name], color=colour, marker=marker, markersize=3, label=name)
    # a triplet loss can be zero, and no logarithm shows that
    smallest = min((v for name in names for v in curve.values[name] if v > 0), default=1.0)
    plot.set_yscale("symlog", linthresh=smallest) if _has_zero(curve, names) else plot.set_yscale("log")
    plots.legend(plot, "center right")
    return figure


def held_out_curves(curves: Sequence[Curve], name: str) -> Figure:
    """A held-out measure of several trainings against iterations."""
    labels = {
        "held_out_error": ("share of the variance of P's output unexplained", "the mean of P's output"),
        "held_out_triplets_confused": ("share of triplets with the positive farther", None),
    }
    y, reference = labels[name]
    figure, plot = plots.figure("iteration", y, "On photographs never trained on", SIZE_IN)
    shown = [curve for curve in curves if name in curve.values]
    for curve, colour, marker in zip(shown, _cycle(COLOURS), _cycle(MARKERS), strict=False):
        plot.plot(curve.iterations, curve.values[name], color=colour, marker=marker, markersize=3, label=curve.name)
    if reference:
        plot.axhline(1, color="#000000", linewidth=1, linestyle="--", label=reference)
    highest = max((v for curve in shown for v in curve.values[name] if math.isfinite(v)), default=1.0)
    plot.set_ylim(0, 1.05 * max(highest, 1.0 if reference else 0.05))
    plots.legend(plot)
    return figure


def spectra(shares: Mapping[str, Sequence[float]], ranks: Mapping[str, float]) -> Figure:
    """Eigenvalue spectra of descriptors by teacher, with their effective ranks."""
    figure, plot = plots.figure(
        "eigenvalue of the covariance, by rank", "share of the variance (log)", "Spectra of descriptors", SIZE_IN
    )
    for name, colour in zip(shares, _cycle(COLOURS), strict=False):
        place = range(1, len(shares[name]) + 1)
        dashed = "--" if name.startswith("random") else "-"
        plot.plot(place, shares[name], dashed, color=colour, label=f"{name[-32:]}: effective rank {ranks[name]:.1f}")
    plot.set_yscale("log")
    # what is below a millionth of the variance is rounding
    plot.set_ylim(bottom=max(1e-6, min(v for values in shares.values() for v in values if v > 0) / 2))
    plots.legend(plot)
    return figure


def _has_zero(curve: Curve, names: Sequence[str]) -> bool:
    return any(value == 0 for name in names for value in curve.values[name])


def _cycle(items: Sequence[str]) -> list[str]:
    return list(items) * 8


def write_plots(folder: Path, groups: Sequence[Group], curves: Sequence[Curve], kind: str) -> list[Path]:
    """Write every picture that the figures give; returns their paths."""
    figures = {}
    for group in groups:
        found = {each.name: each.figures for each in group.measured}
        ranks = {name: figure.effective_rank for name, figure in found.items()}
        figures[f"spectra-p{group.patch_size}"] = spectra({n: f.spectrum for n, f in found.items()}, ranks)
    for curve in curves:
        figures[f"losses-{curve.name}"] = loss_curves(curve)
    for name in ("held_out_error", "held_out_triplets_confused"):
        if any(name in curve.values for curve in curves):
            figures[name.replace("_", "-")] = held_out_curves(curves, name)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"teacher-{name}.{kind}")
        plots.save(figure, paths[-1])
    return paths
