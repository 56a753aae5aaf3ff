"""The steady state allocates nothing a frame but its result: NumPy and OpenCV report their arrays to tracemalloc."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import runtime_samples
from numpy.typing import NDArray
from runtime_samples import ListSource, make_recipe, recipe_with_image_evidence, tiny_model

from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.engines import Engine, Output
from runtime.engines.fake import FakeEngine
from runtime.frames import Frame
from runtime.likeness import pattern
from runtime.pipeline import VERDICT_QUEUE, Pipeline
from runtime.verdict import Decision, Verdict

SIZE_HW = (160, 240)  # a plane of pixels is 38,400 bytes, so that no array of a frame is small
FRAMES = 200
SMALL_BYTES = 8_000  # verdict, frame, strings, tickets
RESULT_BYTES = 4 * SIZE_HW[0] * SIZE_HW[1]  # the map, float32
# nothing is rejected: a reject allocates for the search of its regions
# and every check of health is made, though none refuses a frame
TYPICAL = tuple(map(float, pattern(DemoLine(0, SIZE_HW, 0.0).good(0).image)))
HEALTH = replace(make_recipe().health, sharpness_low=(1e-9, 1e-9), likeness_low=1e-9, typical=TYPICAL)
RECIPE = replace(make_recipe(), size_hw=SIZE_HW, threshold=replace(make_recipe().threshold, value=1.0), health=HEALTH)
WHOLE = replace(recipe_with_image_evidence(), size_hw=SIZE_HW, threshold=RECIPE.threshold, health=HEALTH)


class IdleEngine:
    """An engine that computes nothing and allocates nothing: what is left is the detector's own."""

    max_batch, slots, description = 1, 1, "idle"

    def __init__(self, whole: bool = False) -> None:
        maps, score = np.zeros((1, *SIZE_HW), np.float32), np.zeros(1, np.float32)
        self._output = Output(maps, score, maps, np.zeros((1, 2), np.float32)) if whole else Output(maps, score)

    def submit(self, frames: NDArray[np.uint8]) -> int:
        assert frames.shape == (1, *SIZE_HW, 3)
        return 0

    def result(self, ticket: int, timeout_s: float = 30.0) -> Output:
        return self._output

    def close(self) -> None:
        """Nothing is open."""


def fake_engine() -> Engine:
    return FakeEngine(SIZE_HW, lambda frames: np.zeros((len(frames), *SIZE_HW), np.float32))


def onnxruntime_engine() -> Engine:
    pytest.importorskip("onnx", reason="the graph of this test is built with the onnx package")
    from runtime.engines.onnxruntime_engine import OnnxRuntimeEngine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime_samples, "SIZE_HW", SIZE_HW)
        model = tiny_model()
    return OnnxRuntimeEngine(model, RECIPE, threads=1)


ENGINES = {"fake": fake_engine, "onnxruntime": onnxruntime_engine}


def pictures(height: int, width: int, mirrored: bool = False) -> list[Frame]:
    """Two from a sensor, so that every check of health runs."""
    line = DemoLine(0, (height, width), 0.0)
    drawn = [line.good(number).image for number in range(2)]
    return [Frame(image[:, ::-1] if mirrored else image, number, live=True) for number, image in enumerate(drawn)]


CAMERAS = {
    "larger": pictures(320, 480),
    "smaller": pictures(80, 120),
    "other aspect": pictures(200, 250),
    "as prepared": pictures(*SIZE_HW),
    "not contiguous": pictures(*SIZE_HW, mirrored=True),
}

pytestmark = pytest.mark.usefixtures("others_left_alone")


@pytest.fixture(autouse=True)
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def largest_rise(work: Callable[[int], object]) -> int:
    """The most bytes that any of 200 calls held at once, over what was held before it; some calls before find buffers
    their size."""
    rises = []
    for number in range(10 + FRAMES):
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        work(number)
        rises.append(tracemalloc.get_traced_memory()[1] - before)
    return max(rises[10:])


@pytest.mark.parametrize("whole", [False, True], ids=["by the map", "as a whole, too"])
@pytest.mark.parametrize("camera", CAMERAS)
def test_the_detector_itself_allocates_no_array(camera: str, whole: bool) -> None:
    frames, decisions = CAMERAS[camera], []
    with Detector(WHOLE if whole else RECIPE, IdleEngine(whole)) as detector:
        rise = largest_rise(lambda number: decisions.append(detector.inspect(frames[number % 2]).decision))
    assert set(decisions) == {Decision.OK}
    assert rise < SMALL_BYTES


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_allocates_its_result_alone(name: str) -> None:
    engine, frames = ENGINES[name](), CAMERAS["as prepared"][0].image[None]
    output = engine.result(engine.submit(frames))
    # ONNX Runtime hands out views of its own tensors, which NumPy does not count
    counted = RESULT_BYTES if output.anomaly_map.flags.owndata else 0
    assert largest_rise(lambda _: engine.result(engine.submit(frames))) < counted + SMALL_BYTES
    engine.close()


@pytest.mark.parametrize("name", ENGINES)
def test_a_stream_holds_the_frames_under_way_and_afterwards_nothing(name: str) -> None:
    held: list[int] = []

    def sink(frame: Frame, verdict: Verdict) -> None:
        held.append(tracemalloc.get_traced_memory()[0])

    def run(detector: Detector, frames: int) -> int:
        Pipeline(ListSource(CAMERAS["larger"] * (frames // 2)), detector, sink).run()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    with Detector(RECIPE, ENGINES[name]()) as detector:
        run(detector, 2 * FRAMES)  # buffers and ONNX Runtime's caches find their size
        before = run(detector, 10)
        held.clear()
        after = run(detector, FRAMES)
    assert len(held) == FRAMES
    readings = 40 * FRAMES  # what the list itself holds
    under_way = detector.engine.slots + VERDICT_QUEUE + 2  # one is being handed over, one is in the sink
    assert max(held) - before < under_way * (RESULT_BYTES + SMALL_BYTES) + readings
    assert after - before < SMALL_BYTES + readings
