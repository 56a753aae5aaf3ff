"""A training on the page takes over what is the line's own, and is never stuck with the run of another set."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from runtime_samples import make_recipe, write_detector
from web_samples import browsing, server_alone, users_file

from runtime.alignment import Alignment, encoded_reference
from runtime.demo import DemoLine
from runtime.detector_file import read_detector
from runtime.errors import InputError
from runtime.images import read_image
from runtime.interest import NamedRegion, RegionsOfInterest
from runtime.recipe import Recipe, Tiling
from runtime.scoring import Scoring
from runtime.threshold import least_provable
from runtime.web import workshop as workshops
from runtime.web.board import Hello
from runtime.web.part_sets import GOOD, PartSet, begin
from runtime.web.serving import Serving
from runtime.web.totals import ONLY
from runtime.web.training import line_settings, prepare_training

PARTS = 12
REGIONS = RegionsOfInterest((64, 64), (NamedRegion("weld", polygons=(((4.0, 4.0), (60.0, 4.0), (60.0, 56.5)),)),))
REFERENCE = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)


def of_the_line() -> Recipe:
    """A recipe in which everything is set that is the line's."""
    recipe = make_recipe()
    alignment = Alignment("near", encoded_reference(REFERENCE), 0.1, 12.0, 0.5, 0.7, (1, 2, 3))
    scoring = Scoring(region_of_interest=REGIONS, mm_per_pixel=0.05, smallest_area=0.25)
    threshold = replace(recipe.threshold, budget=0.002)
    return replace(recipe, size_hw=(64, 64), scoring=scoring, alignment=alignment, threshold=threshold, explain=True)


@pytest.fixture
def current(tmp_path: Path) -> PartSet:
    """A set of pictures of parts."""
    found, line = begin(tmp_path / "parts", ONLY, PARTS, "otto"), DemoLine(3, (64, 64), defect_rate=0)
    for number in range(PARTS):
        assert cv2.imwrite(str(found.folder / GOOD / f"{number + 1:06d}.png"), line.good(number).image)
    return found


def trained_config(current: PartSet, words: tuple[str, ...]) -> tuple[Any, Path]:
    """The options and the run folder of ``python -m train`` with these words."""
    pytest.importorskip("torch", reason="a preset is chosen by what PyTorch finds")
    from train.config import add_options, given_options
    from train.options import MemoryBankConfig
    from train.preset import configuration

    parser = argparse.ArgumentParser()
    for name in ("--run", "--budget", "--out"):
        parser.add_argument(name)
    parser.add_argument("--explain", action="store_true")
    add_options(parser, MemoryBankConfig)
    arguments = parser.parse_args(["--data", str(current.folder / GOOD), "--device", "cpu", *words])
    return configuration("fast", "memory-bank", given_options(MemoryBankConfig, arguments)), Path(arguments.run)


def test_what_is_the_lines_own_is_taken_over(current: PartSet) -> None:
    settings = line_settings(of_the_line())
    words = prepare_training(current, settings)
    assert words[-3:] == ("--budget", "0.002", "--explain")
    assert settings.kept == (
        "regions of interest: weld",
        "0.05 mm per pixel",
        "regions of less than 0.25 mm² reject no part",
        "parts are found first (near), and inspected as they lie in the reference in force",
        "a false-reject budget of 0.2 %",
        "raw evidence as an output",
    )
    config, _ = trained_config(current, words)
    expected = of_the_line().scoring
    assert config.scoring == replace(expected, smoothing=4.0, by_position=True)
    assert (config.alignment.align, config.alignment.align_shift) == ("near", None)
    assert np.array_equal(read_image(Path(config.alignment.align_reference))[:, :, 0], REFERENCE)


def test_a_rectangle_takes_the_size_of_the_frame_with_it(current: PartSet) -> None:
    recipe = replace(make_recipe(), size_hw=(48, 64), scoring=Scoring(region_of_interest=(2, 3, 40, 50)))
    settings = line_settings(recipe)
    assert "the rectangle that is inspected, and with it frames of 64×48 pixels" in settings.kept
    config, _ = trained_config(current, prepare_training(current, settings))
    assert (config.size_hw, config.scoring.region_of_interest) == ((48, 64), (2, 3, 40, 50))


