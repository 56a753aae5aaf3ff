"""Tiles: the same maps, scores and evidence of the whole frame as without them, up to rounding, to the last border."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from runs import opened, run_of

from benchmarks.throughput.arithmetic import count
from benchmarks.throughput.untrained import untrained_backbone_students, untrained_memory_bank
from calibration.calibrate import calibrate
from calibration.calibrated import CalibratedRun
from calibration.image_evidence import fit_image_evidence
from calibration.maps import Moments, Positions
from calibration.methods import open_run
from export.detector import ExportOptions, export
from export.fused import FusedDetector
from export.graph import export_graph
from export.int8_detector import find_split, quantize
from export.tiles import Tiles, cut_axis, parsed, reach
from runtime.detector_file import read_detector
from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine
from runtime.errors import InputError
from runtime.info import describe
from runtime.interest import NamedRegion, RegionsOfInterest
from runtime.recipe import Tiling, recipe_from_json
from runtime.scoring import Scoring
from train.ensemble import Scale
from train.options import BackboneStudentsConfig, MemoryBankConfig, StudentsConfig
from train.student_training import train_students

ScaleMaker = Callable[..., Scale]
SIZE_HW = (70, 93)
TOLERANCE = 1e-4  # of the map's deviation: the engine adds in another order
REGIONS = RegionsOfInterest((140, 186), (NamedRegion("left", (((5, 5), (120, 20), (60, 135)),)),))


@pytest.mark.parametrize("before", [0, 7, 40])
@pytest.mark.parametrize("step", [1, 4, 16])
def test_cores_are_the_frame_and_tiles_hold_what_is_seen_from_them(step: int, before: int) -> None:
    behind = before + 3
    for length in (193, 256, 411):
        for number in (1, 2, 3, 5):
            try:
                axis = cut_axis(length, number, step, before, behind)
            except InputError:
                assert number > 1
                assert length // number + before + behind + 2 * step > length / 2
                continue
            assert (axis.borders[0], axis.borders[-1], len(axis.starts)) == (0, length, number)
            assert axis.starts[-1] + axis.tile == length
            assert axis.tile % step == length % step
            for start, first, last in zip(axis.starts, axis.borders, axis.borders[1:], strict=False):
                assert start % step == first % step == 0
                assert first < last
                assert start == 0 or start <= first - before
                assert start + axis.tile == length or start + axis.tile >= last + behind


def test_stitched_cores_are_the_map() -> None:
    tiles = Tiles(cut_axis(70, 3, 4, 5, 6), cut_axis(93, 2, 4, 8, 8))
    pixels = torch.rand(2, 3, *SIZE_HW)
    assert torch.equal(tiles.stitched(tiles.cut(pixels), 1), pixels)
    every = [tile[:, :, ::4, ::4] for tile in tiles.cut(pixels)]
    assert torch.equal(tiles.stitched(every, 4), pixels[:, :, ::4, ::4])


def outputs(
    run: CalibratedRun, tiles: tuple[int, int], frames: NDArray[np.uint8], **form: Any
) -> dict[str, torch.Tensor]:
    fused = FusedDetector(run, tiles=tiles, explain=True, **form).eval()
    assert (fused.tiles is None) == (tiles == (1, 1))
    with torch.no_grad():
        return dict(zip(fused.output_names, fused(torch.from_numpy(frames)), strict=True))


def assert_same(run: CalibratedRun, tiles: tuple[int, int], **form: Any) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, *run.trained.size_hw, 3), np.uint8)
    whole, tiled = outputs(run, (1, 1), frames, **form), outputs(run, tiles, frames, **form)
    assert whole.keys() == tiled.keys()
    for name, expected in whole.items():
        found = tiled[name]
        assert found.shape == expected.shape
        if name == "evidence_scores":  # the second is far from good frames, and a sum of many features
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
            continue
        scale = float(whole["anomaly_map"].std()) if name == "anomaly_score" else float(expected.std())
        assert float((found - expected).abs().max()) < TOLERANCE * max(scale, 1.0), name


def students(make_scale: ScaleMaker, stride: int, scoring: Scoring | None = None) -> CalibratedRun:
    """Narrow ones; with image evidence where scores are by position."""
    scales, moments, scoring = (
        [make_scale(33, 2, width=0.25)],
        [Moments(1.0, 0.5), Moments(0.2, 0.1)],
        scoring or Scoring(),
    )
    if not scoring.by_position:
        return run_of(scales, moments, SIZE_HW, stride, scoring)
    positions = Positions(torch.randn(SIZE_HW), 0.5 + torch.rand(SIZE_HW))
    known = np.random.default_rng(0).integers(0, 256, (6, *SIZE_HW, 3), np.uint8)
    features = run_of(scales, moments, SIZE_HW, stride, scoring, positions).trained.pooled_features(known)  # type: ignore[attr-defined]
    return run_of(scales, moments, SIZE_HW, stride, scoring, positions, image=fit_image_evidence(features, slice(3)))


@pytest.mark.parametrize(("form", "stride", "tiles"), [("bailer", 4, (1, 2)), ("atrous", 8, (2, 2))])
def test_students_say_the_same_in_tiles(make_scale: ScaleMaker, form: str, stride: int, tiles: tuple[int, int]) -> None:
    assert_same(students(make_scale, stride), tiles, form=form)


def test_regions_positions_and_the_frame_as_a_whole_are_the_same_in_tiles(make_scale: ScaleMaker) -> None:
    for regions in (None, REGIONS):
        assert_same(students(make_scale, 8, Scoring(regions, 1.5, True, 5)), (2, 2))


@pytest.mark.parametrize("method", ["memory-bank", "backbone-students"])
def test_backbones_say_the_same_in_tiles(method: str) -> None:
    options: dict[str, Any] = {"backbone": "efficientnet-lite0", "size_hw": (60, 813)}
    torch.manual_seed(0)
    if method == "memory-bank":
        made = untrained_memory_bank(MemoryBankConfig(coreset=64, **options))
    else:
        made = untrained_backbone_students(BackboneStudentsConfig(width=16, blocks=1, **options))
    assert_same(made.run, (1, 2))
    with pytest.raises(InputError, match="2 tiles along 60 pixels would each be the whole frame"):
        FusedDetector(made.run, tiles=(2, 2))


def test_an_overlap_that_is_too_small_is_seen(make_scale: ScaleMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or these tests would pass whatever the reach is."""
    monkeypatch.setattr("export.tiles.reach", lambda *given: (4, 4))
    with pytest.raises(AssertionError, match="anomaly_map"):
        assert_same(students(make_scale, 8), (2, 2))


