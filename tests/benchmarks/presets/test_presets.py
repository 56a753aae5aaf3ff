"""The presets' benchmark: real detectors from end to end, kept between runs, as a table and a plot."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from dataset_trees import make_tree, write

from benchmarks.presets import __main__ as presets
from benchmarks.presets import report as preset_report
from benchmarks.presets.cells import cell_folder, checked_config, read_data_set, with_fewer
from benchmarks.presets.report import Result, markdown, plot, plot_curves
from runtime.errors import InputError
from train.backbones import shipped_backbones
from train.data import file_sha256
from train.datasets import training_images

QUICK = {"size-hw": "32,36", "output-stride": "8", "train-stride": "8", "window": "none", "students": "1", "steps": "2"}


def tiny(data: Path, out: Path, teacher: Path, *more: str) -> list[str]:
    options = {**QUICK, "teachers": str(teacher), "device": "cpu", "precision": "fp32"}
    over = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
    return [str(data), "--out", str(out), "--subset", "all", "--presets", "students", *over, *more]


@pytest.fixture(scope="module")
def one_made(tiny_category: Path, teacher_files: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the detector of the preset students and seed 0, and its figures; to be copied."""
    out = tmp_path_factory.mktemp("one-made") / "out"
    presets.main(tiny(tiny_category, out, teacher_files[33], "--seeds", "0"))
    return out


@pytest.fixture
def out(one_made: Path, tmp_path: Path) -> Path:
    """A copy of it, to go on with."""
    return Path(shutil.copytree(one_made, tmp_path / "out"))