def test_what_is_not_taken_over_is_said() -> None:
    recipe = of_the_line()
    memory = replace(recipe.method, name="memory-bank")
    by_hand = replace(recipe.threshold, method="manual", supported=False, budget=0.0)
    all_told = replace(recipe, method=memory, threshold=by_hand, precision="fp16", tiles=Tiling(2, 2, (40, 40)))
    assert line_settings(all_told).lost == (
        "method and size: in force is memory-bank on frames of 64×64 pixels; the new one has the usual ones",
        "how the score is taken from the map: in the usual way",
        "how far parts may be shifted and turned: learnt anew from these pictures",
        "the threshold that was set by hand: a new one is fitted",
        "the precision fp16: the new one is in fp32",
        "tiles: frames are computed at once, which takes more memory",
    )
    assert line_settings(all_told).words == ("--explain",)
    usual = Scoring(smoothing=4.0, by_position=True)
    careful = replace(recipe.threshold, confidence=0.99, supported_budget=least_provable(80, 0.99))
    sure = replace(make_recipe(), method=memory, scoring=usual, threshold=careful)
    assert [each for each in line_settings(sure).lost if not each.startswith("method")] == [
        "a confidence of 99 %: it is 95 %"
    ]


def test_a_training_goes_on_with_its_set_and_begins_anew_with_another_one(current: PartSet) -> None:
    pytest.importorskip("torch", reason="a memory bank is filled")
    from train.memory_bank import BANK, train_memory_bank

    def train(mm_per_pixel: float) -> Path:
        recipe = replace(make_recipe(), scoring=Scoring(mm_per_pixel=mm_per_pixel))
        config, run = trained_config(current, prepare_training(current, line_settings(recipe)))
        train_memory_bank(replace(config, size_hw=(32, 32), coreset=40), run)
        return run / BANK

    bank = train(0.5)
    begun = bank.stat().st_mtime_ns
    assert train(0.5).stat().st_mtime_ns == begun
    current.say("000004.png", False)
    assert train(0.5).stat().st_mtime_ns > begun  # it would be refused: a picture was removed since training
    begun = bank.stat().st_mtime_ns
    current.say("000004.png", True)
    assert train(0.5).stat().st_mtime_ns > begun  # and here: a picture was added
    begun = bank.stat().st_mtime_ns
    assert train(0.25).stat().st_mtime_ns > begun  # and here: another option
    assert len(current.names()) == PARTS


def test_a_run_that_cannot_be_removed_is_said(current: PartSet, monkeypatch: pytest.MonkeyPatch) -> None:
    (current.folder / "run").mkdir()

    def full(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("runtime.web.training.shutil.rmtree", full)
    with pytest.raises(InputError, match=r"run cannot be removed \(Permission denied\)"):
        prepare_training(current, line_settings(make_recipe()))


def test_the_page_says_before_a_training_what_it_takes_over_and_begins_it_so(
    current: PartSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="the detector of this test is built with the onnx package")
    monkeypatch.setattr(workshops, "_has", lambda extra: True)
    current.confirm("otto")
    path = write_detector(tmp_path / "detector.onnx")
    serving = Serving("127.0.0.1", 0, users=str(users_file(tmp_path)), parts=str(tmp_path / "parts"))
    with server_alone(serving) as alone, browsing(alone.base, "erna") as browser:
        assert browser.get("/api/good-parts").json()["training"] is None  # no file is in force
        camera = {"detector": str(path), "recipe": read_detector(path)[1].sha256}
        alone.desk.board.hello = Hello({ONLY: alone.desk.board.hello.cameras[ONLY] | camera}, None, 1)
        told = browser.get("/api/good-parts").json()["training"]
        assert told["kept"] == ["a false-reject budget of 0.1 %"]
        assert "how the score" not in " ".join(told["lost"])
        assert told["lost"][0].startswith("method and size: in force is ")
        workshop = alone.desk.workshop
        assert workshop is not None
        (step,) = workshop._making("train", "erna", current, workshop._running(current))
        assert step.words == (
            "--data", str(current.folder / GOOD), "--out", str(current.made), "--run", str(current.folder / "run"),
            "--config", str(current.folder / "training.yaml"), "--budget", "0.001",
        )  # fmt: skip
        assert yaml.safe_load((current.folder / "training.yaml").read_text()) == {}
