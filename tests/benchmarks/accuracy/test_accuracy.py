"""The accuracy command: what it prints, what it writes, and how it refuses."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_trees import write

from benchmarks.accuracy import __main__ as accuracy
from runtime.default_detector import DEMO_DETECTOR
from runtime.demo import DemoLine
from runtime.demo.dataset import write_dataset
from runtime.engines.fake import FakeEngine
from runtime.errors import InputError
from runtime.image_hashes import packed
from runtime.recipe import Recipe
from runtime.scoring import Scoring
from train import datasets
from train.data import file_sha256, sha256_of_images


@pytest.fixture
def detector_file(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that opens as the fake detector."""

    def opened(*given: object) -> tuple[Recipe, FakeEngine, str]:
        return recipe, FakeEngine(recipe.size_hw), "a fake one"

    monkeypatch.setattr("runtime.engine_options.open_engine", opened)
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"a detector")
    return path


def test_the_figures_are_printed(detector_file: Path, test_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy.main([str(detector_file), str(test_set)])
    printed = {line[:20].strip(): line[20:].strip() for line in capsys.readouterr().out.splitlines()}
    assert printed["images"] == "2 good, 2 defective"
    assert printed["image AUROC"] == "0.7500 (95 % interval 0.041 to 1.000, a cautious bound)"
    assert printed["scratch (1)"].startswith("0.5000 (0.000 to 1.000")
    assert printed["pixel AUROC"] == "0.9979"
    few = "(no interval: it takes 5 good and 5 defective images with masks)"
    assert printed["AU-PRO to 30 % FPR"] == f"0.9911 {few}"
    assert printed["AU-PRO to 5 % FPR"] == f"0.9465 {few}"
    assert printed["false rejects"] == "1 of 2, 50 % (95 % interval 1.26 % to 98.7 %), budget 1 %"
    assert printed["budget"].startswith("The budget of 1 % is below the interval, 1.26 % to 98.7 %")
    assert printed["detected"] == "1 of 2, 50 % (95 % interval 1.26 % to 98.7 %)"
    assert printed["at the threshold"] == "F1 0.5000, precision 0.5000, recall 0.5000"
    assert printed["best F1"] == "F1 0.8000, precision 0.6667, recall 1.0000; chosen with hindsight, at 0.1172"
    assert printed["no decision"] == "none"
    assert printed["threshold"].startswith("0.2344. NOT PROVEN: 1 %")


def test_the_json_holds_figures_scores_and_provenance(detector_file: Path, test_set: Path, tmp_path: Path) -> None:
    file = tmp_path / "accuracy.json"
    accuracy.main([str(detector_file), str(test_set), "--json", str(file)])
    document = json.loads(file.read_text())
    assert document["accuracy"]["image_auroc"] == 0.75
    assert document["accuracy"]["false_rejects"]["count"] == 1
    assert [(each["defect"], each["decision"], each["score"] * 128) for each in document["inspections"]] == [
        ("good", "OK", 10),
        ("good", "NG", 40),
        ("dent", "NG", 60),
        ("scratch", "OK", 20),
    ]
    assert document["detector_sha256"] == hashlib.sha256(b"a detector").hexdigest()
    assert document["engine"] == "fake engine"
    assert document["threshold"]["budget"] == 0.01
    assert document["command"].startswith(f"python -m benchmarks.accuracy {detector_file}")
    assert document["environment"]["cpu"]


def test_without_masks_only_image_level_figures_are_given(
    detector_file: Path, test_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, file = tmp_path / "plain", tmp_path / "accuracy.json"
    for index in range(30):  # enough for some to be set apart for the test, whatever their content
        write(plain / "good" / f"{index:03}.png", np.full((6, 8), 100 + index, np.uint8))
    (test_set / "test" / "dent").rename(plain / "bad")
    pictures = tmp_path / "pictures"
    arguments = [str(detector_file), str(plain), "--layout", "plain", "--json", str(file), "--overlays", str(pictures)]
    accuracy.main(arguments)
    printed = {line[:20].strip(): line[20:].strip() for line in capsys.readouterr().out.splitlines()}
    assert printed["image AUROC"].startswith("1.0000 (95 % interval 0.025 to 1.000")
    assert printed["pixel figures"] == "none: no mask is known of the 1 defective images"
    figures = json.loads(file.read_text())["accuracy"]
    assert (figures["pixel_auroc"], figures["au_pro_30"], figures["au_pro_5"]) == (None, None, None)
    assert any("bad" in path.name for path in pictures.iterdir())


@pytest.mark.parametrize("empty", [True, False])
def test_mvtecs_layout_without_any_mask_gives_image_figures_alone_and_says_so(
    detector_file: Path, test_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], empty: bool
) -> None:
    shutil.rmtree(test_set / "ground_truth")
    if empty:
        (test_set / "ground_truth" / "dent").mkdir(parents=True)
    (test_set / "test" / "scratch").rename(test_set / "test" / "ng")
    report = tmp_path / "report.html"
    accuracy.main([str(detector_file), str(test_set), "--report", str(report)])
    printed = {line[:20].strip(): line[20:].strip() for line in capsys.readouterr().out.splitlines()}
    assert printed["pixel figures"] == "none: no mask is known of the 2 defective images"
    assert printed["ng (1)"].startswith("0.5000")
    assert "No mask is known, so there are no pixel figures and no PRO curve." in report.read_text()


def test_with_enough_masks_au_pro_has_its_interval(
    detector_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_parts(tmp_path / "parts", 8, 8, lambda index, bad: 5 + index % 8 + 4 * bad)
    mask = np.zeros((6, 8), np.uint8)
    mask[1, 1:4] = 255
    for index in range(8, 16):
        write(tmp_path / "parts" / "ground_truth" / "bad" / f"{index:03}_mask.png", mask)
    accuracy.main([str(detector_file), str(tmp_path / "parts"), "--json", str(tmp_path / "accuracy.json")])
    document, printed = json.loads((tmp_path / "accuracy.json").read_text()), capsys.readouterr().out
    for name, value in (("AU-PRO to 30 % FPR", "au_pro_30"), ("AU-PRO to 5 % FPR", "au_pro_5")):
        low, high = document["intervals"][value]["low"], document["intervals"][value]["high"]
        assert low < document["accuracy"][value] < high
        said = f"{document['accuracy'][value]:.4f} (95 % interval {low:.3f} to {high:.3f})"
        assert f"{name:<20} {said}\n" in printed
    assert document["intervals"]["au_pro_resamples"] == 1000


def test_one_missing_mask_among_others_stays_an_error(detector_file: Path, test_set: Path) -> None:
    (test_set / "ground_truth" / "scratch" / "000_mask.png").unlink()
    with pytest.raises(InputError, match=r"scratch/000\.png has no mask; expected \S+scratch/000_mask\.png"):
        accuracy.main([str(detector_file), str(test_set)])


def test_inverted_masks_are_warned_of(detector_file: Path, test_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (test_set / "ground_truth").rglob("*.png"):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert cv2.imwrite(str(path), 255 - mask)
    accuracy.main([str(detector_file), str(test_set)])
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert warning.startswith("warning: 2 of 2 masks mark more than half of their picture (000_mask.png 9")
    assert warning.endswith("are they inverted? What is not black must be the defect")


def write_parts(folder: Path, good: int, bad: int, excess: Callable[[int, bool], int]) -> None:
    for index in range(good + bad):
        pixels = np.full((6, 8), 128, np.uint8)
        pixels[1, 2] += excess(index, index >= good)
        write(folder / "test" / ("good" if index < good else "bad") / f"{index:03}.png", pixels)


def test_a_useless_detector_is_named_in_the_first_line_of_output_and_report(
    detector_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_parts(tmp_path / "parts", 20, 20, lambda index, bad: 5 + (7 * index) % 20 - 3 * bad)
    report, file = tmp_path / "report.html", tmp_path / "accuracy.json"
    accuracy.main([str(detector_file), str(tmp_path / "parts"), "--report", str(report), "--json", str(file)])
    first, *_ = capsys.readouterr().out.splitlines()
    assert re.match(
        r"NO BETTER THAN CHANCE: image AUROC 0\.3\d+ of 20 good and 20 defective images, while scores drawn at random "
        r"reach 0\.681 in 1 of 40 such sets; do not run a line with it",
        first,
    )
    page = report.read_text()
    assert page.index("NO BETTER THAN CHANCE") < page.index("At its calibrated threshold") < page.index("Figures")
    assert json.loads(file.read_text())["no_better_than_chance"] == first


def test_a_good_detector_is_not(detector_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parts(tmp_path / "parts", 10, 10, lambda index, bad: 5 + index + 40 * bad)
    accuracy.main([str(detector_file), str(tmp_path / "parts")])
    assert "CHANCE" not in capsys.readouterr().out


def test_pictures_told_apart_by_their_size_are_warned_of(
    detector_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, report, file = tmp_path / "parts", tmp_path / "report.html", tmp_path / "accuracy.json"
    write_parts(data, 10, 10, lambda index, bad: 5 + index + 40 * bad)
    for path in (data / "test" / "bad").iterdir():
        assert cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (16, 6)))
    accuracy.main([str(detector_file), str(data), "--report", str(report), "--json", str(file)])
    printed = capsys.readouterr().out
    told = (
        "these test images can be told apart without looking at the part, no worse than by the detector (1.00), by "
        "their width (AUROC 1.00, defective ones wider), width to height (AUROC 1.00, defective ones flatter), "
        "mean brightness (AUROC 1.00, defective ones brighter). The image AUROC says less than it seems"
    )
    assert f"warning: {told}" in printed
    assert "No good training images lie beside these" in printed
    assert f"Warning: {told}" in report.read_text()
    document = json.loads(file.read_text())
    assert document["shortcut_warning"].startswith(told)
    assert [each["name"] for each in document["shortcuts"]["values"] if not each["named"]] == ["height"]
    write(data / "train" / "good" / "000.png", np.full((6, 8), 128, np.uint8))
    accuracy.main([str(detector_file), str(data)])
    assert "Unusual means far from what 1 good training images show." in capsys.readouterr().out


def test_thresholds_are_known_by_the_run_folder(
    detector_file: Path,
    recipe: Recipe,
    test_set: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = np.arange(1, 41) / 200
    known = replace(recipe, score_quantiles={"0.5": float(np.median(scores)), "1.0": 0.2})
    opened = (known, FakeEngine(recipe.size_hw), "a fake one")
    monkeypatch.setattr("runtime.engine_options.open_engine", lambda *given: opened)
    file, run = tmp_path / "accuracy.json", tmp_path / "elsewhere"
    accuracy.main([str(detector_file), str(test_set), "--json", str(file)])
    assert "Known from the file, which keeps 2 quantiles of 40 good images' scores." in capsys.readouterr().out
    run.mkdir()
    np.save(run / "calibration_scores.npy", scores)
    opened = (known, FakeEngine(recipe.size_hw), "a fake one")
    accuracy.main([str(detector_file), str(test_set), "--run", str(run), "--json", str(file)])
    printed = capsys.readouterr().out
    assert f"Known from the scores of 40 good images held out, in {run}." in printed
    assert re.search(r"0\.1950 +1 of 40 +at most 11\.3 % \(95 % sure\) +1 of 2 \(.*\) +1 of 2", printed)
    table = json.loads(file.read_text())["thresholds"]
    assert [row["above"] for row in table["rows"]] == [0, 0, 1, 2]
    assert table["rows"][2]["proof"] == {"rate": pytest.approx(0.1132, abs=1e-4), "confidence": 0.95}
    assert table["unproven"]["0.01"] == 299


def test_copies_among_the_test_images_are_told(
    detector_file: Path, test_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accuracy.main([str(detector_file), str(test_set)])
    assert "different pictures" not in capsys.readouterr().out
    for index in range(3):
        shutil.copy(test_set / "test" / "good" / "000.png", test_set / "test" / "good" / f"copy-{index}.png")
    accuracy.main([str(detector_file), str(test_set)])
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert warning.startswith("warning: 5 good files show 2 different pictures; the figures count every file")


def test_a_layout_may_be_named_and_must_be_known(detector_file: Path, test_set: Path) -> None:
    with pytest.raises(InputError, match="has no test/ko; expected the BTAD layout"):
        accuracy.main([str(detector_file), str(test_set), "--layout", "btad"])
    with pytest.raises(InputError, match="the layout is 'mvtec 2'; expected one of"):
        accuracy.main([str(detector_file), str(test_set), "--layout", "mvtec 2"])


@pytest.mark.parametrize(
    ("detector", "data", "message"),
    [("nothing.onnx", "data", "nothing.onnx cannot be read"), ("detector.onnx", "nowhere", "nowhere is not a folder")],
)
def test_a_bad_input_ends_in_one_sentence(
    detector: str, data: str, message: str, test_set: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "benchmarks.accuracy", str(tmp_path / detector), str(tmp_path / data)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_part_that_passes_as_small_is_no_reject_of_the_detectors_row(
    test_set: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sized = replace(recipe, scoring=Scoring(smallest_area=2.0))  # a good part's spot has one pixel, the dent three
    monkeypatch.setattr(
        "runtime.engine_options.open_engine", lambda *given: (sized, FakeEngine(sized.size_hw), "a fake one")
    )
    (tmp_path / "detector.onnx").write_bytes(b"a detector")
    accuracy.main([str(tmp_path / "detector.onnx"), str(test_set), "--json", str(tmp_path / "accuracy.json")])
    (own,) = [line for line in capsys.readouterr().out.splitlines() if "the detector's  " in line and "at most" in line]
    assert re.findall(r"(\d) of 2 \(", own) == ["1", "0"]
    document = json.loads((tmp_path / "accuracy.json").read_text())
    assert document["accuracy"]["too_small"] == 1
    assert document["accuracy"]["false_rejects"]["count"] == 0
    assert document["thresholds"]["sized"]


def test_overlays_are_written_on_request(detector_file: Path, test_set: Path, tmp_path: Path) -> None:
    accuracy.main([str(detector_file), str(test_set), "--overlays", str(tmp_path / "pictures"), "--count", "2"])
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2


def test_the_report_is_written_on_request(detector_file: Path, test_set: Path, tmp_path: Path) -> None:
    accuracy.main([str(detector_file), str(test_set), "--report", str(tmp_path / "report.html")])
    document = (tmp_path / "report.html").read_text()
    assert "<title>Accuracy of detector.onnx on data</title>" in document
    assert "rejects 1 of 2 defective images and 1 of 2 good ones" in document
    assert hashlib.sha256(b"a detector").hexdigest() in document
    assert "fake engine" in document


def test_the_packaged_detector_is_reported_on_rendered_parts(tmp_path: Path, environment: dict[str, str]) -> None:
    write_dataset(tmp_path / "parts", DemoLine(5, (64, 64)), 1, 1)
    command = [sys.executable, "-m", "benchmarks.accuracy", str(DEMO_DETECTOR), "parts", "--report", "report.html"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    document = (tmp_path / "report.html").read_text()
    assert "ONNX Runtime" in document
    assert "features of a pretrained network" in document
    assert document.count("<figcaption>test/") == 4  # a good and a defective image, each as worst and as best


def test_images_without_masks_are_said_aloud(
    detector_file: Path,
    test_set: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [replace(image, mask_path=None) for image in datasets.read_test_set(test_set)]
    monkeypatch.setattr(datasets, "read_test_set", lambda folder, layout: images)
    accuracy.main([str(detector_file), str(test_set), "--json", str(tmp_path / "accuracy.json")])
    printed = capsys.readouterr().out
    assert "pixel figures        none: no mask is known of the 2 defective images" in printed
    assert "AU-PRO" not in printed
    document = json.loads((tmp_path / "accuracy.json").read_text())
    assert document["accuracy"]["au_pro_30"] is None
    assert document["accuracy"]["image_auroc"] == 0.75


def test_a_report_without_matplotlib_says_which_extra_to_install(test_set: Path) -> None:
    program = (
        "import sys, runpy\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'matplotlib':\n"
        "            raise ModuleNotFoundError('hidden', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        f"sys.argv = ['accuracy', 'detector.onnx', {str(test_set)!r}, '--report', 'report.html']\n"
        "runpy.run_module('benchmarks.accuracy', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: matplotlib is not installed")
    assert "pip install 'proctor[bench]'" in done.stderr
    assert done.stderr.count("\n") == 1


def made_from(recipe: Recipe, paths: list[Path]) -> Recipe:
    """The recipe of a detector that was made from these images."""
    digest = sha256_of_images(file_sha256(path) for path in paths)
    return replace(recipe, provenance=replace(recipe.provenance, images_sha256=digest))


def opening(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any file open as the fake detector with this recipe."""
    opened = recipe, FakeEngine(recipe.size_hw), "a fake one"
    monkeypatch.setattr("runtime.engine_options.open_engine", lambda *_: opened)


def sorted_parts(folder: Path) -> list[Path]:
    """A folder with good and bad parts; the good ones."""
    for index in range(30):  # enough for some to be set apart for the test, whatever their content
        write(folder / "good" / f"{index:03}.png", np.full((6, 8), 100 + index, np.uint8))
    for index in range(3):
        write(folder / "bad" / f"{index:03}.png", np.full((6, 8), 10 + 40 * index, np.uint8))
    return sorted((folder / "good").iterdir())


def test_a_detector_of_all_of_good_is_not_measured_on_what_bad_sets_apart_later(
    detector_file: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = sorted_parts(tmp_path / "parts")
    opening(made_from(recipe, good), monkeypatch)
    apart = len(datasets.read_test_set(tmp_path / "parts")) - 3
    with pytest.raises(InputError, match=rf"detector\.onnx was made from {apart} good of the test images in \S+parts,"):
        accuracy.main([str(detector_file), str(tmp_path / "parts")])


def test_test_images_that_the_run_folder_names_are_left_out_with_a_warning(
    detector_file: Path,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = sorted_parts(tmp_path / "parts")
    apart = [image.path for image in datasets.read_test_set(tmp_path / "parts") if not image.label]
    known = [path for path in good if path not in apart[1:]]  # more parts came since
    opening(made_from(recipe, known), monkeypatch)
    (tmp_path / "detector-run").mkdir()
    hashes = {str(path): file_sha256(path) for path in known}
    (tmp_path / "detector-run" / "split.json").write_text(json.dumps({"sha256": hashes}))
    accuracy.main([str(detector_file), str(tmp_path / "parts"), "--json", str(tmp_path / "accuracy.json")])
    said = f"left out: 1 good test images that detector.onnx was made from; figures are of the {len(apart) + 2} others"
    assert f"warning: {said}\n" in capsys.readouterr().out
    document = json.loads((tmp_path / "accuracy.json").read_text())
    assert document["left_out"] == said
    assert document["accuracy"]["false_rejects"]["total"] == len(apart) - 1


@pytest.mark.parametrize("name", ["learned_from", "statistics_from"])
def test_test_images_that_the_file_names_are_left_out_without_a_run_folder(
    detector_file: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], name: str,
) -> None:  # fmt: skip
    sorted_parts(tmp_path / "parts")
    first = next(image.path for image in datasets.read_test_set(tmp_path / "parts") if not image.label)
    named = replace(recipe.provenance, **{name: packed([file_sha256(first)])})
    opening(replace(recipe, provenance=named), monkeypatch)
    accuracy.main([str(detector_file), str(tmp_path / "parts")])
    assert "warning: left out: 1 good test images that detector.onnx was made from" in capsys.readouterr().out


def test_a_run_folder_of_another_detector_says_nothing_of_this_one(
    detector_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = sorted_parts(tmp_path / "parts")
    (tmp_path / "detector-run").mkdir()
    hashes = {str(path): file_sha256(path) for path in good}
    (tmp_path / "detector-run" / "split.json").write_text(json.dumps({"sha256": hashes}))
    accuracy.main([str(detector_file), str(tmp_path / "parts")])
    assert "left out" not in capsys.readouterr().out


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"sha256": 3}', "null"])
def test_a_damaged_list_of_a_runs_images_is_refused(
    detector_file: Path, test_set: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "detector-run").mkdir()
    (tmp_path / "detector-run" / "split.json").write_text(text)
    with pytest.raises(InputError, match=r"split\.json is damaged, so that nobody can tell which test images"):
        accuracy.main([str(detector_file), str(test_set)])
