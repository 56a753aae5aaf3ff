"""Pictures that are badly taken, each against its own folder: blurred, badly lit, or of another shape or size.

A white background is not over-exposed and a polished face is not blurred where all images have it, so the folder's own
median and spread decide, and a least difference that an eye would notice.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from train.inspection.measure import Measurement
from train.inspection.robust import deviations_above

DEVIATIONS = 4.0  # from which an image stands out; about 1 in 30,000 of a Gaussian
BLURRED = 0.5  # share of the folder's median sharpness
LIGHTER = 20.0  # grey levels from the folder's median brightness
SHARE = 0.05  # of the pixels, black or saturated, beyond the folder's median share
FLAT = 2.0  # contrast in grey levels, below which there is nothing in a picture
SHAPE = 0.02  # relative difference of aspects that counts as none
SIZE = 3.0  # times the pixels, or one over it, from which an image is of another size
COMMON = 0.8  # share of the images whose shape or size the others depart from

Finding = tuple[int, str, str, float]  # image, kind, reason, and how far it stands out


def find_bad_pictures(measured: Sequence[Measurement]) -> Iterator[Finding]:
    """Flat, blurred, dark, bright, under- and over-exposed images, and those of an uncommon shape or size."""
    yield from _flat(measured)
    yield from _blurred(measured)
    yield from _dark_or_bright(measured)
    yield from _clipped(measured)
    yield from _misshapen(measured)
    yield from _missized(measured)


def describe_shapes(measured: Sequence[Measurement]) -> str | None:
    """A sentence about a folder without a common shape, None where there is one."""
    aspects = np.array([each.size_hw[1] / each.size_hw[0] for each in measured])
    if _share_near(aspects, float(np.median(aspects))) >= COMMON:
        return None
    sizes = Counter(each.size_hw for each in measured)
    return (
        f"{len(sizes)} sizes, width over height from {aspects.min():.2f} to {aspects.max():.2f}; all are stretched to"
        " one, so crop them alike if they show alike parts"
    )


def describe_sizes(measured: Sequence[Measurement]) -> str | None:
    """A sentence about a folder of images that differ much in their number of pixels, None where most are alike."""
    pixels = _pixels(measured)
    if float(_of_common_size(pixels).mean()) >= COMMON:
        return None
    (least_h, least_w), (most_h, most_w) = (measured[int(i)].size_hw for i in (pixels.argmin(), pixels.argmax()))
    return (
        f"mixed sizes, from {least_w}×{least_h} to {most_w}×{most_h} pixels; all are scaled to one, and small ones look"
        " blurred beside the others, so take them all with one camera and setting"
    )


def _flat(measured: Sequence[Measurement]) -> Iterator[Finding]:
    for index, each in enumerate(measured):
        if each.contrast < FLAT:
            yield (
                index,
                "flat",
                f"shows nothing: all near grey level {each.brightness:.0f}",
                FLAT / (each.contrast + 0.1),
            )


def _blurred(measured: Sequence[Measurement]) -> Iterator[Finding]:
    sharpness = np.array([each.sharpness for each in measured])
    median = float(np.median(sharpness))
    far = deviations_above(-np.log(sharpness + 1e-3), least=0.05)
    for index in np.flatnonzero((far > DEVIATIONS) & (sharpness < BLURRED * median)):
        reason = f"blurred: {100 * sharpness[index] / median:.0f} % of the folder's median sharpness"
        yield int(index), "blurred", reason, float(far[index])


def _dark_or_bright(measured: Sequence[Measurement]) -> Iterator[Finding]:
    brightness = np.array([each.brightness for each in measured])
    over = brightness - np.median(brightness)
    for kind, sign in (("dark", -1), ("bright", 1)):
        far = deviations_above(sign * brightness, least=1.0)
        for index in np.flatnonzero((far > DEVIATIONS) & (sign * over > LIGHTER)):
            reason = (
                f"{kind}: mean grey level {brightness[index]:.0f}, the folder's median is {np.median(brightness):.0f}"
            )
            yield int(index), kind, reason, float(far[index])


def _clipped(measured: Sequence[Measurement]) -> Iterator[Finding]:
    shares = {
        "under-exposed": ("black", np.array([each.black for each in measured])),
        "over-exposed": ("saturated", np.array([each.saturated for each in measured])),
    }
    for kind, (word, share) in shares.items():
        median = float(np.median(share))
        far = deviations_above(share, least=0.005)
        for index in np.flatnonzero((far > DEVIATIONS) & (share - median > SHARE)):
            reason = f"{kind}: {100 * share[index]:.0f} % of it is {word}, the folder's median is {100 * median:.0f} %"
            yield int(index), kind, reason, float(far[index])


def _misshapen(measured: Sequence[Measurement]) -> Iterator[Finding]:
    aspects = np.array([each.size_hw[1] / each.size_hw[0] for each in measured])
    common = float(np.median(aspects))
    if _share_near(aspects, common) < COMMON:
        return
    for index in map(int, np.flatnonzero(np.abs(aspects / common - 1) > SHAPE)):
        height, width = measured[index].size_hw
        reason = f"shaped otherwise: {width}×{height} has aspect {aspects[index]:.2f}, most have {common:.2f}"
        yield index, "shape", reason, float(abs(np.log(aspects[index] / common)) / SHAPE)


def _missized(measured: Sequence[Measurement]) -> Iterator[Finding]:
    pixels = _pixels(measured)
    common = _of_common_size(pixels)
    if float(common.mean()) < COMMON:
        return
    for index in map(int, np.flatnonzero(~common)):
        (height, width), times = measured[index].size_hw, pixels[index] / _median(pixels)
        reason = f"sized otherwise: {width}×{height} has {times:.2g} times the pixels that most have"
        yield index, "size", reason, float(abs(np.log(times)) / np.log(SIZE))


def _pixels(measured: Sequence[Measurement]) -> NDArray[np.float64]:
    return np.array([float(each.size_hw[0] * each.size_hw[1]) for each in measured])


def _of_common_size(pixels: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(np.log(pixels / _median(pixels))) < np.log(SIZE))


def _median(pixels: NDArray[np.float64]) -> float:
    """One that is there: between two halves of different sizes lies a size that no image has."""
    return float(np.quantile(pixels, 0.5, method="lower"))


def _share_near(aspects: NDArray[np.float64], common: float) -> float:
    return float((np.abs(aspects / common - 1) <= SHAPE).mean())
