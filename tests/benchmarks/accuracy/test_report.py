"""The report: one file, complete, honest about what is missing, and safe whatever a file is called."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy import words
from benchmarks.accuracy.evaluation import inspect_all, rank_known_pixels, summarize
from benchmarks.accuracy.findings import find
from benchmarks.accuracy.held_out import HeldOut
from benchmarks.accuracy.image_evidence import ImageEvidence
from benchmarks.accuracy.report import Report, chosen_for_terms, render
from benchmarks.accuracy.report_plots import image_roc
from benchmarks.accuracy.terms import Terms, terms_of
from calibration.metrics import auroc
from runtime.detector import Detector
from runtime.engines.base import Output
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import InputError
from runtime.recipe import Evidence, Recipe
from train import datasets

HELD_OUT = HeldOut(40, [(above, 0.4 - above / 100) for above in range(40)], True, "the scores of a test")
KINDS = ("regression error, p = 17", "regression error, p = 33")


def explaining(recipe: Recipe) -> Detector:
    """Two kinds of evidence that see one third and two thirds of the map."""

    def run(frames: NDArray[np.uint8]) -> Output:
        maps = deviation_from_grey(frames)
        evidence = np.stack([maps / 3, maps * 2 / 3], axis=1)
        return Output(maps, maps.max(axis=(1, 2)), evidence=evidence)

    kinds = tuple(Evidence(name, 1.0, 0.0, 1.0) for name in KINDS)
    explained = replace(recipe, explain=True, method=replace(recipe.method, evidence=kinds))
    return Detector(explained, ThreadedEngine(run, recipe.size_hw, 8, 2, "explaining engine"))


def written(
    detector: Detector,
    data: Path,
    images: Sequence[datasets.TestImage],
    explain: bool = False,
    evidence: ImageEvidence | None = None,
) -> str:
    with detector:
        inspections = list(inspect_all(detector, images))
        terms = terms_of(detector, chosen_for_terms(inspections)) if explain else []
    ranking = rank_known_pixels(inspections)
    measured = summarize(inspections, ranking)
    threshold = detector.recipe.threshold
    findings = find(inspections, ranking, threshold, HELD_OUT, np.empty((0, 3)), evidence)
    contents = Report(
        title="A title",
        lead="A lead",
        warnings=["a warning"],
        figures=words.figures(measured, threshold, findings.intervals),
        provenance=[("seed", "5")],
        data=data,
        recipe=detector.recipe,
        accuracy=measured,
        findings=findings,
        inspections=inspections,
        ranking=ranking,
        terms=terms,
    )
    return render(contents)


@pytest.fixture
def plain(recipe: Recipe) -> Detector:
    return Detector(recipe, FakeEngine(recipe.size_hw))


def test_the_report_holds_every_part_and_fetches_nothing(plain: Detector, test_set: Path) -> None:
    document = written(plain, test_set, datasets.read_test_set(test_set))
    headings = re.findall(r"<h2>(.*?)</h2>", document)
    assert headings == [
        "At a glance",
        "Figures",
        "What other thresholds would do",
        "Told apart without looking at the part",
        "By defect",
        "Worst and best cases",
        "Curves",
        "What each scale saw",
        "The detector",
        "How this was measured",
    ]
    assert "<p>Warning: a warning</p>" in document
    assert re.search(r"<p class=lead>A lead</p>.*<img .*Figures", document, re.DOTALL)  # the picture first
    sources = re.findall(r'(?:src|href)="([^"]*)"', document)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "<script" not in document
    assert "url(" not in document
    assert "<td>scratch</td><td>1</td><td>0 of 1 (0 % to 97.5 %)</td><td>0.5000 (0.000 to 1.000" in document
    assert document.count("PRO curve") == 1
    assert "export it again with --explain" in document


def test_the_highest_good_and_the_lowest_defective_images_come_first(plain: Detector, test_set: Path) -> None:
    document = written(plain, test_set, datasets.read_test_set(test_set))
    captions = re.findall(r"<figcaption>test/(\S+)\.png: score", document)
    # highest good, lowest defective, highest defective, lowest good; there are but two of each
    assert captions == [
        *("good/001", "good/000"),
        *("scratch/000", "dent/000"),
        *("dent/000", "scratch/000"),
        *("good/000", "good/001"),
    ]


def test_thresholds_are_shown_with_what_is_proven_and_what_is_found(plain: Detector, test_set: Path) -> None:
    document = written(plain, test_set, datasets.read_test_set(test_set))
    own = "<td>0.2344</td><td>the detector&#x27;s</td><td>0 of 40</td><td>at most 7.22 % (95 % sure)</td>"
    assert f"{own}<td>1 of 2 (1.26 % to 98.7 %)</td><td>1 of 2 (1.26 % to 98.7 %)</td>" in document
    assert "<td>0.4000</td><td>budget 10 %</td><td>0 of 40</td>" in document
    assert "40 held-out images prove no threshold for a budget of 0.1 % (takes 2,995)" in document
    assert "Images rejected by the rate of false rejects that is proven" in document


def test_kinds_of_image_evidence_are_shown_where_a_detector_gives_them(plain: Detector, test_set: Path) -> None:
    images = datasets.read_test_set(test_set)
    scores = np.array([[0.1, 0.0], [0.3, 0.0], [0.5, 0.1], [0.2, 0.4]])
    document = written(
        plain, test_set, images, evidence=ImageEvidence(("map", "<b>colours"), scores, scores > 30 / 128)
    )
    assert "What each kind of evidence tells" in document
    assert "<td>&lt;b&gt;colours</td><td>1.0000</td>" in document
    assert re.search(r"<td>all together</td><td>1.0000</td>.*<td>100 %</td><td>2</td><td>1</td>", document)


def test_names_of_files_cannot_become_markup(plain: Detector, test_set: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>&"
    for tree in ("test", "ground_truth"):
        (test_set / tree / "dent").rename(test_set / tree / hostile)
    shutil.move(test_set / "test" / "good" / "001.png", test_set / "test" / "good" / '"><b>.png')
    document = written(plain, test_set, datasets.read_test_set(test_set))
    assert "<img src=x" not in document
    assert "<b>" not in document
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;" in document
    assert "&quot;&gt;&lt;b&gt;.png" in document


def test_without_masks_the_report_says_that_there_are_no_pixel_figures(plain: Detector, test_set: Path) -> None:
    images = [replace(image, mask_path=None) for image in datasets.read_test_set(test_set)]
    document = written(plain, test_set, images)
    assert "none: no mask is known of the 2 defective images" in document
    assert "No mask is known, so there are no pixel figures and no PRO curve." in document
    assert "AU-PRO" not in document


def test_terms_of_an_explaining_detector_are_drawn_by_kind(recipe: Recipe, test_set: Path) -> None:
    document = written(explaining(recipe), test_set, datasets.read_test_set(test_set), explain=True)
    # the dent is 60 / 128 above grey: a third of that, and two thirds
    assert f"{KINDS[0]}, highest {60 / 128 / 3:.3g}" in document
    assert f"{KINDS[1]}, highest {60 / 128 * 2 / 3:.3g}" in document
    assert document.count("Two kinds of evidence of each pixel") == 3
    assert "--explain" not in document


def test_terms_add_up_to_the_map_and_come_with_the_mask(recipe: Recipe, test_set: Path) -> None:
    with explaining(recipe) as detector:
        inspections = list(inspect_all(detector, datasets.read_test_set(test_set)))
        (dent,) = terms_of(detector, inspections[2:3])
    assert dent.kinds == KINDS
    assert np.allclose(dent.values.sum(axis=0), inspections[2].anomaly_map)
    assert np.array_equal(dent.mask, inspections[2].mask)
    larger = replace(inspections[2], mask=np.kron(dent.mask, np.eye(5, dtype=bool)))  # a mask finer than the terms
    assert np.array_equal(Terms(larger, dent.kinds, dent.values).mask, dent.mask)


def test_a_detector_that_does_not_explain_gives_no_terms(plain: Detector, test_set: Path) -> None:
    with plain:
        inspections = list(inspect_all(plain, datasets.read_test_set(test_set)))
        assert terms_of(plain, inspections) == []


def test_the_roc_curve_of_images_has_their_auroc_as_its_area() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 9, 50).astype(np.float64), rng.random(50) < 0.4
    assert image_roc(scores, labels).area() == pytest.approx(auroc(scores, labels))


def test_a_report_under_another_name_is_refused_before_any_work() -> None:
    with pytest.raises(InputError, match=r"--report is report\.pdf; expected a name ending in \.html"):
        accuracy.main(["nothing.onnx", "nowhere", "--report", "report.pdf"])
