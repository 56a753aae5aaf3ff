"""Fixtures of the runtime's tests."""

import gc
from pathlib import Path

import pytest
from runtime_samples import write_detector


@pytest.fixture
def detector_file(tmp_path: Path) -> Path:
    """A real detector.onnx of 24×16 pixels; its map is how far the blue channel is from 128, over 128."""
    pytest.importorskip("onnx", reason="the detector of these tests is built with the onnx package")
    return write_detector(tmp_path / "detector.onnx")


@pytest.fixture(scope="module")
def others_left_alone() -> None:
    """What earlier tests of this process hold is nothing that a test of this module leaves behind, and each search of
    it for garbage takes half a second."""
    gc.collect()
    gc.freeze()
