"""What the checks cost a frame, beside its preparation and its inference."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.likeness import centred, likeness, pattern
from runtime.preparation import scaled
from runtime.sharpness import SharpnessMeter

CAMERA_HW = (1024, 1280)
REPEATS, WARM_UP = 200, 20


@dataclass(frozen=True)
class Cost:
    """Medians, milliseconds a frame."""

    camera_hw: tuple[int, int]
    prepared_hw: tuple[int, int]
    prepare_ms: float
    sharpness_ms: float
    likeness_ms: float
    inference_ms: float

    @property
    def of_prepare(self) -> float:
        """Both checks over the preparation."""
        return (self.sharpness_ms + self.likeness_ms) / self.prepare_ms

    @property
    def of_inference(self) -> float:
        """Both checks over the inference."""
        return (self.sharpness_ms + self.likeness_ms) / self.inference_ms


def measure_cost(detector: Detector) -> Cost:
    """Time the checks on a part of the demo line, drawn at the size of a camera."""
    size_hw = detector.recipe.size_hw
    image = DemoLine(0, CAMERA_HW).good(0).image
    prepared = np.empty((*size_hw, 3), np.uint8)
    scaled(image, size_hw, prepared)
    meter, typical = SharpnessMeter(size_hw), centred(pattern(prepared))
    engine = detector.engine
    return Cost(
        CAMERA_HW,
        size_hw,
        _median_ms(lambda: scaled(image, size_hw, prepared)),
        _median_ms(lambda: meter.measure(prepared)),
        _median_ms(lambda: likeness(centred(pattern(prepared)), typical)),
        _median_ms(lambda: engine.result(engine.submit(prepared[None]))),
    )


def _median_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(WARM_UP + REPEATS):
        start = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - start))
    return float(np.median(taken[WARM_UP:]))
