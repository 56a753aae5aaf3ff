"""benchmarks.recalibration: parts go once through the networks and are scored as the whole file scores them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.recalibration.__main__ import main
from benchmarks.recalibration.fresh import FRESH_SEED, SIZE_HW, line_under, seen
from benchmarks.recalibration.measure import BEFORE, FULL, KEPT, SET_SEED, Plan, Row, table, write_parts
from benchmarks.recalibration.plots import recalibration_plot
from calibration.recalibration import Options, recalibrate
from runtime.default_detector import DEMO_DETECTOR
from runtime.demo import DemoLine
from runtime.demo.defects import DEFECTS
from runtime.detector import Detector
from runtime.errors import InputError

RESULT = Path(__file__).parents[3] / "benchmarks" / "results" / "recalibration.json"


def test_fresh_parts_have_the_scores_that_the_recalibrated_file_gives_them(tmp_path: Path) -> None:
    """Bit by bit, and under the light that was asked for."""
    fresh = seen(DEMO_DETECTOR, 0.9, 2, 2)
    write_parts(tmp_path, 0.9, 0, 10)
    recalibrate(DEMO_DETECTOR, tmp_path / "0.9-0", tmp_path / "new.onnx", Options("a tester", threads=1))
    for file in (DEMO_DETECTOR, tmp_path / "new.onnx"):
        good, defective = fresh.scores(file)
        with Detector.open(file, threads=1) as detector:
            for number, score in enumerate([*good, *defective]):
                line, index = line_under(0.9, FRESH_SEED + number)
                part = line.good(index) if number < 2 else line.defective(index, list(DEFECTS)[number])
                assert detector.inspect(part.image).score == score


def test_a_part_under_nine_tenths_of_the_light_is_so_much_darker_and_else_the_same(tmp_path: Path) -> None:
    write_parts(tmp_path, 0.9, 1, 2)
    write_parts(tmp_path, 1.0, 1, 2)
    dark, bright = (cv2.imread(str(tmp_path / f"{light}-1" / "0001.png")) for light in (0.9, 1.0))
    assert dark is not None
    assert bright is not None
    assert dark.shape == (*SIZE_HW, 3)
    assert dark.mean() / bright.mean() == pytest.approx(0.9, abs=0.01)
    plain = DemoLine(SET_SEED + 10_000 + 1, SIZE_HW, 0.0).good(1000).image
    np.testing.assert_array_equal(bright, plain)


def test_the_command_measures_each_set_in_both_modes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--sizes", "10,11", "--lights", "90", "--seeds", "2", "--most-repeated", "10", "--good", "3"]
    main([*words, "--defective", "5", "--json", str(tmp_path / "r.json"), "--plot", str(tmp_path / "r.svg")])
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["environment"]["cores"]
    assert found["load"] >= 0
    rows = [Row(**row) for row in found["rows"]]
    cells = [
        (0, 0, BEFORE),
        *((given, seed, mode) for mode in (FULL, KEPT) for given, seed in ((10, 0), (10, 1), (11, 0))),
    ]
    assert [(row.given, row.seed, row.mode) for row in rows] == cells
    assert {(row.mode, row.statistics) for row in rows} == {(BEFORE, 0), (FULL, 5), (KEPT, 0)}
    assert {(row.good, row.defective, row.light) for row in rows} == {(3, 5, 0.9)}
    assert len({row.image_auroc for row in rows if row.mode == KEPT}) == 1  # the graph stays
    assert len({row.threshold for row in rows}) == len(rows)
    assert (tmp_path / "r.svg").read_text().startswith("<?xml")
    told = capsys.readouterr().out
    assert f"| 90 % | {KEPT} | 11 | – | " in told


def test_larger_sets_are_of_the_first_seed_alone_and_come_first() -> None:
    assert list(Plan((1.0,), (10, 40), 2, 20, 1, 1).sets()) == [(40, 0), (10, 0), (10, 1)]


def test_the_table_gives_sums_over_the_seeds_and_their_range() -> None:
    def row(seed: int, threshold: float, rejected: int) -> Row:
        return Row(0.9, FULL, 10, seed, 5, threshold, False, rejected, 100, 50 - seed, 50, 0.9)

    line = table([row(0, 9.5, 1), row(1, 12.25, 4)]).splitlines()[-1]
    assert line == (
        f"| 90 % | {FULL} | 10 | 5 | 9.50 to 12.25, not proven | 2.5 % (1.0 to 4.0) | 99.0 % (98.0 to 100.0) | 0.900 |"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sizes", "9"], r"--sizes is 9; expected different integers, 10 or more"),
        (["--lights", "0,90"], r"--lights is 0,90; expected different integers, 1 or more"),
        (["--lights", "110"], r"--lights is 110; expected percent of the lamp's light, 1 to 100"),
        (["--plot", "plot.txt"], r"plot\.txt is no name for a plot"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        main(words)


def test_a_result_of_another_benchmark_is_no_plot() -> None:
    with pytest.raises(InputError, match=r"this is no result of benchmarks\.recalibration"):
        recalibration_plot({"rows": []})


def test_the_result_in_the_tree_is_drawn() -> None:
    assert recalibration_plot(json.loads(RESULT.read_text())) is not None
