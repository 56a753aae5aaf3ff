"""The gate of INT8 files by itself: what it measures, in which order it asks, and the sentence for each refusal."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.metrics import auroc
from export.int8_gate import FEWEST_TURNS, FRAMES, WARM_UP, Comparison, Scores, compare, score_in_turns, threshold_of
from runtime.engines.base import Output
from runtime.engines.fake import FakeEngine
from runtime.engines.threaded import ThreadedEngine
from runtime.errors import ParityError
from runtime.threshold import Threshold

LIKE = Threshold(5.0, 0.2, 0.95, 3, "gumbel", False, 0.63)
GOOD = Comparison(
    frames=16,
    map_correlation=0.995,
    decisions=200,
    decisions_differing=1,
    defective_images=40,
    image_auroc_loss=0.002,
    au_pro_loss=-0.001,
    speed=1.8,
    speed_on="ONNX Runtime, 2 CPU threads",
)


def scores(good: Any, maps: Any = None, bad: Any = (), bad_maps: Any = None, seconds: Any = (1.0,)) -> Scores:
    wave = np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 3, 4)
    return Scores(
        good=np.asarray(good, np.float64),
        maps=wave if maps is None else np.asarray(maps, np.float32),
        seconds=np.asarray(seconds, np.float64),
        bad=np.asarray(bad, np.float64),
        bad_maps=np.zeros((len(bad), 3, 4), np.float32) if bad_maps is None else np.asarray(bad_maps, np.float32),
    )


def test_what_is_within_the_margin_and_faster_passes_and_says_so() -> None:
    GOOD.check(0.01, allow_slower=False)
    text = GOOD.describe()
    for part in (
        "0.9950 over 16",
        "1 of 200",
        "40 defective",
        "AUROC -0.0020",
        "AU-PRO +0.0010",
        "1.80 times",
        "2 CPU",
    ):
        assert part in text
    assert "defective" not in replace(GOOD, defective_images=0, image_auroc_loss=None, au_pro_loss=None).describe()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map_correlation": 0.985}, r"in INT8 the maps' correlation is 0\.9850 over 16 good frames \(a loss of 0\.01"),
        ({"map_correlation": float("nan")}, "the maps' correlation is nan"),
        ({"decisions_differing": 3}, "in INT8 3 of 200 decisions on good images differ"),
        ({"image_auroc_loss": 0.02}, r"the image AUROC is 0\.0200 lower"),
        ({"au_pro_loss": 0.011}, r"the AU-PRO is 0\.0110 lower .* nothing was written\. Keep the FP32 file"),
        (
            {"speed": 1.0},
            r"INT8 gains nothing on this machine: 1\.00 times .*2 CPU threads.* nothing was written.*--allow",
        ),
        ({"speed": float("nan")}, "gains nothing on this machine: nan"),
    ],
)
def test_each_loss_has_its_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParityError, match=message):
        replace(GOOD, **changes).check(0.01, allow_slower=False)


def test_a_wider_margin_allows_more_and_slower_is_allowed_aloud() -> None:
    replace(GOOD, map_correlation=0.96).check(0.05, allow_slower=False)
    slower = replace(GOOD, speed=0.7)
    slower.check(0.01, allow_slower=True)
    assert "no faster HERE, which was allowed" in slower.describe()
    with pytest.raises(ParityError, match="correlation"):  # it allows nothing else
        replace(slower, map_correlation=0.9).check(0.01, allow_slower=True)


def test_the_correlation_is_that_of_all_pixels() -> None:
    random = np.random.default_rng(0)
    maps = random.normal(size=(2, 5, 6))
    other = 3 * maps + random.normal(size=maps.shape) + 7
    found = compare(scores([1, 2, 3], maps), scores([1, 2, 3], other), LIKE, None, "here")
    centred = [each - each.mean() for each in (maps, other)]
    expected = (centred[0] * centred[1]).sum() / np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    assert found.map_correlation == pytest.approx(expected, rel=1e-5)
    assert (found.frames, found.image_auroc_loss, found.au_pro_loss) == (2, None, None)


def test_a_constant_map_has_no_correlation_and_is_refused() -> None:
    found = compare(scores([1, 2, 3]), scores([1, 2, 3], np.ones((1, 3, 4))), LIKE, None, "here")
    with pytest.raises(ParityError, match="correlation is nan"):
        found.check(0.5, allow_slower=True)


def test_decisions_are_those_at_thresholds_of_each_files_own_scores() -> None:
    good = np.arange(100.0)
    budget = replace(LIKE, budget=0.1)
    assert threshold_of(scores(good), budget).method == "order-statistic"
    same = compare(scores(good), scores(10 * good + 3), budget, None, "here")
    assert (same.decisions, same.decisions_differing) == (100, 0)
    turned = good.copy()
    turned[[0, 99]] = turned[[99, 0]]  # the best part and the worst change places
    assert compare(scores(good), scores(turned), budget, None, "here").decisions_differing == 2


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ParityError, match="1 of 3 good images score NaN or infinite; nothing was written"):
        threshold_of(scores([1, np.nan, 3]), LIKE)


def test_losses_on_defects_are_those_of_the_metrics() -> None:
    mask = np.zeros((3, 4), bool)
    mask[1, 1:3] = True
    sharp, blurred = np.where(mask, 5.0, 0.5), np.where(mask, 0.2, 0.5)
    fp32 = scores([1, 2, 3], bad=[2.5, 9], bad_maps=[sharp, sharp])
    int8 = scores([1, 2, 3], bad=[1.5, 9], bad_maps=[sharp, blurred])
    found = compare(fp32, int8, LIKE, [mask, mask], "here")
    labels = np.array([False] * 3 + [True] * 2)
    expected = auroc(np.array([1, 2, 3, 2.5, 9]), labels) - auroc(np.array([1, 2, 3, 1.5, 9]), labels)
    assert found.image_auroc_loss == pytest.approx(expected)
    assert found.image_auroc_loss == pytest.approx(1 / 6)
    assert found.au_pro_loss is not None
    assert found.au_pro_loss > 0.1
    assert compare(fp32, int8, LIKE, None, "here").au_pro_loss is None


def test_the_speed_is_the_median_of_the_ratios_of_turns() -> None:
    slow, fast = scores([1, 2, 3], seconds=[2, 2, 9]), scores([1, 2, 3], seconds=[1, 1, 9])
    assert compare(slow, fast, LIKE, None, "here").speed == 2


class Noted:
    """Two fake engines that note who was asked; the score is the frame's value, plus one for the second."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def engine(self, name: str, plus: float) -> FakeEngine:
        def maps(batch: np.ndarray) -> np.ndarray:
            self.asked.append(name)
            return batch[..., 0].astype(np.float32) + np.float32(plus)

        return FakeEngine((2, 2), maps)


