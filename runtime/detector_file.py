"""Detector files: the graph's bytes and the recipe in them, checked against each other; below every engine."""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.atomic import write_atomically
from runtime.errors import DetectorError
from runtime.onnx_file import COPY_AGAIN, check_whole, graph_sha256, read_metadata, with_metadata
from runtime.recipe import Recipe, recipe_from_metadata


def read_detector(path: Path) -> tuple[bytes, Recipe]:
    """A detector file's bytes and its recipe, checked against each other. Raises `DetectorError`."""
    if path.suffix == ".plan":
        raise DetectorError(f"{path} is a TensorRT plan; give the detector.onnx that it was built from")
    try:
        model = path.read_bytes()
    except OSError as error:
        raise DetectorError(f"{path} cannot be read ({error.strerror}); check the path") from error
    if not model:
        raise DetectorError(f"{path} is empty; {COPY_AGAIN}")
    try:
        recipe = recipe_from_metadata(read_metadata(model))
        if graph_sha256(model) != recipe.graph_sha256:
            raise DetectorError(f"its graph is not the one its recipe describes; {COPY_AGAIN}")
        check_whole(model)
    except DetectorError as error:
        raise DetectorError(f"{path}: {error}") from error
    return model, recipe


def write_recipe(path: Path, model: bytes, recipe: Recipe) -> None:
    """Write the detector file `model` to `path` with another recipe."""
    write_atomically(path, with_metadata(model, read_metadata(model) | recipe.metadata))


def read_parity_frames(onnx: Path, recipe: Recipe) -> NDArray[np.uint8]:
    """The prepared frames uint8 [n, H, W, 3] that a detector was checked on, from beside it. Raises `DetectorError`."""
    path = _parity_path(onnx)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DetectorError(
            f"{path} cannot be read ({error.strerror}); a plan is checked on its frames: copy it here with {onnx.name}"
        ) from error
    if hashlib.sha256(data).hexdigest() != recipe.parity_sha256:
        raise DetectorError(f"{path} is not the file that {onnx.name} was exported with; copy both from one place")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return np.asarray(arrays["frames"], np.uint8)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise DetectorError(f"{path} holds no frames; export the detector again") from error


def frames_to_compare(onnx: Path, recipe: Recipe, most: int) -> NDArray[np.uint8]:
    """Prepared frames uint8 [n, H, W, 3], `most` of them: the parity frames where they lie beside the detector, seeded
    noise where not. Raises `DetectorError` for a file of parity frames that is not the detector's.
    """
    if _parity_path(onnx).is_file():
        return read_parity_frames(onnx, recipe)[:most]
    return np.random.default_rng(0).integers(0, 256, (most, *recipe.size_hw, 3), np.uint8)


def _parity_path(onnx: Path) -> Path:
    return onnx.with_suffix(".parity.npz")