def test_the_reach_of_a_patch_network_is_half_its_receptive_field(make_scale: ScaleMaker) -> None:
    run = students(make_scale, 8)
    assert reach(FusedDetector(run).evidence, 8, 0) == (16, 16)


@pytest.mark.parametrize("text", ["2", "0x2", "2x65", "axb", "-1x2", "2x3x4", ""])
def test_what_is_no_number_of_tiles_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected rows and columns of 1 to 64, as in 2x3"):
        parsed(text)
    assert parsed("2x3") == (2, 3)


def test_more_tiles_than_steps_are_refused() -> None:
    with pytest.raises(InputError, match="5 tiles along 64 pixels are less than 16 pixels each"):
        cut_axis(64, 5, 16, 0, 0)


def test_the_cost_is_counted_with_the_overlap(make_scale: ScaleMaker) -> None:
    run = run_of([make_scale(33, 1, width=0.25)], [Moments(1.0, 0.5)], SIZE_HW, 8)
    whole, tiled = (
        count(export_graph(FusedDetector(run, tiles=tiles), SIZE_HW), (1, *SIZE_HW, 3)).multiply_adds
        for tiles in ((1, 1), (1, 2))
    )
    tiling = FusedDetector(run, tiles=(1, 2)).tiles
    assert tiling is not None
    # the halo that is reflected around each tile is the same for all
    assert tiled / whole == pytest.approx(tiling.tiling.share(SIZE_HW), rel=0.1)
    assert tiled > 1.1 * whole


@pytest.fixture(scope="module")
def tiled_run(part_images: Path, teacher_files: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of p = 33 on 64×61 pixels, with regions and image evidence."""
    config = StudentsConfig(
        data=str(part_images), teachers=(str(teacher_files[33]),), students=1, width=0.25, size_hw=(64, 61),
        output_stride=8, image_evidence=True, train_stride=8, steps=2, holdout=0.375, device="cpu", precision="fp32",
        scoring=Scoring(RegionsOfInterest((64, 64), (NamedRegion("disc", (((2, 2), (62, 2), (30, 60)),)),)), 1.0, True),
    )  # fmt: skip
    run = tmp_path_factory.mktemp("tiled") / "run"
    assert train_students(config, run)
    calibrate(open_run(run), budget=0.2)
    return run


def test_a_tiled_detector_passes_the_gate_says_its_tiles_and_is_not_quantized(tiled_run: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "detector.onnx", tmp_path / "plain.onnx"
    run = opened(tiled_run)
    done = export(run, out, ExportOptions(tiles=(2, 1)))
    model, recipe = read_detector(out)
    assert recipe.tiles == Tiling(2, 1, recipe.tiles.tile_hw if recipe.tiles else (0, 0)) == done.recipe.tiles
    facts = "\n".join(describe(recipe))
    assert "2×1 (rows × columns) of 61×" in facts
    assert "% of pixels to compute, and changes no result" in facts
    assert recipe_from_json(recipe.to_json()) == recipe
    whole = export(run, plain)
    assert "tiles" not in json.loads(whole.recipe.to_json())
    assert recipe.threshold.value == pytest.approx(whole.recipe.threshold.value, rel=1e-3)
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 61, 3), np.uint8)
    engines = [OnnxRuntimeEngine(each, of) for each, of in ((model, recipe), (whole.graph, whole.recipe))]
    maps = [engine.result(engine.submit(frames)).scored_map for engine in engines]  # a batch of three
    np.testing.assert_allclose(*maps, atol=1e-3 * float(maps[0].std()))
    for engine in engines:
        engine.close()
    with pytest.raises(
        InputError, match=r"computes frames in tiles, which INT8 is not for; quantize an export without"
    ):
        quantize(out, find_split(out, None, tiled_run), tmp_path / "int8.onnx")
    with pytest.raises(InputError, match="9 tiles along 64 pixels are less than 8 pixels each"):
        export(run, tmp_path / "other.onnx", replace(ExportOptions(), tiles=(9, 9)))
    assert not (tmp_path / "other.onnx").exists()
