"""The table's figures, worked out by hand."""

import csv
import io
from pathlib import Path

import cv2

from benchmarks.accuracy.ranking import Ranking
from benchmarks.table.cells import Result
from benchmarks.table.report import as_csv, markdown, plot, seed_means


def result(label: str, category: str, seed: int, au_pro: float | None, auroc: float) -> Result:
    ranking = Ranking(auroc, {"dent": auroc}, au_pro, au_pro, au_pro, {"good": 1, "dent": 1})
    return Result(label, category, seed, ranking, 1.5, 0.25)


RESULTS = [
    result("Ours", "tile", 0, 0.8, 0.9),
    result("Ours", "tile", 1, 0.6, 0.7),
    result("Ours", "wood", 0, 0.4, 0.5),
    result("Ours", "wood", 1, 0.6, 0.5),
    result("k-NN", "tile", 0, None, 1.0),
    result("k-NN", "wood", 0, None, 0.8),
]


def lines_of(section: str, text: str) -> list[str]:
    return [line for line in text.split(f"## {section}\n")[1].split("##")[0].splitlines() if line.startswith("|")]


def test_a_row_holds_means_and_deviations_over_the_seeds() -> None:
    text = markdown(RESULTS, "A note.")
    assert lines_of("AU-PRO up to 30 % false-positive pixels", text) == [
        "| method | tile | wood | mean | seeds |",
        "|---|---|---|---|---|",
        "| Ours | 0.700 ± 0.141 | 0.500 ± 0.141 | 0.600 ± 0.000 | 2 |",
        "| k-NN | – | – | – | 1 |",
    ]
    assert lines_of("image AUROC", text)[3] == "| k-NN | 1.000 | 0.800 | 0.900 | 1 |"
    assert lines_of("image AUROC by defect", text)[:3] == [
        "| method | tile: dent | wood: dent |",
        "|---|---|---|",
        "| Ours | 0.800 ± 0.141 | 0.500 ± 0.000 |",
    ]
    assert text.endswith("A note.\n")


def test_a_seed_that_lacks_a_category_has_no_mean() -> None:
    assert seed_means(RESULTS[:3], "au_pro_30", ["tile", "wood"]) == [(0.8 + 0.4) / 2]


def test_the_csv_holds_a_line_for_each_figure() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(RESULTS))))
    found = {(r["method"], r["category"], r["seed"], r["measure"]): r["value"] for r in rows}
    assert found["Ours", "tile", "1", "au_pro_30"] == "0.6"
    assert found["k-NN", "wood", "0", "image_auroc:dent"] == "0.8"
    assert found["Ours", "wood", "0", "fit_s"] == "1.5"
    assert ("k-NN", "tile", "0", "au_pro_30") not in found


def test_the_figure_shows_every_method_that_has_the_measure(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    assert plot(RESULTS, "au_pro_30", path)
    one = cv2.imread(str(path))
    assert plot(RESULTS, "image_auroc", path)
    two = cv2.imread(str(path))
    assert one is not None
    assert two is not None
    assert two.shape[0] > one.shape[0]  # k-NN has no map, so it is in the second alone
    assert ((two[:, :, 0] > 150) & (two[:, :, 2] < 60)).any()  # blue dots
    assert not plot(RESULTS[4:], "au_pro_30", tmp_path / "nothing.png")
    assert not (tmp_path / "nothing.png").exists()
