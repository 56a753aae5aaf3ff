"""Named regions in the exported graph: against the plain formulas and NumPy, and what lies outside never rejects."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from runs import opened, run_of

from calibration.calibrate import calibrate, fit_moments
from calibration.calibrated import CalibratedRun
from calibration.image_evidence import fit_image_evidence
from calibration.maps import Moments, Positions
from calibration.methods import open_run
from calibration.methods.memory_bank import MemoryBankRun
from export.detector import export
from export.fused import FusedDetector
from export.graph import export_graph
from runtime.detector import Detector
from runtime.interest import NamedRegion, RegionsOfInterest, as_runs, inspected
from runtime.scoring import Scoring
from runtime.verdict import Decision
from train.data import PreparedImages
from train.ensemble import Scale
from train.memory_bank import train_memory_bank
from train.options import MemoryBankConfig
from train.regions import looked_at

ScaleMaker = Callable[..., Scale]
SIZE_HW, PICTURE_HW = (48, 56), (96, 112)
TRIANGLE = NamedRegion("triangle", (((4, 4), (50, 10), (8, 60)),))
RIM = np.zeros(PICTURE_HW, bool)
RIM[30:60, 70:100] = True
RIM[40:50, 80:90] = False
REGIONS = RegionsOfInterest(PICTURE_HW, (TRIANGLE, NamedRegion("rim", runs=as_runs(RIM))))


def mask_of(regions: RegionsOfInterest = REGIONS, size_hw: tuple[int, int] = SIZE_HW) -> NDArray[np.bool_]:
    found = inspected(regions, size_hw)
    assert found is not None
    return found.mask


def frames_of(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE_HW, 3), np.uint8)


def outputs_of(run: CalibratedRun, frames: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    fused = FusedDetector(run)
    session = onnxruntime.InferenceSession(export_graph(fused, run.trained.size_hw))
    return dict(zip(fused.output_names, session.run(fused.output_names, {"frames": frames}), strict=True))


@pytest.mark.parametrize(("score_pixels", "by_position"), [(1, False), (30, True)])
def test_the_graphs_score_is_the_plain_formulas(make_scale: ScaleMaker, score_pixels: int, by_position: bool) -> None:
    scoring = Scoring(REGIONS, 1.0, by_position, score_pixels)
    positions = Positions(torch.randn(SIZE_HW), 0.5 + torch.rand(SIZE_HW)) if by_position else None
    run = run_of([make_scale(33, 1)], [Moments(1.0, 0.5)], SIZE_HW, 4, scoring, positions)
    frames = frames_of(3)
    found = outputs_of(run, frames)
    scored = found["deviation_map" if by_position else "anomaly_map"].reshape(3, -1)
    inside = np.sort(scored[:, mask_of().ravel()], axis=1)
    np.testing.assert_allclose(found["anomaly_score"], inside[:, -score_pixels:].mean(axis=1), rtol=1e-5)
    _, plain = run.maps_and_scores(frames)
    np.testing.assert_allclose(found["anomaly_score"], plain[:, 0], atol=1e-4 * float(scored.std()))
    assert (found["anomaly_score"] < scored.max(axis=1)).any(), "or the regions would show nothing"


def test_the_masks_are_constants_of_the_graph(make_scale: ScaleMaker) -> None:
    run = run_of([make_scale(17, 1)], [Moments(1.0, 0.5)], SIZE_HW, 8, Scoring(REGIONS))
    graph = onnx.load_model_from_string(export_graph(FusedDetector(run), SIZE_HW)).graph
    masks = [onnx.numpy_helper.to_array(each) for each in graph.initializer if each.data_type == onnx.TensorProto.BOOL]
    rows, columns = np.nonzero(mask_of())
    box = mask_of()[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert len(masks) == 2
    for found, expected in zip(sorted(masks, key=np.size), (box, mask_of()), strict=True):
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("image_evidence", [False, True])
def test_what_lies_outside_changes_no_score_however_near(make_scale: ScaleMaker, image_evidence: bool) -> None:
    scoring, statistics, image = Scoring(REGIONS, 1.0), None, None
    scales, moments = [make_scale(33, 1)], [Moments(1.0, 0.5)]
    if image_evidence:
        scoring, statistics = replace(scoring, by_position=True), Positions(torch.zeros(SIZE_HW), torch.ones(SIZE_HW))
        known = run_of(scales, moments, SIZE_HW, 4, scoring, statistics).trained.pooled_features(frames_of(6))
        image = fit_image_evidence(known, slice(3))
    run = run_of(scales, moments, SIZE_HW, 4, scoring, statistics, image=image)
    frames = np.repeat(frames_of(1), 3, axis=0)
    frames[1, ~mask_of()] = frames_of(1, 7)[0, ~mask_of()]
    inside = tuple(np.argwhere(mask_of())[0])
    frames[2][inside] = 255 - frames[2][inside]
    names = ("anomaly_map", *(("evidence_scores",) if image_evidence else ("anomaly_score",)))
    found = outputs_of(run, frames)
    for name in names:
        np.testing.assert_array_equal(found[name][0], found[name][1])
    assert (found["anomaly_map"][0] != found["anomaly_map"][2]).any()
    _, plain = run.maps_and_scores(frames)
    torch.testing.assert_close(plain[0], plain[1], rtol=0, atol=0)
    np.testing.assert_allclose(plain.numpy(), found[names[-1]].reshape(plain.shape), rtol=1e-3, atol=1e-3)
    if image_evidence:
        assert plain[0, 1] != plain[2, 1]


def test_equation_11_is_of_what_is_inspected(make_scale: ScaleMaker) -> None:
    run = run_of([make_scale(17, 1)], [Moments(1.0, 0.5)], SIZE_HW, 1, Scoring(REGIONS))
    evidence = [run.trained.evidence(frame[None]) for frame in frames_of(3)]
    values = np.concatenate([each.numpy()[0, 0][mask_of()] for each in evidence]).astype(np.float64)
    (moments,) = fit_moments(run.trained, evidence)
    assert (moments.mean, moments.deviation) == pytest.approx((values.mean(), values.std()))


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 good pictures of 112×96 pixels: a grey part, and a belt of noise in the lower third."""
    folder, random = tmp_path_factory.mktemp("camera"), np.random.default_rng(0)
    for index in range(12):
        assert cv2.imwrite(str(folder / f"{index:02}.png"), picture(random))
    return folder


