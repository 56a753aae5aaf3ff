"""Whether two ways to compute a detector agree: maps, scores and decisions, on the same prepared frames.

Maps are compared relative to the standard deviation of the expected map's values where the detector inspects; scores
relative to that of the map they are taken from; decisions wherever an expected score lies outside a band around the
threshold, in which rounding alone may decide. How many scores lie inside the band is reported, so that a gate that
compares no decision cannot pass unseen. Evidence that explains a reject is compared as a map, each kind by itself.
Decisions here are of scores alone, as if every region counted: which regions are too small, one function finds in the
maps (`runtime.judgement.decide`), whoever computed them.

Frames are given to an engine one by one, and in batches where it is to be served with them: each row of a batch is
compared with what is expected of its frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Engine, Output
from runtime.errors import EngineError
from runtime.interest import Inspected
from runtime.recipe import Recipe

# largest deviation allowed, of the map's standard deviation. FP32: reordered sums over up to 6,400 products, and the
# cancellation in S − T; FP16: ten bits of mantissa through four or five layers; INT8: two engines
# round sums on either side of a half apart; ONNX Runtime on integers and with all optimization off differ by 0.2.
TOLERANCE = {"fp32": 1e-3, "fp16": 5e-2, "int8": 5e-1}
EXPLAINING = ("evidence", "regression_error", "predictive_variance")  # outputs of files that explain themselves
FRAME_TIMEOUT_S = 600.0  # a machine that takes longer for one frame is not the one to run this


@dataclass(frozen=True)
class Agreement:
    """What a comparison measured."""

    frames: int
    map_deviation: float  # largest, of that map's standard deviation; of evidence that is an output, too
    score_deviation: float  # largest, of the map's standard deviation
    tolerance: float
    decisions_compared: int  # a frame that was computed twice counts twice, here and below
    decisions_differing: int
    scores_in_band: int
    batch: int = 1  # frames at once, beside those that were computed one by one

    def problem(self, subject: str, reference: str) -> str | None:
        """What `subject` does otherwise than `reference`, as half a sentence, or None.

        Where no decision could be compared, maps and scores still have to agree; `describe` says so.
        """
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
        together = "" if self.batch == 1 else f", one by one and {self.batch} at once"
        decisions = f"{self.decisions_compared} decisions equal, {self.scores_in_band} scores too near the threshold"
        if not self.decisions_compared:
            decisions = f"NO DECISION COMPARED: all {self.scores_in_band} scores are too near the threshold"
        return (
            f"parity on {self.frames} frames{together}: maps within {self.map_deviation:.2g} and scores within "
            f"{self.score_deviation:.2g} of the map's deviation ({self.tolerance:g} allowed), {decisions} to compare"
        )

    def joined(self, other: "Agreement") -> "Agreement":
        """This comparison and another of the same frames as one."""
        return replace(
            self,
            map_deviation=float(np.max([self.map_deviation, other.map_deviation])),  # NaN if one is
            score_deviation=float(np.max([self.score_deviation, other.score_deviation])),
            decisions_compared=self.decisions_compared + other.decisions_compared,
            decisions_differing=self.decisions_differing + other.decisions_differing,
            scores_in_band=self.scores_in_band + other.scores_in_band,
            batch=max(self.batch, other.batch),
        )


@dataclass(frozen=True)
class Scored:
    """Maps [n, H, W] and scores [n] of the same frames; `deviation_maps` where the scores are of these."""

    maps: NDArray[np.float32]
    scores: NDArray[np.float32]
    deviation_maps: NDArray[np.float32] | None = None
    evidence_scores: NDArray[np.float32] | None = None  # [n, 1 + J], where there is image evidence
    evidence: NDArray[np.float32] | None = None  # [n, K, H, W], of each kind, where the file explains itself

    @property
    def all_scores(self) -> NDArray[np.float32]:
        """All of them, [n, …]: where the highest is one kind's, the others are compared no less."""
        return self.scores if self.evidence_scores is None else self.evidence_scores

    @property
    def all_maps(self) -> list[NDArray[np.float32]]:
        """The maps by kind, [n, H, W] each; the last are those that the scores are taken from."""
        explaining = [] if self.evidence is None else list(self.evidence.swapaxes(0, 1))
        scored = [] if self.deviation_maps is None else [self.deviation_maps]
        return [*explaining, self.maps, *scored]

    @classmethod
    def by(cls, engine: Engine, frames: NDArray[np.uint8], batch: int = 1) -> "Scored":
        """Those that `engine` gives prepared frames [n, H, W, 3], `batch` at once. Raises `EngineError`."""
        return cls.of([_computed(engine, frames[first : first + batch]) for first in range(0, len(frames), batch)])

    @classmethod
    def of(cls, found: Sequence[Output]) -> "Scored":
        """Those of one batch after the other."""

        def joined(name: str) -> NDArray[np.float32] | None:
            parts = [getattr(output, name) for output in found]
            return None if parts[0] is None else np.concatenate(parts)

        terms = [each for each in map(joined, EXPLAINING) if each is not None]
        maps, scores = joined("anomaly_map"), joined("anomaly_score")
        assert maps is not None
        assert scores is not None
        evidence = np.concatenate(terms, axis=1) if terms else None
        return cls(maps, scores, joined("deviation_map"), joined("evidence_scores"), evidence)


