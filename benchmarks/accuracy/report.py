"""The report of ``python -m benchmarks.accuracy --report``: one HTML file, complete in itself, readable on paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from benchmarks import plots
from benchmarks.accuracy import page, report_plots
from benchmarks.accuracy.decisions import rate_of
from benchmarks.accuracy.evaluation import Accuracy, Inspection, name_in, scores_and_labels
from benchmarks.accuracy.findings import Findings
from benchmarks.accuracy.overlays import outlined, overlay
from benchmarks.accuracy.page import Html
from benchmarks.accuracy.tables import Table, interval, short_rate
from benchmarks.accuracy.terms import Terms
from benchmarks.accuracy.words import tables
from calibration.metrics import PixelRanking
from runtime.images import read_image
from runtime.info import describe
from runtime.overlay import BANNER, coloured, scale_limits
from runtime.recipe import Recipe
from runtime.verdict import Decision

WORST, BEST = 4, 2  # pictures of each kind
JPEG_QUALITY = 85
MAP_SIDE = 256  # longer side of a scale's picture, pixels


@dataclass(frozen=True)
class Report:
    """All that a report shows."""

    title: str
    lead: str
    warnings: Sequence[str]
    figures: Sequence[tuple[str, str]]  # name and value, in words
    provenance: Sequence[tuple[str, str]]  # likewise
    data: Path
    recipe: Recipe
    accuracy: Accuracy
    findings: Findings
    inspections: Sequence[Inspection]
    ranking: PixelRanking | None
    terms: Sequence[Terms]


def render(report: Report) -> str:
    """The HTML document. Raises `ImageError` when an image has gone since it was inspected."""
    recipe_facts = [(name, text.strip()) for name, _, text in (line.partition(":") for line in describe(report.recipe))]
    return page.page(
        report.title,
        page.paragraph(report.lead, lead=True),
        *(page.paragraph(f"Warning: {sentence}") for sentence in report.warnings),
        page.section("At a glance", *_glance(report)),
        page.section("Figures", page.facts(report.figures)),
        *(page.section(title, *_tabled(table, notes)) for title, table, notes in tables(report.findings)),
        page.section("By defect", _by_defect(report)),
        page.section("Worst and best cases", *_cases(report)),
        page.section("Curves", *_curves(report)),
        page.section("What each scale saw", *_scales(report)),
        page.section("The detector", page.facts(recipe_facts)),
        page.section("How this was measured", page.facts(report.provenance)),
    )


def chosen_for_terms(inspections: Sequence[Inspection]) -> list[Inspection]:
    """The images whose terms are shown: the highest and the lowest score of a defect, and the highest of a good one."""
    ranked = sorted(inspections, key=_score)
    defective = [each for each in ranked if each.image.label]
    good = [each for each in ranked if not each.image.label]
    return [*(defective[-1:] + defective[:-1][:1]), *good[-1:]]


def _glance(report: Report) -> list[Html]:
    scores, labels = scores_and_labels(report.inspections)
    threshold, findings = report.recipe.threshold.value, report.findings
    drawn = report_plots.score_histogram(scores, labels, threshold)
    intervals = report_plots.interval_plot(findings.intervals, findings.shortcuts)
    parts = [_plot(intervals, "Image AUROC with 95 % intervals, of the detector and of plain values")]
    if (costs := report_plots.threshold_plot(findings.thresholds)) is not None:
        parts.append(_plot(costs, "Images rejected by the rate of false rejects that is proven"))
    explanation = (
        "A part is rejected when its score is right of the line. Best is a line with all good parts left of it and all "
        "defective ones right."
    )
    return [page.paragraph(explanation), _plot(drawn, "Histogram of image scores"), page.columns(2, parts)]


def _tabled(table: Table, notes: Sequence[str]) -> list[Html]:
    return [page.table(table.header, table.rows), *(page.paragraph(note) for note in notes)]


def _curves(report: Report) -> list[Html]:
    scores, labels = scores_and_labels(report.inspections)
    figures = [_plot(report_plots.roc_plot(report_plots.image_roc(scores, labels), report.ranking), "ROC curves")]
    if report.ranking is not None:
        figures.append(_plot(report_plots.pro_plot(report.ranking), "PRO curve"))
    else:
        figures.append(page.paragraph("No mask is known, so there are no pixel figures and no PRO curve."))
    return [page.columns(2, figures)]


def _by_defect(report: Report) -> Html:
    rows = []
    kinds = sorted({(each.image.label, each.image.defect) for each in report.inspections})
    for label, kind in kinds:
        group = [each for each in report.inspections if (each.image.label, each.image.defect) == (label, kind)]
        rejected = rate_of(np.array([each.verdict.decision is not Decision.OK for each in group]))
        auroc = report.findings.intervals.image_auroc_by_defect[kind] if label else None
        low, middle, high = np.quantile([each.score for each in group], (0, 0.5, 1))
        spread = f"{low:.4g}, {middle:.4g}, {high:.4g}"
        told = "" if auroc is None else f"{auroc.auroc:.4f} ({interval(auroc)})"
        rows.append([kind, str(len(group)), short_rate(rejected), told, spread])
    header = ["kind", "images", "rejected (95 % interval)", "image AUROC (95 % interval)"]
    return page.table([*header, "score: lowest, median, highest"], rows)


def _cases(report: Report) -> list[Html]:
    ranked = sorted(report.inspections, key=_score)
    good = [each for each in ranked if not each.image.label]
    defective = [each for each in ranked if each.image.label]
    groups = {
        "Good images that score highest": good[::-1][:WORST],
        "Defective images that score lowest": defective[:WORST],
        "Defective images that score highest": defective[::-1][:BEST],
        "Good images that score lowest": good[:BEST],
    }
    explanation = (
        "Left the picture, right the anomaly map; the threshold is the middle of the colour scale and the white line,"
        " boxes are the regions above it that count; what is too small to count has a dim line. The true outline of a"
        " defect, where known, is pink."
    )
    parts = [page.paragraph(explanation)]
    for title, group in groups.items():
        parts.append(page.subsection(title, page.columns(2, [_case(report, each) for each in group])))
    return parts


def _case(report: Report, inspection: Inspection) -> Html:
    caption = _caption(report, inspection)
    panels = overlay(inspection)[BANNER:]  # the caption says what the banner says, and can be read at this size
    return page.picture(_jpeg(panels), "jpeg", f"Overlay of {caption}", caption)


def _scales(report: Report) -> list[Html]:
    if not report.terms:
        return [
            page.paragraph(
                "This detector gives its map alone. To see which kind of evidence, such as which receptive field,"
                " made a score, export it again with --explain (python -m train --explain, or python -m export.onnx"
                " RUN --explain)."
            )
        ]
    threshold = report.recipe.threshold.value
    low, high = scale_limits(threshold)
    explanation = (
        "Each kind of evidence in standard deviations of good parts, from black at "
        f"{low:.3g} to yellow at {high:.3g}; the anomaly map is their weighted sum."
    )
    if len(report.terms[0].kinds) > 1:
        explanation += f" Below, each pixel by its {' and '.join(report.terms[0].kinds[:2])}."
    parts = [page.paragraph(explanation), *(_explained(report, terms, threshold) for terms in report.terms)]
    scatters = [_scatter(report, terms) for terms in report.terms if len(terms.kinds) > 1]
    return [*parts, page.subsection("One kind against another", page.columns(3, scatters))] if scatters else parts


def _explained(report: Report, terms: Terms, threshold: float) -> Html:
    inspection = terms.inspection
    pixels = outlined(read_image(inspection.image.path), inspection.mask)
    parts = [page.picture(_jpeg(_fitted(pixels)), "jpeg", "The picture", "picture")]
    for kind, values in zip(terms.kinds, terms.values, strict=True):
        caption = f"{kind}, highest {values.max():.3g}"
        heat = _fitted(np.asarray(coloured(values, threshold)))
        parts.append(page.picture(_jpeg(heat), "jpeg", f"Map of the {caption}", caption))
    return page.subsection(_caption(report, inspection), page.columns(max(4, len(parts)), parts))


def _scatter(report: Report, terms: Terms) -> Html:
    scatter = report_plots.term_scatter(report.recipe, terms.values, terms.mask)
    return _plot(scatter, "Two kinds of evidence of each pixel", _caption(report, terms.inspection))


def _caption(report: Report, inspection: Inspection) -> str:
    return (
        f"{name_in(report.data, inspection.image)}: score {inspection.score:.4g}, {inspection.verdict.decision.value}"
    )


def _score(inspection: Inspection) -> float:
    return inspection.score


def _plot(drawn: Figure, description: str, caption: str = "") -> Html:
    return page.picture(plots.encoded(drawn, "svg"), "svg+xml", description, caption)


def _fitted(image: cv2.typing.MatLike) -> cv2.typing.MatLike:
    height, width = image.shape[:2]
    scale = MAP_SIDE / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _jpeg(image: cv2.typing.MatLike) -> bytes:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
