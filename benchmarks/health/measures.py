"""Measures of sharpness compared: what each notices of a growing blur, and what noise and JPEG hide from it.

Each has its limits from the training images by the product's own rule (`runtime.sharpness.sharpness_limits`), on the
prepared frame and on the camera's picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.health.spoiled import Image, compressed, defocused, noisy
from runtime.preparation import scaled
from runtime.sharpness import SharpnessMeter, sharpness_limits

RADII = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # pixels of the prepared frame
CAUGHT = 0.9  # share of the images
NOISE, QUALITY = 3.0, 50
Measure = Callable[[Image], tuple[float, float]]  # both numbers are the same where it knows no direction


def _grey(image: Image) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)


def _laplacian(image: Image) -> float:
    return float(cv2.Laplacian(_grey(image), cv2.CV_32F).var())


def _tenengrad(image: Image) -> float:
    grey = _grey(image)
    return float(sum(np.square(cv2.Sobel(grey, cv2.CV_32F, *order)).mean() for order in ((1, 0), (0, 1))))


def _bands(image: Image) -> float:
    """Energy finer than a Gaussian of 0.7 pixels over that between Gaussians of 1.4 and 2.8."""
    grey = _grey(image)
    smooth = [cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (0.7, 1.4, 2.8)]
    return float(np.square(grey - smooth[0]).mean() / (np.square(smooth[1] - smooth[2]).mean() + 0.01))


def _twice(measure: Callable[[Image], float], relative: bool = False) -> Measure:
    def both(image: Image) -> tuple[float, float]:
        value = measure(image) / (float(_grey(image).var()) + 1 if relative else 1)
        return value, value

    return both


MEASURES: dict[str, Measure] = {
    "variance of the Laplacian": _twice(_laplacian),
    "the same over the grey levels' variance": _twice(_laplacian, relative=True),
    "Tenengrad": _twice(_tenengrad),
    "the same over the grey levels' variance (Tenengrad)": _twice(_tenengrad, relative=True),
    "fine band over middle band": _twice(_bands),
    "ours: coherent fine over coherent coarse": lambda image: SharpnessMeter(image.shape[:2]).measure(image),
}


@dataclass(frozen=True)
class Compared:
    """One measure on one set. Radii are the smallest from which on `CAUGHT` of the good images are refused, in pixels
    of the prepared frame; None where none of `RADII` is."""

    measure: str
    on: str  # prepared frame, or camera's picture
    good_alarmed: float  # share of good test images that are refused as they are
    compressed_alarmed: float  # the same, of these images through JPEG
    radius: float | None
    radius_noisy: float | None  # with noise after the blur
    radius_compressed: float | None  # with JPEG after the blur


def compare(training: Sequence[Image], good: Sequence[Image], size_hw: tuple[int, int]) -> list[Compared]:
    """All measures, fitted to good pictures [H, W, 3] and tried on others."""
    spoilings: dict[str, Callable[[Image], Image]] = {
        "": lambda image: image,
        "noisy": lambda image: noisy(image, NOISE, 0),
        "compressed": lambda image: compressed(image, QUALITY),
    }
    shown = {
        (kind, radius): [spoil(defocused(image, radius, size_hw)) for image in good]
        for kind, spoil in spoilings.items()
        for radius in (0.0, *RADII)
    }
    found = []
    for on in ("prepared frame", "camera's picture"):

        def seen(image: Image, whole: bool = on != "prepared frame") -> Image:
            return image if whole else scaled(image, size_hw)

        for name, measure in MEASURES.items():
            limits = sharpness_limits([measure(seen(image)) for image in training])

            def refused(
                kind: str, radius: float, measure: Measure = measure, limits: tuple[float, float] = limits
            ) -> float:
                return float(np.mean([np.any(np.less(measure(seen(each)), limits)) for each in shown[kind, radius]]))

            radii = {kind: _smallest([refused(kind, radius) for radius in RADII]) for kind in spoilings}
            alarms = refused("", 0.0), refused("compressed", 0.0)
            found.append(Compared(name, on, *alarms, radii[""], radii["noisy"], radii["compressed"]))
    return found


def _smallest(shares: list[float]) -> float | None:
    """The smallest radius from which on all are caught."""
    missed = [index for index, share in enumerate(shares) if share < CAUGHT]
    first = missed[-1] + 1 if missed else 0
    return RADII[first] if first < len(RADII) else None
