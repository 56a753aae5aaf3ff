"""``--form auto``: measured where there is a choice, remembered, and never at the price of another result."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import opened

from calibration.calibrate import calibrate
from calibration.methods import open_run
from export import forms
from export.detector import ExportOptions, export
from export.forms import MEMORY, Exported, shapes_sha256
from export.fused import FusedDetector
from export.graph import export_graph
from export.parity import Parity
from runtime.choice.memory import read_choice
from runtime.default_detector import DEMO_DETECTOR
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.parity import Agreement
from runtime.scoring import Scoring
from train.dense import FORMS, OUTPUT_STRIDES, dense_descriptors, forms_differ
from train.networks import PATCH_SIZES, PatchNetwork

AUTO = ExportOptions(form="auto")


@pytest.fixture(scope="module")
def denser_run(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with one student and output stride 2, at which p = 33 has a pool taken at all shifts."""
    copy = Path(shutil.copytree(calibrated_run, tmp_path_factory.mktemp("denser") / "run"))
    config = (copy / "config.yaml").read_text()
    for usual, other in (("output_stride: 8", "output_stride: 2"), ("students: 2", "students: 1")):
        assert usual in config
        config = config.replace(usual, other)
    (copy / "config.yaml").write_text(config)
    calibrate(open_run(copy), 0.2)
    return copy


@pytest.fixture
def run(denser_run: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(denser_run, tmp_path / "run"))


@pytest.mark.parametrize("patch_size", PATCH_SIZES)
def test_forms_that_do_not_differ_are_equal_bit_for_bit(patch_size: int) -> None:
    torch.manual_seed(patch_size)
    network = PatchNetwork(patch_size).eval().requires_grad_(False)
    strides = [stride for stride in OUTPUT_STRIDES if not forms_differ(network.layers, stride)]
    assert strides == {17: [1, 2, 4, 8], 33: [4, 8], 65: [8]}[patch_size]
    image = torch.rand(1, 3, 37, 46)
    for stride in strides[-2:]:
        bailer, atrous = (dense_descriptors(network, image, stride, form) for form in FORMS)
        assert torch.equal(bailer, atrous)


def test_where_the_forms_are_one_computation_nothing_is_measured(
    calibrated_run: Path,
    detector_file: Path,
    graph_of_file: Callable[[Path], AbstractContextManager[None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forms, "_seconds", lambda *given: pytest.fail("measured"))
    with graph_of_file(detector_file):
        parity = export(opened(calibrated_run), tmp_path / "detector.onnx", replace(AUTO, explain=True)).parity
    assert parity.describe().endswith("\nform: bailer; at output stride 8 both are the same computation")
    assert not (calibrated_run / MEMORY).exists()


def test_both_forms_pass_the_gate_are_timed_and_the_choice_is_remembered(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs: list[bytes] = []  # of both forms, of which the second export would trace one again

    def kept(*given: Any) -> bytes:
        graphs.append(export_graph(*given))
        return graphs[-1]

    monkeypatch.setattr("export.detector.export_graph", kept)
    parity = export(opened(run), tmp_path / "detector.onnx", AUTO).parity
    choice = read_choice(run / MEMORY)
    assert choice is not None
    assert parity.form == choice.words()
    assert list(choice.ratios) == list(FORMS)
    assert read_detector(tmp_path / "detector.onnx")[1].method.settings["form"] == choice.chosen
    monkeypatch.setattr(forms, "_seconds", lambda *given: pytest.fail("measured again"))
    other = next(form for form in FORMS if form != choice.chosen)
    memory = (run / MEMORY).read_text().replace(f'"chosen": "{choice.chosen}"', f'"chosen": "{other}"')
    (run / MEMORY).write_text(memory)
    assert len(graphs) == len(FORMS)
    monkeypatch.setattr("export.detector.export_graph", lambda *given: graphs[FORMS.index(other)])
    export(opened(run), tmp_path / "again.onnx", AUTO)
    assert read_detector(tmp_path / "again.onnx")[1].method.settings["form"] == other
    with Detector.open(tmp_path / "detector.onnx", threads=1) as one, Detector.open(tmp_path / "again.onnx") as two:
        frames = np.load(tmp_path / "detector.parity.npz")["frames"]
        maps = [d.engine.result(d.engine.submit(frames[:1])).anomaly_map for d in (one, two)]
        np.testing.assert_allclose(*maps, atol=1e-3 * float(maps[0].std()))


@pytest.mark.parametrize(
    ("seconds", "taken"), [((1.0, 0.5), "atrous"), ((1.0, 0.97), "bailer"), ((1.0, 3.0), "bailer")]
)
def test_the_clearly_faster_form_is_kept(
    seconds: tuple[float, float], taken: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "_seconds", lambda *given: np.array([seconds]))
    gate = Parity(Agreement(1, 0.0, 0.0, 1e-3, 1, 0, 0), 1.0, half=False)
    recipe = read_detector(DEMO_DETECTOR)[1]

    def made(form: str) -> Exported:
        method = replace(recipe.method, settings={**recipe.method.settings, "form": form})
        return Exported(b"", replace(recipe, method=method), gate, np.zeros(1))

    frames = np.zeros((1, *recipe.size_hw, 3), np.uint8)
    opened_run = opened(run)
    done = forms.faster_form(opened_run.trained, "fp32, fp32", made, FusedDetector(opened_run), frames)
    assert done.recipe.method.settings["form"] == taken
    assert done.parity.form is not None
    assert f"takes {seconds[1]:.2f} of" in done.parity.form


def test_a_memory_holds_for_the_same_shapes_alone(run: Path, calibrated_run: Path) -> None:
    one, other = opened(run), opened(calibrated_run)
    shape = FusedDetector(one)
    hashes = {
        shapes_sha256(one.trained, shape, "fp32, fp32"),
        shapes_sha256(one.trained, shape, "fp16, fp32"),
        shapes_sha256(one.trained, FusedDetector(one, explain=True), "fp32, fp32"),
        shapes_sha256(other.trained, FusedDetector(other), "fp32, fp32"),
    }
    assert len(hashes) == 4
    assert shapes_sha256(opened(run).trained, FusedDetector(opened(run)), "fp32, fp32") in hashes
    trained: Any = one.trained
    smoother = replace(trained, config=replace(trained.config, scoring=Scoring(smoothing=2.0)))
    assert shapes_sha256(smoother, shape, "fp32, fp32") not in hashes
    scoring = replace(trained.scoring, smallest_area=25.0)
    of_the_decision = replace(trained, config=replace(trained.config, scoring=scoring))
    assert shapes_sha256(of_the_decision, shape, "fp32, fp32") == shapes_sha256(one.trained, shape, "fp32, fp32")
