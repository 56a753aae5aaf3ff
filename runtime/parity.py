"""Whether two ways to compute a detector agree: maps, scores and decisions, on the same prepared frames.

Maps are compared relative to the standard deviation of the expected map's values; scores relative to that of the map
they are taken from; decisions wherever an expected score lies outside a band around the threshold, in which rounding
alone may decide. How many scores lie inside the band is reported, so that a gate that compares nothing cannot pass
unseen. Decisions here are of scores alone, as if every region counted: which regions are too small, one function finds
in the maps (`runtime.judgement.decide`), whoever computed them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Engine
from runtime.interest import Inspected
from runtime.recipe import Recipe

# largest deviation allowed, of the map's standard deviation. FP32: reordered sums over up to 6,400 products, and the
# cancellation in S − T; FP16: ten bits of mantissa through four or five layers; INT8: two engines
# round sums on either side of a half apart; ONNX Runtime on integers and with all optimization off differ by 0.2.
TOLERANCE = {"fp32": 1e-3, "fp16": 5e-2, "int8": 5e-1}
FRAME_TIMEOUT_S = 600.0  # a machine that takes longer for one frame is not the one to run this


@dataclass(frozen=True)
class Agreement:
    """What a comparison measured."""

    frames: int
    map_deviation: float  # largest, of the map's standard deviation
    score_deviation: float  # largest, of the map's standard deviation
    tolerance: float
    decisions_compared: int
    decisions_differing: int
    scores_in_band: int

    def problem(self, subject: str, reference: str) -> str | None:
        """What `subject` does otherwise than `reference`, as half a sentence, or None."""
        if not self.map_deviation <= self.tolerance or not self.score_deviation <= self.tolerance:
            return (
                f"{subject} deviates from {reference} by {self.map_deviation:.2g} (maps) and "
                f"{self.score_deviation:.2g} (scores) of the map's deviation, {self.tolerance:g} is allowed"
            )
        if self.decisions_differing:
            return (
                f"{self.decisions_differing} of {self.decisions_compared} decisions differ between {subject} "
                f"and {reference}"
            )
        return None

    def describe(self) -> str:
        """One line for people."""
        return (
            f"parity on {self.frames} frames: maps within {self.map_deviation:.2g} and scores within "
            f"{self.score_deviation:.2g} of the map's deviation ({self.tolerance:g} allowed), "
            f"{self.decisions_compared} decisions equal, {self.scores_in_band} scores too near the threshold to compare"
        )


@dataclass(frozen=True)
class Scored:
    """Maps [n, H, W] and scores [n] of the same frames; `deviation_maps` where the scores are of these."""

    maps: NDArray[np.float32]
    scores: NDArray[np.float32]
    deviation_maps: NDArray[np.float32] | None = None
    evidence_scores: NDArray[np.float32] | None = None  # [n, 1 + J], where there is image evidence

    @property
    def all_scores(self) -> NDArray[np.float32]:
        """All of them, [n, …]: where the highest is one kind's, the others are compared no less."""
        return self.scores if self.evidence_scores is None else self.evidence_scores

    @property
    def all_maps(self) -> list[NDArray[np.float32]]:
        """The maps by kind, those last that the scores are taken from."""
        return [self.maps] if self.deviation_maps is None else [self.maps, self.deviation_maps]

    @classmethod
    def by(cls, engine: Engine, frames: NDArray[np.uint8]) -> "Scored":
        """Those that `engine` gives prepared frames [n, H, W, 3], one by one."""
        found = [engine.result(engine.submit(frame[None]), FRAME_TIMEOUT_S) for frame in frames]
        return cls(
            np.concatenate([output.anomaly_map for output in found]),
            np.concatenate([output.anomaly_score for output in found]),
            *(
                None if getattr(found[0], name) is None else np.concatenate([getattr(output, name) for output in found])
                for name in ("deviation_map", "evidence_scores")
            ),
        )


def agreement(
    expected: Scored, found: Scored, threshold: float, tolerance: float, inspected: Inspected | None = None
) -> Agreement:
    """Compare `found` with `expected`; `tolerance` is a share of the expected map's deviation.

    Maps where they are `inspected`, all of them for None: what lies outside named regions may be anything, and its
    deviation would hide what differs inside. Raises `ValueError` where one has maps or scores that the other lacks.
    """
    mine, other = found.all_scores, expected.all_scores
    if mine.shape != other.shape:  # which NumPy might broadcast
        raise ValueError(f"scores of shape {mine.shape} beside {other.shape}")
    # of a constant map it is 0, which nothing can be divided by
    chosen = slice(None) if inspected is None else inspected.mask.ravel()
    seen, expected_maps = ([_flat(maps)[:, chosen] for maps in each.all_maps] for each in (found, expected))
    deviations = [max(float(maps.std()), float(np.finfo(np.float32).tiny)) for maps in expected_maps]
    deviation = deviations[-1]
    pairs = zip(seen, expected_maps, deviations, strict=True)
    outside = np.abs(expected.scores - threshold) > tolerance * deviation
    return Agreement(
        frames=len(expected.maps),
        map_deviation=float(np.max([np.abs(one - another).max() / each for one, another, each in pairs])),
        score_deviation=float(np.abs(mine - other).max()) / deviation,
        tolerance=tolerance,
        decisions_compared=int(outside.sum()),
        decisions_differing=int(((found.scores > threshold) != (expected.scores > threshold))[outside].sum()),
        scores_in_band=int((~outside).sum()),
    )


def agreement_of(engine: Engine, recipe: Recipe, frames: NDArray[np.uint8], expected: Scored) -> Agreement:
    """How well an engine that computes the detector of `recipe` agrees with what is `expected` of prepared `frames`
    [n, H, W, 3]: by the recipe's own threshold, its precision's tolerance, and where it inspects. Raises `EngineError`.
    """
    inspected = recipe.scoring.in_regions(recipe.size_hw)
    return agreement(expected, Scored.by(engine, frames), recipe.threshold.value, tolerance_of(recipe), inspected)


def _flat(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps [n, H, W] as [n, H·W]."""
    return maps.reshape(len(maps), -1)


def tolerance_of(recipe: Recipe) -> float:
    """The tolerance of a detector's precision."""
    return TOLERANCE[recipe.precision]
