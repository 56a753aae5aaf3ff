"""Numbers that no benchmark can be run with: refused in one sentence, before any work."""

from collections.abc import Callable

import pytest

from benchmarks.accuracy import __main__ as accuracy
from benchmarks.alignment import __main__ as alignment
from benchmarks.drift import __main__ as drift
from benchmarks.gpu import __main__ as gpu
from benchmarks.line import fuzz, load
from benchmarks.oneclass import __main__ as oneclass
from benchmarks.pictures import damage
from benchmarks.stream import imports, lost_camera
from benchmarks.teachers import __main__ as teachers
from benchmarks.thresholds import __main__ as thresholds
from benchmarks.throughput import served, tiles
from benchmarks.web import viewers

NO_SEED = "is not a whole number from 0 to 4294967295"
NO_COUNT = "is not a whole number of 1 or more"
NO_NUMBER = "is not a number above 0"


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (drift.main, ["--seed", "-1"], f"argument --seed: '-1' {NO_SEED}"),
        (thresholds.main, ["--seed", "-1"], f"argument --seed: '-1' {NO_SEED}"),
        (thresholds.main, ["--seed", "4294967296"], f"argument --seed: '4294967296' {NO_SEED}"),
        (thresholds.main, ["--seed", "1.5"], f"argument --seed: '1.5' {NO_SEED}"),
        (alignment.main, ["data", "--out", "out", "--seed", "-1"], f"argument --seed: '-1' {NO_SEED}"),
        (damage.main, ["--seed", "-1"], f"argument --seed: '-1' {NO_SEED}"),
        (fuzz.main, ["--seed", "x"], f"argument --seed: 'x' {NO_SEED}"),
        (oneclass.main, ["data", "--seed", "-1"], f"argument --seed: '-1' {NO_SEED}"),
        (oneclass.main, ["data", "--students", "0"], f"argument --students: '0' {NO_COUNT}"),
        (oneclass.main, ["data", "--train-limit", "0"], f"argument --train-limit: '0' {NO_COUNT}"),
        (teachers.main, ["--seed", "-1"], f"argument --seed: '-1' {NO_SEED}"),
        (teachers.main, ["--patches", "-5"], f"argument --patches: '-5' {NO_COUNT}"),
        (accuracy.main, ["nothing.onnx", "data", "--count", "0"], f"argument --count: '0' {NO_COUNT}"),
        (imports.main, ["--repeats", "0"], f"argument --repeats: '0' {NO_COUNT}"),
        (tiles.main, ["--repeats", "0"], f"argument --repeats: '0' {NO_COUNT}"),
        (tiles.main, ["--threads", "0"], f"argument --threads: '0' {NO_COUNT}"),
        (tiles.main, ["--side", "-64"], f"argument --side: '-64' {NO_COUNT}"),
        (viewers.main, ["--rate", "0"], f"argument --rate: '0' {NO_NUMBER}"),
        (viewers.main, ["--seconds", "nan"], f"argument --seconds: 'nan' {NO_NUMBER}"),
        (served.main, ["d.onnx", "triton://h:1/m", "--seconds", "-1"], f"argument --seconds: '-1' {NO_NUMBER}"),
        (load.main, ["--deadline-ms", "inf"], f"argument --deadline-ms: 'inf' {NO_NUMBER}"),
        (lost_camera.main, ["--seconds", "0"], f"argument --seconds: '0' {NO_NUMBER}"),
        (gpu.main, ["--minutes", "0"], f"argument --minutes: '0' {NO_NUMBER}"),
        (gpu.main, ["--minutes", "soon"], f"argument --minutes: 'soon' {NO_NUMBER}"),
    ],
)
def test_a_number_that_means_nothing_is_refused(
    main: Callable[[list[str]], None], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
