"""The table command: its rows, what it writes, how it goes on, and how it refuses."""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_trees import make_tree, write

from benchmarks.methods.registry import METHODS, make_method, method_options
from benchmarks.table import __main__ as table
from benchmarks.table import cells, run
from benchmarks.table.cells import Category, Result, Row, run_cell
from runtime.errors import InputError

QUICK = ["--methods", "1-nn,k-means", "--size", "32,32", "--device", "cpu"]
QUICK += ["--set", "1-nn.stride=8", "--set", "k-means.stride=8", "--set", "k-means.clusters=3"]


def test_the_command_fills_the_table_and_goes_on_where_it_stopped(
    tiny_category: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = [str(tiny_category), "--out", str(tmp_path), *QUICK, "--seeds", "0,3"]
    table.main(arguments)
    printed = capsys.readouterr().out
    assert "| method | tile | mean | seeds |" in printed
    assert printed == (tmp_path / "table.md").read_text() + "\n"
    assert (tmp_path / "table.csv").read_text().startswith("method,category,seed,measure,value\n1-NN,tile,0,")
    assert {path.name for path in (tmp_path / "cells" / "tile").iterdir()} == {
        "1-NN-seed0.json", "1-NN-seed3.json", "K-Means-seed0.json", "K-Means-seed3.json",
    }  # fmt: skip
    assert (tmp_path / "table-au-pro-30.png").is_file()
    assert (tmp_path / "table-image-auroc.png").is_file()

    made = []
    monkeypatch.setattr(cells, "make_method", lambda *given: made.append(given[0]) or make_method(*given))
    (tmp_path / "cells" / "tile" / "1-NN-seed3.json").unlink()
    table.main([*arguments, "--set", "k-means.clusters=2"])
    assert made == ["1-nn", "k-means", "k-means"]  # what was lost, and what has other options now
    assert json.loads((tmp_path / "cells/tile/K-Means-seed0.json").read_text())["settings"]["options"]["clusters"] == 2


def test_ours_is_a_row_for_each_scale_and_number_of_students(teacher_files: dict[int, Path]) -> None:
    teachers = ",".join(str(teacher_files[p]) for p in (17, 33))
    options = argparse.Namespace(teachers=teachers, students="1,5")
    rows = run.table_rows("ours", {"steps": "7"}, options)
    assert [row.label for row in rows] == [
        "Ours, 17, M = 1", "Ours, 17, M = 5", "Ours, 33, M = 1", "Ours, 33, M = 5",
        "Ours, multi-scale, M = 1", "Ours, multi-scale, M = 5",
    ]  # fmt: skip
    assert [(row.options.students, row.options.ensemble, row.options.steps) for row in rows[:2]] == [
        (1, 5, 7),
        (5, 5, 7),
    ]
    assert rows[5].options.teachers == tuple(teachers.split(","))
    given = table._parser().parse_args(["data", "--out", "out", "--students", "3"])
    default = run.table_rows("ours", {}, given)
    assert [row.label for row in default] == [f"Ours, {s}, M = 3" for s in ("p17", "p33", "p65", "multi-scale")]
    assert default[3].options.teachers == ("p17", "p33", "p65")


QUICKER = ["--methods", "1-nn", "--size", "32,32", "--device", "cpu", "--set", "1-nn.stride=8"]


@pytest.mark.parametrize("layout", ["visa", "ksdd", "ksdd2"])
def test_layouts_that_training_does_not_take_are_read(layout: str, tmp_path: Path) -> None:
    make_tree(layout, tmp_path / "data")
    table.main([str(tmp_path / "data"), "--out", str(tmp_path / "out"), *QUICKER])
    assert "1-NN,data,0,au_pro_30," in (tmp_path / "out" / "table.csv").read_text()


def test_a_set_without_masks_has_image_level_figures_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_tree("plain", tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "masks")
    table.main([str(tmp_path / "data"), "--out", str(tmp_path / "out"), *QUICKER, "--layout", "plain"])
    printed, said = capsys.readouterr()
    assert "data: no mask is known" in said
    sections = printed.split("## ")
    assert ["| 1-NN | – | – | 1 |" in section for section in sections[1:5]] == [True, False, True, True]
    assert sections[2].startswith("image AUROC\n")
    assert (tmp_path / "out" / "table-image-auroc.png").is_file()


def test_every_data_folder_is_read_before_any_work(tiny_category: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(tiny_category, bad)
    arguments = ["--out", str(tmp_path / "out"), *QUICKER]
    with pytest.raises(InputError, match="nowhere is not a folder"):
        table.main([str(tiny_category), str(tmp_path / "nowhere"), *arguments])
    write(bad / "ground_truth" / "dent" / "1_mask.png", np.full((10, 20), 255, np.uint8))
    with pytest.raises(InputError, match=r"1_mask\.png is 20×10 pixels, its image 48×40"):
        table.main([str(tiny_category), str(bad), *arguments])
    (bad / "train" / "good" / "3.png").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"3\.png is not an image"):
        table.main([str(tiny_category), str(bad), *arguments])
    assert not (tmp_path / "out").exists()


def test_the_table_of_the_categories_before_an_error_is_written(
    tiny_category: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_category, tmp_path / "other")

    def fails_on_the_other(row: Row, category: Category, *more: Any) -> Result:
        if category.name == "other":
            raise InputError("out of luck")
        return run_cell(row, category, *more)

    monkeypatch.setattr(run, "run_cell", fails_on_the_other)
    with pytest.raises(InputError, match="out of luck"):
        table.main([str(tiny_category), str(tmp_path / "other"), "--out", str(tmp_path / "out"), *QUICKER])
    assert "| method | tile | mean | seeds |" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_the_registry_has_options(name: str) -> None:
    assert method_options(name, {})
    with pytest.raises(InputError, match=f"{name}: unknown option colour"):
        method_options(name, {"colour": "blue"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "magic"], "there is no method 'magic'; choose among ours, 1-nn"),
        (["--set", "patchcore=3"], "--set is 'patchcore=3'; expected METHOD.OPTION=VALUE"),
        (["--set", "1-nn.stride=often", "--methods", "1-nn"], "1-nn: stride is 'often'; expected INTEGER"),
        (["--seeds", "0,0"], "--seeds is 0,0; expected different integers"),
        (["--size", "32"], "--size is 32; expected height,width"),
        (["--size", "100000,100000"], "--size is 100000,100000; expected height,width in pixels, 4096 at most"),
        (["--features-gib", "nan"], "--features-gib is nan; expected gibibytes"),
        (["--features-gib", "inf"], "--features-gib is inf; expected gibibytes"),
        (["--features-gib", "-1"], "--features-gib is -1.0; expected gibibytes"),
        (["--layout", "btad", "--methods", "1-nn"], "has no train/ok; expected the BTAD layout"),
        (["--out", f"{__file__}/out", "--methods", "1-nn"], "table.md cannot be written"),
        (["--methods", "detector"], "the method 'detector' needs a file"),
        (["--teacher", "p99"], "teacher 'p99' is neither a shipped one"),
    ],
)
def test_a_bad_option_is_refused_in_one_sentence(
    tiny_category: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        table.main(
            [str(tiny_category), "--out", str(tmp_path / "out"), "--size", "32,32", "--device", "cpu", *arguments]
        )


def test_help_needs_no_torch() -> None:
    program = "import sys; sys.modules['torch'] = None; import runpy; sys.argv = ['x', '--help'];"
    for command in ("benchmarks.table", "benchmarks.oneclass"):
        done = subprocess.run(
            [sys.executable, "-c", f"{program} runpy.run_module({command!r}, run_name='__main__')"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "usage:" in done.stdout
