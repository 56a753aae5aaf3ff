"""Fixtures of the runtime's tests."""

from pathlib import Path

import pytest
from runtime_samples import write_detector


@pytest.fixture
def detector_file(tmp_path: Path) -> Path:
    """A real detector.onnx of 24×16 pixels; its map is how far the blue channel is from 128, over 128."""
    pytest.importorskip("onnx", reason="the detector of these tests is built with the onnx package")
    return write_detector(tmp_path / "detector.onnx")
