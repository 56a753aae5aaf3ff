"""What a detector file itself makes of good images: its scores, what a recipe keeps of them, and the frames beside it.

Shared by export, INT8 and recalibration; no PyTorch.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.alignment import Alignment
from runtime.engines.base import Engine
from runtime.errors import ParityError
from train.data import PreparedImages, Split
from train.progress import Progress

PARITY_FRAMES = 16
MOVED = 3  # pixels; no multiple of a stride
HIGHEST_SHOWN = 3
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def progress(images: PreparedImages, name: str) -> Iterator[NDArray[np.uint8]]:
    """Prepared images as batches of one, [1, H, W, 3], with their progress."""
    for index in Progress(range(len(images)), name, len(images), unit="image"):
        yield images[index][None]


def scores_of_file(engine: Engine, images: PreparedImages, name: str = "exported scores") -> NDArray[np.float64]:
    """The file's own scores of held-out images. Raises `ParityError` for one that is not finite."""
    outputs = (engine.result(engine.submit(frame), timeout_s=600) for frame in progress(images, name))
    return finite(np.array([float(output.anomaly_score[0]) for output in outputs]))


def finite(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores. Raises `ParityError` for one that is not finite."""
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        raise ParityError(
            f"the exported file scores {bad} of {len(scores)} good images NaN or infinite; nothing was written. "
            "Use --precision fp32, or report it with the run folder"
        )
    return scores


def quantiles(scores: NDArray[np.float64]) -> dict[str, float]:
    """The good images' scores at a few probabilities, so that a line's scores can be compared with them later."""
    return {str(q): float(v) for q, v in zip(QUANTILES, np.quantile(scores, QUANTILES), strict=True)}


def describe_highest(images: Sequence[Path], scores: NDArray[np.float64]) -> str:
    """The images with the highest scores, for people who can tell whether these are good parts."""
    highest = scores.argsort()[::-1][:HIGHEST_SHOWN]
    shown = ", ".join(f"{scores[index]:.2f} {images[index]}" for index in highest)
    return f"highest scores of good images: {shown}. Look at them: one that is no good part belongs out of the folder"


def parity_frames(split: Split, size_hw: tuple[int, int], alignment: Alignment | None) -> NDArray[np.uint8]:
    """Up to 16 prepared good frames, [n, H, W, 3], that nothing was trained on.

    Where none were held out they are moved by a few pixels: of frames that a memory holds as they are, evidence is 0
    everywhere, which nothing can be compared with.
    """
    held_out = [*split.threshold, *split.statistics]
    images = PreparedImages(held_out[:PARITY_FRAMES], size_hw, alignment)
    frames = np.stack([images[index] for index in range(len(images))])
    return frames if split.threshold else np.roll(frames, (MOVED, MOVED), axis=(1, 2))


def frames_npz(frames: NDArray[np.uint8]) -> bytes:
    """The file of parity frames that lies beside a detector."""
    file = io.BytesIO()
    np.savez_compressed(file, frames=frames)
    return file.getvalue()


def frames_sha256(frames_file: bytes) -> str:
    """The hash of that file, as a recipe holds it."""
    return hashlib.sha256(frames_file).hexdigest()