def _computed(engine: Engine, frames: NDArray[np.uint8]) -> Output:
    """What an engine makes of a batch. Raises `EngineError`, also for another number of rows than of frames."""
    output = engine.result(engine.submit(frames), FRAME_TIMEOUT_S * len(frames))
    for name, values in vars(output).items():
        if values is not None and len(values) != len(frames):
            raise EngineError(f"the engine gives {len(values)} rows of {name} for a batch of {len(frames)} frames")
    return output


def agreement(
    expected: Scored,
    found: Scored,
    threshold: float,
    tolerance: float,
    inspected: Inspected | None = None,
    rows: Sequence[int] | None = None,
) -> Agreement:
    """Compare `found` with `expected`; `tolerance` is a share of the expected map's deviation.

    Maps where they are `inspected`, all of them for None: what lies outside may be anything, and its deviation would
    hide what differs inside. Of a rectangle the whole maps are compared, too, by the deviation of all of them. `rows`
    are the frames that `found` is of, by their numbers in `expected`; None: the same. Raises `ValueError` where one has
    maps or scores that the other lacks.
    """
    rows = range(len(expected.maps)) if rows is None else rows
    scores, other = found.all_scores, expected.all_scores[list(rows)]
    if scores.shape != other.shape:  # which NumPy might broadcast
        raise ValueError(f"scores of shape {scores.shape} beside {other.shape}")
    pairs = list(zip(found.all_maps, expected.all_maps, strict=True))
    deviations = [
        _largest(one, another, rows, where) / _deviation(another, where)
        for one, another in pairs
        for where in _compared(inspected)
    ]
    deviation = _deviation(pairs[-1][1], _compared(inspected)[0])
    expected_scores = expected.scores[list(rows)]
    outside = np.abs(expected_scores - threshold) > tolerance * deviation
    return Agreement(
        frames=len(expected.maps),
        map_deviation=float(np.max(deviations)),
        score_deviation=float(np.abs(scores - other).max()) / deviation,
        tolerance=tolerance,
        decisions_compared=int(outside.sum()),
        decisions_differing=int(((found.scores > threshold) != (expected_scores > threshold))[outside].sum()),
        scores_in_band=int((~outside).sum()),
    )


def agreement_with(
    engine: Engine,
    frames: NDArray[np.uint8],
    expected: Scored,
    threshold: float,
    tolerance: float,
    inspected: Inspected | None,
    batch: int = 1,
) -> Agreement:
    """How well an engine agrees with what is `expected` of prepared `frames` [n, H, W, 3], which it is given one by one
    and, above 1, `batch` at once. The rest is as in `agreement`. Raises `EngineError`."""
    alone = agreement(expected, Scored.by(engine, frames), threshold, tolerance, inspected)
    if batch == 1:
        return alone
    rows = rows_of_batches(len(frames), batch)
    found = Scored.by(engine, frames[rows], batch)
    return alone.joined(replace(agreement(expected, found, threshold, tolerance, inspected, rows), batch=batch))


def agreement_of(
    engine: Engine, recipe: Recipe, frames: NDArray[np.uint8], expected: Scored, batch: int = 1
) -> Agreement:
    """`agreement_with` an engine that computes the detector of `recipe`: by the recipe's own threshold, its precision's
    tolerance, and where it inspects. Raises `EngineError`."""
    inspected = recipe.scoring.inspected(recipe.size_hw)
    return agreement_with(engine, frames, expected, recipe.threshold.value, tolerance_of(recipe), inspected, batch)


def rows_of_batches(count: int, batch: int) -> list[int]:
    """The numbers of `count` frames in full batches, one batch after the other: each frame once at least.

    Where frames are repeated, each round begins one frame later: a row that is another row's is then another frame's.
    """
    rows = np.arange(-(-count // batch) * batch)
    return [int(each) for each in (rows + rows // count) % count]


def _compared(inspected: Inspected | None) -> list[NDArray[np.bool_] | EllipsisType]:
    """The pixels of a map that are compared, by parts; what scores are taken from is the first."""
    if inspected is None:
        return [...]
    return [inspected.mask, ...] if inspected.masks is None else [inspected.mask]


def _largest(
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    rows: Sequence[int],
    where: NDArray[np.bool_] | EllipsisType,
) -> float:
    """The largest difference between maps [n, H, W] and those of their frames, frame by frame: maps are large."""
    if found.shape[1:] != expected.shape[1:]:  # which NumPy might broadcast
        raise ValueError(f"maps of shape {found.shape} beside {expected.shape}")
    pairs = zip(found, rows, strict=True)
    return float(np.max([np.abs(one[where].astype(np.float64) - expected[row][where]).max() for one, row in pairs]))


def _deviation(maps: NDArray[np.float32], where: NDArray[np.bool_] | EllipsisType) -> float:
    """The standard deviation of maps [n, H, W], above 0, in float64: squares of large values overflow float32."""
    mean = np.mean([each[where].mean(dtype=np.float64) for each in maps])
    variance = np.mean([np.square(each[where] - mean).mean() for each in maps])
    return max(float(np.sqrt(variance)), float(np.finfo(np.float32).tiny))  # of a constant map it is 0


def tolerance_of(recipe: Recipe) -> float:
    """The tolerance of a detector's precision."""
    return TOLERANCE[recipe.precision]
