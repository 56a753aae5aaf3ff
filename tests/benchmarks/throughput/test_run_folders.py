"""A run folder in PyTorch and crop by crop: whatever is timed computes what the formulas say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.throughput import patches, torch_subjects
from benchmarks.throughput.arithmetic import Arithmetic, Layer
from calibration.calibrated import CalibratedRun, with_statistics
from calibration.methods import open_run
from calibration.methods.students import StudentsRun
from export.fused import FusedDetector
from runtime.errors import EngineError, InputError
from train.dense import dense_descriptors
from train.ensemble import pixels_from_frames

SOME = Arithmetic((Layer("conv", "Conv", 1, 1, "fp32"),))


@pytest.fixture(scope="module")
def run(calibrated_run: Path) -> CalibratedRun:
    return with_statistics(open_run(calibrated_run, "cpu"))


@pytest.fixture(scope="module")
def single(run: CalibratedRun) -> StudentsRun:
    """The same run with its first student alone: fewer graphs to export."""
    assert isinstance(run.trained, StudentsRun)
    scales = tuple(replace(scale, students=scale.students[:1]) for scale in run.trained.scales)
    return replace(run.trained, scales=scales, config=replace(run.trained.config, students=1))


@pytest.fixture(scope="module")
def frames(run: CalibratedRun) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, *run.trained.size_hw, 3), np.uint8)


def eager(run: CalibratedRun, device: str = "cpu", compiled: bool = False) -> torch_subjects.Subject:
    fused = FusedDetector(run).eval()
    return torch_subjects.subject_of_module(
        "row", fused, run.trained.size_hw, SOME, device=device, threads=1, compiled=compiled
    )


def test_an_eager_row_gives_the_maps_of_the_formulas(run: CalibratedRun, frames: NDArray[np.uint8]) -> None:
    maps, scores = (values.numpy() for values in run.maps_and_scores(frames))
    found = eager(run).infer(frames)
    assert isinstance(found, list)
    np.testing.assert_allclose(found[0], maps, atol=1e-3 * maps.std())
    np.testing.assert_allclose(found[1], scores.max(axis=1), atol=1e-3 * maps.std())


def test_crops_have_the_descriptors_of_the_dense_map(single: StudentsRun, frames: NDArray[np.uint8]) -> None:
    (scale,) = single.scales
    subject = patches.patches_subject("patches", single, threads=1, positions=5)
    (found,) = subject.infer(frames)  # type: ignore[misc]
    pixels = pixels_from_frames(torch.from_numpy(frames[:1]))
    for descriptors, network in zip(found, (scale.teacher.network, *scale.students), strict=True):
        dense = dense_descriptors(network, pixels, 8)[0].flatten(1).T.numpy()[[0, 4, 9, 14, 19]]
        np.testing.assert_allclose(descriptors, dense, atol=1e-4 * dense.std())
    assert subject.factor == 20 / 5
    assert (subject.max_batch, subject.note) == (1, "patches: measured at 5 of 20 positions and scaled linearly")
    crop = 28**2 * 128 * 75 + 10**2 * 256 * 128 * 25 + 4**2 * 256 * 256 * 4 + 128 * 256 * 16
    assert subject.arithmetic is not None
    assert subject.arithmetic.multiply_adds == 2 * 20 * crop


def test_more_positions_than_a_frame_has_are_refused(single: StudentsRun) -> None:
    with pytest.raises(InputError, match="--positions is 21; expected 1 to 20, all that a frame has"):
        patches.patches_subject("patches", single, threads=1, positions=21)


def test_a_machine_that_cannot_compile_is_told(run: CalibratedRun) -> None:
    from torch._inductor import config

    torch._dynamo.reset()
    patched = config.patch("cpp.cxx", ("no-such-compiler",))  # monkeypatch's undoing would lose the name
    with patched, pytest.raises(EngineError, match=r"torch.compile does not work here .*; it takes a C\+\+ compiler"):
        eager(run, compiled=True)


def test_a_gpu_that_is_not_there_is_refused(run: CalibratedRun) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(InputError, match="--device is cuda, but PyTorch finds no NVIDIA GPU"):
        eager(run, device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU and PyTorch with CUDA")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu_computes_the_maps_of_the_formulas(run: CalibratedRun, frames: NDArray[np.uint8], compiled: bool) -> None:
    maps, _ = run.maps_and_scores(frames)
    subject = eager(run, device="cuda", compiled=compiled)
    for batch in (frames[:1], frames, frames[:1]):  # CUDA graphs of two shapes, one of them replayed
        found = subject.infer(batch)
        assert isinstance(found, list)
        # convolutions run in TF32: ten bits of a mantissa
        np.testing.assert_allclose(found[0], maps.numpy()[: len(batch)], atol=0.05 * float(maps.std()))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU and PyTorch with CUDA")
def test_the_limits_of_a_gpu_are_measured() -> None:
    from benchmarks.throughput.limits import probes

    found = probes({("cuda", kind) for kind in ("fp16", "fp32", "tf32", "int8")}, threads=1)
    assert {probe.kind for probe in found} == {"fp16", "fp32", "tf32", "int8", "copy"}
    for probe in found:
        probe.call()
