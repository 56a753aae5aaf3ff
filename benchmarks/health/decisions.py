"""What a detector decides of good and defective images as they are and blurred, with and without the check of blur."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.health.spoiled import Image, defocused, gaussian, moved, noisy
from runtime.detector import Detector
from runtime.frames import Frame
from runtime.health import HealthCheck
from runtime.preparation import scaled
from runtime.verdict import Decision

RADII = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # of the disc, pixels of the prepared frame
SIGMAS = (1.0, 2.0)
LENGTHS = (3.0, 5.0, 9.0)
NOISE = 3.0


@dataclass(frozen=True)
class Blurred:
    """Decisions under one blur. "Without" is the same detector without its limit of sharpness."""

    blur: str
    good: int
    good_refused: int  # NO_DECISION, blurred
    good_rejected_without: int  # NG
    defective: int
    defective_refused: int
    defective_passed: int  # OK
    defective_passed_without: int
    turned: int  # defective images that are NG sharp and OK blurred, without the check
    turned_passed: int  # those of them that pass with it


def blurs(size_hw: tuple[int, int]) -> dict[str, Callable[[Image], Image]]:
    """Every blur that is tried, by what it is called."""
    found: dict[str, Callable[[Image], Image]] = {"none": lambda image: image}
    for radius in RADII:
        found[f"disc of {radius:g}"] = lambda image, radius=radius: defocused(image, radius, size_hw)  # type: ignore[misc]
    for radius in (2.0, 4.0):
        name = f"disc of {radius:g}, then noise of {NOISE:g} grey levels"
        found[name] = lambda image, radius=radius: noisy(defocused(image, radius, size_hw), NOISE, 0)  # type: ignore[misc]
    for sigma in SIGMAS:
        found[f"Gaussian of {sigma:g}"] = lambda image, sigma=sigma: gaussian(image, sigma, size_hw)  # type: ignore[misc]
    for length in LENGTHS:
        for upright in (False, True):
            name = f"motion of {length:g} {'from top to bottom' if upright else 'from left to right'}"
            found[name] = lambda image, length=length, upright=upright: moved(image, length, size_hw, upright)  # type: ignore[misc]
    return found


def decide_blurred(detector: Detector, good: Sequence[Image], defective: Sequence[Image]) -> list[Blurred]:
    """Every blur on test images, which are healthy but for it. One engine serves both detectors."""
    health = replace(detector.recipe.health, sharpness_low=(0.0, 0.0))
    without = Detector(replace(detector.recipe, health=health), detector.engine)
    check = HealthCheck(detector.recipe.health)
    found = []
    sharp: list[Decision] = []
    for name, blur in blurs(detector.recipe.size_hw).items():
        images = [blur(image) for image in (*good, *defective)]
        decided = [without.inspect(image).decision for image in images]
        refused = [reason_of(check, image, detector.recipe.size_hw) == "blurred" for image in images]
        sharp = sharp or decided
        n = len(good)
        passed = [decision is Decision.OK for decision in decided]
        turned = [ok and before is Decision.NG for ok, before in zip(passed[n:], sharp[n:], strict=True)]
        found.append(
            Blurred(
                blur=name,
                good=n,
                good_refused=sum(refused[:n]),
                good_rejected_without=sum(decision is Decision.NG for decision in decided[:n]),
                defective=len(defective),
                defective_refused=sum(refused[n:]),
                defective_passed=_both(passed[n:], refused[n:]),
                defective_passed_without=sum(passed[n:]),
                turned=sum(turned),
                turned_passed=_both(turned, refused[n:]),
            )
        )
    return found


def _both(chosen: list[bool], refused: list[bool]) -> int:
    return sum(each and not out for each, out in zip(chosen, refused, strict=True))


def reason_of(check: HealthCheck, image: Image, size_hw: tuple[int, int]) -> str:
    """Why a picture is refused, in the words before the colon; "" where it is not."""
    return (check.problem(Frame(image, 0), scaled(image, size_hw)) or "").partition(":")[0]


def refusals(detector: Detector, images: Sequence[Image]) -> dict[str, int]:
    """How many pictures are refused as they are, by reason."""
    check = HealthCheck(detector.recipe.health)
    reasons = Counter(reason_of(check, image, detector.recipe.size_hw) for image in images)
    return {reason: count for reason, count in sorted(reasons.items()) if reason}


def left_out_refusals(images: Sequence[Image], size_hw: tuple[int, int], folds: int = 10) -> dict[str, int]:
    """How many good pictures are refused by limits of the others: a tenth is left out in turn."""
    from calibration.health import fit_health

    fold = np.random.default_rng(0).permutation(len(images)) % folds
    reasons: Counter[str] = Counter()
    for number in range(folds):
        check = HealthCheck(fit_health([each for each, f in zip(images, fold, strict=True) if f != number], size_hw))
        left = [each for each, f in zip(images, fold, strict=True) if f == number]
        reasons.update(reason_of(check, image, size_hw) for image in left)
    return {reason: count for reason, count in sorted(reasons.items()) if reason}
