"""The accuracy command: what it prints, what it writes, and how it refuses."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import write

from benchmarks import accuracy
from runtime.detector import Detector
from runtime.engines.fake import FakeEngine
from runtime.errors import InputError
from runtime.recipe import Recipe


@pytest.fixture
def detector_file(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that opens as the fake detector."""

    def fake(path: Path, provider: str, threads: int | None) -> Detector:
        return Detector(recipe, FakeEngine(recipe.size_hw))

    monkeypatch.setattr(Detector, "open", fake)
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"a detector")
    return path


def test_the_figures_are_printed(detector_file: Path, test_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy.main([str(detector_file), str(test_set)])
    printed = {line[:20].strip(): line[20:].strip() for line in capsys.readouterr().out.splitlines()}
    assert printed["images"] == "2 good, 2 defective"
    assert printed["image AUROC"] == "0.7500"
    assert printed["scratch (1)"] == "0.5000"
    assert printed["pixel AUROC"] == "0.9979"
    assert printed["AU-PRO to 30 % FPR"] == "0.9911"
    assert printed["AU-PRO to 5 % FPR"] == "0.9465"
    assert printed["false rejects"] == "1 of 2, 50 % (95 % interval 1.26 % to 98.7 %), budget 1 %"
    assert printed["detected"] == "1 of 2, 50 % (95 % interval 1.26 % to 98.7 %)"
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
    assert printed["image AUROC"] == "1.0000"
    for figure in ("pixel AUROC", "AU-PRO to 30 % FPR", "AU-PRO to 5 % FPR"):
        assert printed[figure] == "not measured: defective images without a mask"
    figures = json.loads(file.read_text())["accuracy"]
    assert (figures["pixel_auroc"], figures["au_pro_30"], figures["au_pro_5"]) == (None, None, None)
    assert any("bad" in path.name for path in pictures.iterdir())


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


def test_overlays_are_written_on_request(detector_file: Path, test_set: Path, tmp_path: Path) -> None:
    accuracy.main([str(detector_file), str(test_set), "--overlays", str(tmp_path / "pictures"), "--count", "2"])
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2


def test_a_senseless_number_of_overlays_is_refused_before_any_work(test_set: Path) -> None:
    with pytest.raises(InputError, match="--count is 0; expected the number of pictures"):
        accuracy.main(["nothing.onnx", str(test_set), "--count", "0"])
