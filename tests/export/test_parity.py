"""The parity gate by itself: what it counts, and the sentence for each thing that is wrong."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.folding import FoldedNetwork
from export.parity import LARGEST_ACTIVATION, Parity, compare, largest_activation
from runtime.engines.base import Output
from runtime.engines.fake import FakeEngine
from runtime.errors import ParityError
from runtime.parity import Agreement, Scored, agreement
from runtime.scoring import Scoring
from train.networks import PatchNetwork

AGREES = Agreement(
    frames=16,
    map_deviation=1e-5,
    score_deviation=1e-5,
    tolerance=1e-3,
    decisions_compared=15,
    decisions_differing=0,
    scores_in_band=1,
)
GOOD = Parity(AGREES, largest_activation=40.0, half=False)


def test_a_file_that_agrees_passes() -> None:
    GOOD.check()
    text = GOOD.describe()
    for part in ("16 frames", "15 decisions equal", "1 scores too near", "largest activation 40.0", "0.001 allowed"):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map_deviation": 2e-3}, r"deviates from the formulas by 0\.002 \(maps\) and 1e-05 \(scores\)"),
        (
            {"score_deviation": 2e-3},
            r"by 1e-05 \(maps\) and 0\.002 \(scores\) .* 0\.001 is allowed; nothing was written",
        ),
        ({"map_deviation": float("nan")}, r"by nan \(maps\)"),
        ({"decisions_differing": 2}, r"2 of 15 decisions differ .* nothing was written"),
    ],
)
def test_each_disagreement_has_its_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParityError, match=message):
        replace(GOOD, agreement=replace(AGREES, **changes)).check()


@pytest.mark.parametrize(("activation", "reached"), [(20_000.0, "20000"), (float("inf"), "inf"), (float("nan"), "nan")])
def test_an_overflow_is_told_before_the_deviation_that_it_causes(activation: float, reached: str) -> None:
    off = replace(AGREES, map_deviation=1.0)
    with pytest.raises(ParityError, match=f"an activation reached {reached} .* --precision fp32"):
        Parity(off, activation, half=True).check()


def test_large_activations_are_allowed_in_single_precision() -> None:
    replace(GOOD, largest_activation=10 * LARGEST_ACTIVATION).check()


class Loud(FoldedNetwork):
    """Reports the activations of one convolution without computing any."""

    def __init__(self, *activations: float) -> None:
        super().__init__(PatchNetwork(33))
        self.activations = activations or (1.0,)

    def forward(self, frames: torch.Tensor) -> None:
        for value in self.activations:
            assert self.watcher is not None
            self.watcher(value)


def compared(error: list[float], threshold: float) -> Parity:
    """Five frames with plain scores 0…4 and maps of deviation 1, and an engine whose scores are off by `error`."""
    frames = np.stack([np.full((2, 2, 3), i, np.uint8) for i in range(5)])
    wave = torch.tensor([[1.0, -1.0], [1.0, -1.0]])

    def plain(batch: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        return wave[None], torch.tensor([[float(batch.flat[0])]])

    scores = {i: i + error[i] for i in range(5)}

    class Engine(FakeEngine):
        def result(self, ticket: int, timeout_s: float = 30.0) -> Any:
            output = super().result(ticket, timeout_s)
            found = [scores[round(float(each))] for each in output.anomaly_score]
            return Output(np.stack([wave.numpy()] * len(found)), np.array(found, np.float32))

    engine = Engine((2, 2), lambda batch: batch[..., 0].astype(np.float32))
    try:
        run: Any = SimpleNamespace(
            maps_and_scores=plain, positions=None, image=None,
            trained=SimpleNamespace(scoring=Scoring(), size_hw=(2, 2)),
        )  # fmt: skip
        fused: Any = Loud()
        fused.explain = False
        return compare(run, threshold, engine, fused, frames, tolerance=0.1)
    finally:
        engine.close()


@pytest.mark.parametrize("error", [0.0, 1.0, float("nan")])
def test_evidence_that_is_an_output_is_compared_with_the_formulas(error: float) -> None:
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (3, 2, 2, 3), np.uint8)

    def evidence(batch: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(batch[..., :2].astype(np.float32)).permute(0, 3, 1, 2)  # two kinds

    def plain(batch: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        maps = evidence(batch).sum(dim=1)
        return maps, maps.amax(dim=(1, 2))[:, None]

    class Engine(FakeEngine):
        def result(self, ticket: int, timeout_s: float = 30.0) -> Output:
            output = super().result(ticket, timeout_s)
            batch = np.stack([frames[np.argmin(np.abs(sums - each.sum()))] for each in output.anomaly_map])
            found = evidence(batch).numpy()
            found[:, 1] += error
            return replace(output, evidence=found)

    sums = frames[..., :2].astype(np.float32).sum(axis=(1, 2, 3))
    trained = SimpleNamespace(scoring=Scoring(), size_hw=(2, 2), stride=1, evidence=evidence)
    run: Any = SimpleNamespace(maps_and_scores=plain, positions=None, image=None, trained=trained)
    fused: Any = Loud()
    fused.explain = True
    engine = Engine((2, 2), lambda batch: batch[..., :2].astype(np.float32).sum(axis=3))
    try:
        parity = compare(run, 100.0, engine, fused, frames, tolerance=1e-3)
    finally:
        engine.close()
    if not error:
        parity.check()
    else:
        with pytest.raises(
            ParityError, match=r"the exported file deviates from the formulas by .* \(maps\) and 0 \(sco"
        ):
            parity.check()


def test_decisions_are_compared_outside_the_band_alone() -> None:
    parity = compared([0, 0, -0.2, 0, 0], threshold=1.95).agreement
    # five frames one by one, and the same in three batches of two, the first of them twice
    assert (parity.scores_in_band, parity.decisions_compared, parity.decisions_differing) == (2, 9, 0)
    assert parity.describe().startswith("parity on 5 frames, one by one and 2 at once: maps within")
    assert parity.score_deviation == pytest.approx(0.2)


def test_constant_maps_are_compared_too() -> None:
    flat = Scored(np.zeros((2, 3, 4), np.float32), np.zeros(2, np.float32))
    assert agreement(flat, flat, threshold=1, tolerance=1e-3).problem("the file", "the formulas") is None
    other = Scored(flat.maps + np.float32(0.5), flat.scores)
    problem = agreement(flat, other, threshold=1, tolerance=1e-3).problem("the file", "the formulas")
    assert problem is not None
    assert problem.startswith("the file deviates from the formulas by")


def test_maps_by_position_are_compared_and_scores_in_their_unit() -> None:
    wave = np.array([[[1.0, -1.0], [1.0, -1.0]]], np.float32)
    plain, scores = Scored(wave, np.array([3.0], np.float32)), np.array([3.2], np.float32)
    expected = replace(plain, deviation_maps=4 * wave)
    found = agreement(expected, Scored(wave, scores, 4 * wave + np.float32(0.4)), threshold=3.1, tolerance=0.06)
    assert found.map_deviation == pytest.approx(0.1)
    assert found.score_deviation == pytest.approx(0.05)
    assert found.scores_in_band == 1
    found = agreement(expected, Scored(wave * 2, scores, 4 * wave), threshold=3.1, tolerance=0.06)
    assert found.map_deviation == pytest.approx(1.0)
    with pytest.raises(ValueError, match="zip"):
        agreement(expected, plain, threshold=3.1, tolerance=0.06)  # a map that is missing is no agreement


def test_the_score_that_is_not_the_highest_is_compared_too() -> None:
    wave = np.array([[[1.0, -1.0], [1.0, -1.0]]], np.float32)
    plain = Scored(wave, np.array([3.0], np.float32), wave, np.array([[3.0, 1.0]], np.float32))
    assert agreement(plain, plain, threshold=2, tolerance=1e-3).score_deviation == 0
    other = replace(plain, evidence_scores=np.array([[3.0, 1.2]], np.float32))
    found = agreement(plain, other, threshold=2, tolerance=1e-3)
    assert found.score_deviation == pytest.approx(0.2)
    assert "and 0.2 (scores)" in (found.problem("the file", "the formulas") or "")
    for lacking in (replace(plain, evidence_scores=None), replace(plain, evidence_scores=np.ones((1, 1), np.float32))):
        with pytest.raises(ValueError, match="scores of shape"):
            agreement(plain, lacking, threshold=2, tolerance=1e-3)


def test_without_convolutions_nothing_can_overflow() -> None:
    assert largest_activation(torch.nn.Flatten(), np.zeros((2, 4, 4, 3), np.uint8)) == 0.0


def test_a_decision_that_turns_outside_the_band_is_counted() -> None:
    parity = compared([0, 0, 0, -0.9, 0], threshold=2.5)
    found = parity.agreement
    assert (found.scores_in_band, found.decisions_compared, found.decisions_differing) == (0, 11, 2)
    with pytest.raises(ParityError):
        parity.check()


@pytest.mark.parametrize(("activations", "largest"), [((3.0, 7.0, 5.0), 7.0), ((3.0, float("nan"), 5.0), float("nan"))])
def test_the_largest_activation_is_found_and_a_nan_is_not_dropped(
    activations: tuple[float, ...], largest: float
) -> None:
    network: Any = Loud(*activations)
    found = largest_activation(network, np.zeros((2, 4, 4, 3), np.uint8))
    assert found == pytest.approx(largest, nan_ok=True)
    assert network.watcher is None