def picture(random: np.random.Generator) -> NDArray[np.uint8]:
    image = np.full((*PICTURE_HW, 3), 120, np.uint8) + random.integers(0, 6, (*PICTURE_HW, 3), np.uint8)
    image[64:] = random.integers(0, 256, (32, 112, 3), np.uint8)
    return image


PART = RegionsOfInterest(
    PICTURE_HW,
    (
        NamedRegion("left half", (((0, 0), (56, 0), (56, 24), (0, 24)),)),
        NamedRegion("right half", (((56, 0), (112, 0), (112, 24), (56, 24)),)),
    ),
)


@pytest.fixture(scope="module")
def bank(camera: Path, shallow_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A memory bank that inspects the upper part alone."""
    config = MemoryBankConfig(
        data=str(camera), backbone=str(shallow_backbone), stages=("group3",), size_hw=(64, 80), coreset=60,
        projected=16, scoring=Scoring(PART, 1.0, True), device="cpu",
    )  # fmt: skip
    run = tmp_path_factory.mktemp("bank") / "run"
    train_memory_bank(config, run)
    calibrate(open_run(run), budget=0.2)
    return run


def test_the_bank_keeps_nothing_that_has_no_part_in_what_is_inspected(bank: Path) -> None:
    trained = opened(bank).trained
    assert isinstance(trained, MemoryBankRun)
    images = PreparedImages((*trained.split.statistics, *trained.split.training), trained.size_hw, None)
    cells = looked_at(trained.scoring, trained.size_hw, trained.stride)
    assert cells is not None
    assert 0.2 < cells.mean() < 0.8
    maps = torch.cat([trained._features(images[index][None])[0] for index in range(len(images))])
    vectors = maps.permute(0, 2, 3, 1).flatten(1, 2)
    inside = vectors[:, torch.from_numpy(cells.ravel())].flatten(0, 1)
    nearest = torch.cdist(trained.memory.bank, inside).amin(dim=1)
    assert float(nearest.max()) < 1e-2 * float(vectors.std())


def test_the_frame_is_judged_as_a_whole_inside_the_regions_alone(bank: Path) -> None:
    run = opened(bank)
    frames = PreparedImages(run.trained.split.training[:2], run.trained.size_hw, None)
    batch = np.stack([frames[0], frames[1]])
    mask = mask_of(PART, run.trained.size_hw)
    batch[:, ~mask] = 128
    assert isinstance(run.trained, MemoryBankRun)
    features = run.trained.features
    pixels = torch.from_numpy(batch[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255
    maps = features.network.maps(features.normalized(pixels), tuple(stage.name for stage in features.pooled))
    expected = []
    for stage in features.pooled:
        step, values = stage.stride, maps[stage.name].double().numpy()
        cells = np.add.reduceat(
            np.add.reduceat(mask.astype(float), np.arange(0, 64, step), 0), np.arange(0, 80, step), 1
        )
        weights = cells / cells.sum()
        mean = (values * weights).sum(axis=(2, 3))
        variance = ((values - mean[:, :, None, None]) ** 2 * weights).sum(axis=(2, 3))
        expected += [mean, np.sqrt(variance + 1e-12)]
    found = run.trained.pooled_features(batch).numpy()
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-3, atol=1e-4)


def test_a_detector_of_regions_passes_the_gate_and_names_the_region_that_rejects(bank: Path, tmp_path: Path) -> None:
    out = tmp_path / "detector.onnx"
    export(opened(bank), out)  # through the gate, which compares map, score and evidence of the frame as a whole
    random = np.random.default_rng(5)
    good = picture(random)
    inside, outside = good.copy(), good.copy()
    inside[6:14, 76:84] = random.integers(0, 256, (8, 8, 3), np.uint8)  # as sharp as the part
    outside[24:] = 255  # up to the regions' border
    with Detector.open(out) as detector:
        assert detector.recipe.scoring.regions == PART
        verdicts = [detector.inspect(image) for image in (good, inside, outside)]
    decisions = [verdict.decision for verdict in verdicts]
    assert decisions == [Decision.OK, Decision.NG, Decision.OK], [verdict.reason for verdict in verdicts]
    assert verdicts[0].score == verdicts[2].score
    assert verdicts[1].rejected_in[0] == "right half"
    assert "right half" in verdicts[1].regions[0].within
