"""``--engine auto``: the fastest of those that compute the same, over fake engines and over a real detector file."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from runtime_samples import SIZE_HW, make_recipe, write_detector

from runtime.choice import engines
from runtime.choice.engines import Alternative, alternatives, frames_to_compare, measured, open_fastest
from runtime.choice.memory import Circumstances, read_choice
from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.engines.base import Engine
from runtime.engines.fake import FakeEngine, deviation_from_grey
from runtime.errors import DetectorError, EngineError, InputError
from runtime.machine import Machine
from runtime.opening import AutoOptions

FRAMES = np.random.default_rng(0).integers(0, 256, (3, *SIZE_HW, 3), np.uint8)
NOW = Circumstances("a" * 64, {}, Machine("cpu", 1, (), {}))


class Recorded:
    """Alternatives by name, and the engines that were opened."""

    def __init__(self) -> None:
        self.opened: dict[str, Engine] = {}

    def engine(self, name: str, seconds: float, factor: float = 1.0) -> Alternative:
        def maps(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
            time.sleep(seconds)
            return deviation_from_grey(frames) * np.float32(factor)

        def opened() -> Engine:
            self.opened[name] = FakeEngine(SIZE_HW, maps)
            return self.opened[name]

        return Alternative(name, "", opened)

    def is_closed(self, name: str) -> bool:
        try:
            self.opened[name].submit(FRAMES[:1])
        except EngineError:
            return True
        return False


@pytest.fixture
def recorded() -> Any:
    recorded = Recorded()
    yield recorded
    for engine in recorded.opened.values():
        engine.close()


def choose(found: list[Alternative]) -> tuple[Any, Engine]:
    return measured(found, NOW, make_recipe(), FRAMES, budget_s=0.0)


def test_the_fastest_that_agrees_is_chosen_and_the_others_are_closed(recorded: Recorded) -> None:
    found = [recorded.engine("reference", 0.02), recorded.engine("slow", 0.04), recorded.engine("fast", 0.0)]
    choice, engine = choose(found)
    assert choice.chosen == "fast"
    assert engine is recorded.opened["fast"]
    assert [recorded.is_closed(name) for name in ("reference", "slow", "fast")] == [True, True, False]
    assert choice.ratios["reference"] == 1.0
    assert choice.ratios["fast"] < 0.5 < 1.2 < choice.ratios["slow"]


def test_an_engine_that_computes_something_else_is_never_chosen_however_fast(recorded: Recorded) -> None:
    choice, _ = choose([recorded.engine("reference", 0.02), recorded.engine("wrong", 0.0, factor=1.1)])
    assert choice.chosen == "reference"
    assert list(choice.ratios) == ["reference"]
    assert "it deviates from reference by 0." in choice.left_out["wrong"]
    assert recorded.is_closed("wrong")


def test_an_engine_that_does_not_start_is_left_out_with_its_reason(recorded: Recorded) -> None:
    def fail() -> Engine:
        raise EngineError("there is no NVIDIA driver")

    choice, _ = choose([recorded.engine("reference", 0.0), Alternative("cuda", "", fail)])
    assert (choice.chosen, choice.left_out) == ("reference", {"cuda": "there is no NVIDIA driver"})
    with pytest.raises(EngineError, match="there is no NVIDIA driver"):
        choose([Alternative("reference", "", fail)])


def two_ways(path: Path) -> list[Alternative]:
    """The real engine of a detector on one thread, twice."""
    model, recipe = read_detector(path)
    (first,) = alternatives(path, model, recipe, AutoOptions(1))
    return [first, Alternative("again", "", first.open)]


def test_the_choice_is_measured_once_and_then_remembered(detector_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "alternatives", lambda path, *rest: two_ways(path))
    _, engine, why = open_fastest(detector_file, AutoOptions(1))
    engine.close()
    choice = read_choice(detector_file.with_suffix(".choice.json"))
    assert choice is not None
    assert why == f"auto: {choice.words()}"
    assert choice.circumstances.subject_sha256 == read_detector(detector_file)[1].graph_sha256
    monkeypatch.setattr(engines, "measured", lambda *given: pytest.fail("measured again"))
    _, engine, again = open_fastest(detector_file, AutoOptions(1))
    engine.close()
    assert again == why


def test_a_choice_that_cannot_be_remembered_is_made_and_says_so(
    detector_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "alternatives", lambda path, *rest: two_ways(path))
    detector_file.with_suffix(".choice.json").mkdir()  # nothing can replace it
    _, engine, why = open_fastest(detector_file, AutoOptions(1))
    engine.close()
    assert "the choice is not remembered: " in why


def test_where_one_engine_alone_runs_nothing_is_measured_or_written(detector_file: Path) -> None:
    with Detector.open(detector_file, threads=1, engine="auto") as detector:
        if "alone can run it here" not in detector.why:
            pytest.skip("this machine has other engines too")
        assert detector.why == "auto: onnxruntime on 1 CPU threads alone can run it here"
    assert not detector_file.with_suffix(".choice.json").exists()


def test_physical_cores_are_another_way_unless_threads_are_given(
    detector_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "available_cores", lambda: 8)
    monkeypatch.setattr(engines, "physical_cores", lambda: 4)
    model, recipe = read_detector(detector_file)
    names = [one.name for one in alternatives(detector_file, model, recipe, AutoOptions())]
    assert names[:2] == ["onnxruntime on 8 CPU threads", "onnxruntime on 4 CPU threads"]
    assert "onnxruntime on 4 CPU threads" not in [
        one.name for one in alternatives(detector_file, model, recipe, AutoOptions(3))
    ]


def test_frames_are_those_of_the_parity_gate_or_noise(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the detector of this test is built with the onnx package")
    path = write_detector(tmp_path / "detector.onnx")
    recipe = read_detector(path)[1]
    assert frames_to_compare(path, recipe, 4).shape == (4, *SIZE_HW, 3)
    path.with_suffix(".parity.npz").write_bytes(b"other")
    with pytest.raises(DetectorError, match=r"is not the file that detector\.onnx was exported with"):
        frames_to_compare(path, recipe, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "abacus"}, "engine is 'abacus'; expected one of auto, onnxruntime, openvino, tensorrt"),
        ({"engine": "auto", "key_file": Path("key")}, "may take the detector.onnx, which no key signs"),
        ({"engine": "auto", "provider": "cpu"}, "engine auto chooses the provider itself; leave out provider"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: dict[str, Any], message: str, detector_file: Path
) -> None:
    with pytest.raises(InputError, match=message):
        Detector.open(detector_file, **options)


def test_an_engine_is_not_given_the_file_of_another(detector_file: Path) -> None:
    plan = detector_file.with_suffix(".plan")
    with pytest.raises(InputError, match=r"ONNX Runtime does not run .*detector\.plan; give the detector\.onnx"):
        Detector.open(plan, engine="onnxruntime")
    with pytest.raises(DetectorError, match=r"detector\.plan has no detector\.plan\.json beside it"):
        Detector.open(detector_file, engine="tensorrt")
    detector_file.unlink()
    unreachable = detector_file.with_name("n" * 300) / "detector.onnx"
    for path in (plan, unreachable):
        with pytest.raises(DetectorError, match=r"detector\.onnx is not there, or cannot be reached; --engine auto"):
            Detector.open(path, engine="auto")


@pytest.mark.parametrize("engine", ["auto", "tensorrt"])
def test_a_path_without_a_name_is_no_detector(engine: str) -> None:
    with pytest.raises(InputError, match=r"the detector is '\.'; expected a file, such as detector\.onnx"):
        Detector.open("", engine=engine)


def test_a_detector_says_why_it_runs_on_its_engine(detector_file: Path) -> None:
    for engine, why in ((None, "by default"), ("onnxruntime", "as asked")):
        with Detector.open(detector_file, threads=1, engine=engine) as detector:
            assert detector.why == why