@pytest.fixture
def noted() -> Noted:
    return Noted()


def frames(count: int, value: Callable[[int], int] = lambda index: index) -> list[np.ndarray]:
    return [np.full((1, 2, 2, 3), value(index), np.uint8) for index in range(count)]


def test_by_position_the_maps_are_those_that_scores_are_taken_from() -> None:
    def answer(batch: NDArray[np.uint8]) -> Output:
        maps = batch[..., 0].astype(np.float32)
        return Output(maps, maps.max(axis=(1, 2)), deviation_map=-maps)

    engines = [ThreadedEngine(answer, (2, 2), 1, 1, "fake") for _ in range(2)]
    for found in score_in_turns(engines[0], engines[1], frames(2), frames(1, lambda index: 200)):
        assert found.maps.tolist() == [[[0, 0], [0, 0]], [[-1, -1], [-1, -1]]]
        assert found.bad_maps.tolist() == [[[-200, -200], [-200, -200]]]
    for engine in engines:
        engine.close()


def test_engines_take_turns_and_too_few_frames_are_shown_again(noted: Noted) -> None:
    engines = noted.engine("fp32", 0), noted.engine("int8", 1)
    fp32, int8 = score_in_turns(*engines, frames(3), frames(2, lambda index: 200))
    for engine in engines:
        engine.close()
    assert (fp32.good.tolist(), int8.good.tolist()) == ([0, 1, 2], [1, 2, 3])
    assert (fp32.bad.tolist(), int8.bad.tolist()) == ([200, 200], [201, 201])
    assert fp32.maps.shape == (3, 2, 2)
    assert fp32.bad_maps.shape == (2, 2, 2)
    assert len(fp32.seconds) == len(int8.seconds) == FEWEST_TURNS
    assert (fp32.seconds > 0).all()
    timed = noted.asked[2 * WARM_UP :]
    assert timed[:8] == ["fp32", "int8", "int8", "fp32"] * 2
    assert len(timed) == 2 * (FEWEST_TURNS + 2)


def test_maps_of_good_frames_are_kept_up_to_a_bound_and_all_scores(noted: Noted) -> None:
    engines = noted.engine("fp32", 0), noted.engine("int8", 1)
    fp32, _ = score_in_turns(*engines, frames(20), [])
    for engine in engines:
        engine.close()
    assert (len(fp32.maps), len(fp32.good), len(fp32.seconds), len(fp32.bad)) == (FRAMES, 20, 20, 0)