def test_each_preset_and_seed_is_a_detector_that_is_made_once(
    tiny_category: Path, teacher_files: dict[int, Path], out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = tiny(tiny_category, out, teacher_files[33], "--presets", "students,paper", "--seeds", "0,4")
    presets.main(arguments)
    printed = capsys.readouterr().out
    assert (out / "presets.md").read_text() in printed
    found = json.loads((out / "presets.json").read_text())
    assert [(r["preset"].partition(",")[0], r["seed"]) for r in found["results"]] == [
        ("students", 0), ("students", 4), ("paper", 0), ("paper", 4),
    ]  # fmt: skip
    label = (
        f"device=cpu, output_stride=8, precision=fp32, size_hw=32,36, steps=2, students=1, teachers={teacher_files[33]}"
    )
    assert [*found["presets"]] == [f"{name}, {label}, train_stride=8, window=none" for name in ("students", "paper")]
    assert found["presets"][found["results"][0]["preset"]]["steps"] == 2
    good, defective = found["results"][0]["good_rejected"], found["results"][0]["defective_rejected"]
    assert [good[1], defective[1]] == [len(list((tiny_category / "test").glob(p))) for p in ("good/*", "[!g]*/*")]
    assert 0 <= good[0] <= good[1]
    assert 0 <= defective[0] <= defective[1]
    assert found["results"][0]["image_auroc"] != found["results"][1]["image_auroc"] or (
        found["results"][0]["au_pro_30"] != found["results"][1]["au_pro_30"]
    )
    made = {path: path.stat().st_mtime_ns for path in out.glob("tile/*/detector.onnx")}
    assert len(made) == 4
    (kept,) = out.glob("tile/students-*-seed0/accuracy-all.json")
    document = json.loads(kept.read_text())
    kept.write_text(json.dumps({**document, "result": {**document["result"], "image_auroc": 0.125}}))
    presets.main(arguments)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert json.loads((out / "presets.json").read_text())["results"][0]["image_auroc"] == 0.125
    kept.write_text(kept.read_text()[:50])
    with pytest.raises(InputError, match=r"accuracy-all\.json is damaged .*; remove it"):
        presets.main(arguments)


def test_other_options_and_other_images_are_other_cells_of_one_folder(
    tiny_category: Path, teacher_files: dict[int, Path], out: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(tiny_category, tmp_path / "tile"))

    def run(*more: str) -> tuple[str, int]:
        presets.main(tiny(data, out, teacher_files[33], "--seeds", "0", *more))
        (result,) = json.loads((out / "presets.json").read_text())["results"]
        return result["preset"], len(list(out.glob("tile/*/detector.onnx")))

    plain, made = run()
    assert ("separable" in plain, made) == (False, 1)
    separable, made = run("--set", "separable=true")
    assert ("separable=yes" in separable, made) == (True, 2)
    assert run("--set", "separable=yes") == (separable, 2)
    (data / "train" / "good" / "0.png").unlink()
    assert run() == (plain, 3)


def test_figures_of_other_test_images_are_taken_again(
    tiny_category: Path, teacher_files: dict[int, Path], out: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(tiny_category, tmp_path / "tile"))
    arguments = tiny(data, out, teacher_files[33], "--seeds", "0")
    presets.main(arguments)
    (data / "test" / "good" / "0.png").unlink()
    presets.main(arguments)
    assert json.loads((out / "presets.json").read_text())["results"][0]["good_rejected"][1] == 2
    assert len(list(out.glob("tile/*/detector.onnx"))) == 1


def test_presets_of_a_memory_bank_are_cells_too_and_know_their_backbone(
    tiny_category: Path, shallow_backbone: Path, tmp_path: Path
) -> None:
    over = ["--set", "side=32", "--set", "coreset=40", "--set", "device=cpu", "--set", f"backbone={shallow_backbone}"]
    arguments = [str(tiny_category), "--out", str(tmp_path), "--subset", "all", "--seeds", "0", *over]
    presets.main([*arguments, "--presets", "edge,fast"])
    found = json.loads((tmp_path / "presets.json").read_text())
    assert [r["preset"].partition(",")[0] for r in found["results"]] == ["edge", "fast"]
    assert all(r["multiply_adds"] > 0 for r in found["results"])
    assert len(list(tmp_path.glob("tile/*/detector.onnx"))) == 2
    config = checked_config("fast", {"side": 32, "device": "cpu"})
    data = read_data_set(tiny_category, "all", None)
    folders = {cell_folder("x", replace(config, backbone=name), data, tmp_path) for name in shipped_backbones()}
    assert len(folders) == len(shipped_backbones()) > 1


def test_a_layout_that_the_folder_does_not_look_like_is_given_to_training_as_links(
    teacher_files: dict[int, Path], tmp_path: Path
) -> None:
    data, out = tmp_path / "commutators", tmp_path / "out"
    make_tree("ksdd", data)
    write(data / "beside.png")  # training would take this alone
    presets.main(tiny(data, out, teacher_files[33], "--seeds", "0", "--layout", "ksdd"))
    (result,) = json.loads((out / "presets.json").read_text())["results"]
    assert (result["category"], result["defective_rejected"][1]) == ("commutators", 2)
    links = [path for folder in out.glob("commutators/*/good") for path in folder.iterdir()]
    assert {path.resolve() for path in links} == set(training_images(data, "ksdd"))


def test_the_multiply_adds_are_those_of_teacher_and_student(
    tiny_category: Path, teacher_files: dict[int, Path], tmp_path: Path
) -> None:
    presets.main(tiny(tiny_category, tmp_path, teacher_files[33], "--seeds", "0", "--set", "width=1"))
    found = json.loads((tmp_path / "presets.json").read_text())["results"][0]
    # p = 33 at stride 8: 4×5 positions; both pools ordinary, the last convolution with a stride of 2
    conv4, conv3 = 4 * 5, 10 * 12  # positions that each needs, in rows × columns
    conv2, conv1 = (2 * 11) * (2 * 13), (2 * 26) * (2 * 30)
    each = conv4 * 128 * 256 * 16 + conv3 * 256 * 256 * 4 + conv2 * 256 * 128 * 25 + conv1 * 128 * 3 * 25
    assert found["multiply_adds"] == pytest.approx(2 * each, rel=0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--presets", "quick"], "preset 'quick' is none of"),
        (["--set", "seed=3"], "--set is 'seed=3'; expected OPTION=VALUE"),
        (["--set", "steps"], "--set is 'steps'; expected OPTION=VALUE"),
        (["--set", "backbone=p34"], "backbone 'p34' is neither a shipped one"),
        (["--set", "colour=3"], "unknown option colour"),
        (["--presets", "students", "--set", "teachers=p34"], "teacher 'p34' is neither a shipped one"),
        (["--layout", "btad"], "has no train/ok; expected the BTAD layout"),
        (["--plot", "x.gif"], "x.gif is no name for a plot"),
        (["--plot", f"{__file__}/x.svg"], "x.svg cannot be written"),
        (["other/tile"], "two data folders are called tile"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything(
    tiny_category: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        presets.main([str(tiny_category), *arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def result(preset: str, seed: int, multiply_adds: int, au_pro: float | None) -> Result:
    return Result(preset, "tile", seed, multiply_adds, au_pro, au_pro, 0.75, {})


def test_the_table_has_a_row_for_each_preset_and_means_over_seeds(tmp_path: Path) -> None:
    results = [result("edge", 0, 5_000_000_000, 0.5), result("edge", 1, 5_000_000_000, 0.7)]
    text = markdown([*results, result("paper", 0, 1_800_000_000_000, None)], "a note")
    assert "| `edge` | 5.0 G | 0.600 ± 0.141 | 0.750 ± 0.000 | 0.600 ± 0.141 | 2 |" in text
    assert "| `paper` | 1800.0 G | – | 0.750 | – | 1 |" in text
    assert text.endswith("a note\n")
    plot([*results, result("paper", 0, 1_800_000_000_000, None)], tmp_path / "plot.svg")
    plot([*results, result("paper", 0, 1_800_000_000_000, 0.9)], tmp_path / "more.svg")
    assert (tmp_path / "plot.svg").read_bytes() != (tmp_path / "more.svg").read_bytes()


def test_one_plot_of_what_several_runs_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / "first.json", tmp_path / "second.json"]
    for path, preset in zip(paths, ("slow", "quick"), strict=True):
        path.write_text(json.dumps({"results": [asdict(result(preset, 0, 10**9, 0.5))]}))
    out = tmp_path / "presets.svg"
    preset_report.main([*map(str, paths), "--out", str(out)])
    assert f"{out} written" in capsys.readouterr().out
    assert all(f"<!-- {preset} -->" in out.read_text() for preset in ("slow", "quick"))
    paths[1].write_text("{}")
    with pytest.raises(InputError, match=r"second\.json holds no results of benchmarks\.presets"):
        preset_report.main([*map(str, paths), "--out", str(out)])


def test_fewer_good_images_are_those_of_the_lowest_hashes(tiny_category: Path) -> None:
    data = read_data_set(tiny_category, "all", None)
    fewer = with_fewer(data, 5)
    hashes = sorted(file_sha256(path) for path in data.training)
    assert sorted(file_sha256(path) for path in fewer.training) == hashes[:5]
    assert fewer.test == data.test


def test_numbers_of_good_images_that_a_set_has_not_are_told_and_a_set_without_any_is_refused(
    tiny_category: Path, teacher_files: dict[int, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = tiny(tiny_category, out, teacher_files[33], "--seeds", "0")
    presets.main([*arguments, "--good", "7,8,9,20", "--curves", str(tmp_path / "curves.svg")])
    printed, found = capsys.readouterr().out, json.loads((out / "presets.json").read_text())
    assert [result["preset"].rpartition(", ")[2] for result in found["results"]] == ["7 good images", "8 good images"]
    assert found["skipped"] == {"tile": [9, 20]}
    assert "tile has fewer good images than 9, 20." in printed
    before = {path: path.read_bytes() for path in out.glob("presets.*")}
    assert len(before) == 2
    message = r"tile has 8 good images to train on; --good asks for 9,20: give a number of 8 or less, or leave this"
    with pytest.raises(InputError, match=message):
        presets.main([*arguments, "--good", "9,20", "--curves", str(tmp_path / "curves.svg")])
    assert {path: path.read_bytes() for path in out.glob("presets.*")} == before


def test_learning_curves_are_drawn_of_what_is_known(tmp_path: Path) -> None:
    def found(category: str, images: int | None, au_pro: float | None) -> Result:
        return Result("edge", category, 0, 10**9, au_pro, None, 0.9, {}, None, None, 0.8, images, 0.1)

    results = [found("tile", 10, 0.5), found("tile", 20, 0.6), found("screw", 10, None), found("old", None, 0.5)]
    plot_curves(results, tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    assert "good images" in text
    assert "proven rate of false rejects" in text
    assert "<!-- o- -->" not in text  # a format that is drawn as data makes an axis of categories


def test_learning_curves_have_a_line_for_each_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(preset: str, images: int, seed: int, auroc: float) -> Result:
        return Result(f"{preset}, {images} good images", "tile", seed, 10**9, 0.5, None, auroc, {}, good_images=images)

    results = [found(preset, n, seed, auroc) for preset, n, seed, auroc in (
        ("edge", 10, 0, 0.8), ("edge", 20, 0, 0.9), ("fast", 10, 0, 0.5), ("fast", 10, 1, 0.7), ("fast", 20, 0, 0.7),
    )]  # fmt: skip
    drawn: list[Any] = []
    monkeypatch.setattr("benchmarks.plots.save", lambda figure, path: drawn.append(figure))
    plot_curves(results, tmp_path / "curves.svg")
    aurocs = {line.get_label(): line.get_xydata().tolist() for line in drawn[0].axes[0].lines}
    assert aurocs == {"tile, edge": [[10, 0.8], [20, 0.9]], "tile, fast": [[10, pytest.approx(0.6)], [20, 0.7]]}
    assert len({line.get_linestyle() for line in drawn[0].axes[0].lines}) == 2
    assert [list(line.get_xydata()) for line in drawn[0].axes[2].lines] == []  # no proven rate is known
