"""The gate of an INT8 file: what it loses against the FP32 file it was made from, and whether it is faster.

An INT8 map is not the FP32 map to within rounding; what counts is whether it says the same. So the gate looks at the
correlation of the maps on held-out good frames, which are the hardest ones (there is nothing on them but the small
differences that quantization blurs), at the decisions, and with defective images at hand at what they are for.
Of a file that knows all good images, each is left out of both files in turn: with it, nothing is found on it.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.metrics import au_pro, auroc
from calibration.threshold import fit_threshold
from runtime.engines import Engine
from runtime.errors import ParityError
from runtime.interest import Inspected
from runtime.parity import FRAME_TIMEOUT_S
from runtime.threshold import Threshold

FRAMES = 16  # whose maps are kept
FEWEST_TURNS = 12  # for the speed
WARM_UP = 2
PRO_LIMIT = 0.3


@dataclass(frozen=True)
class _Answer:
    score: float
    scored_map: NDArray[np.float32]
    seconds: float


@dataclass(frozen=True)
class Scores:
    """Of one file: image scores of good and defective images, [n] each, maps [n, H, W] of some good, of all defective.

    Good images that the file knows were left out of it, each for its own score and map.

    The maps are those that scores and regions are of: by position the deviation maps, which the others go into.
    `seconds` [n] are those of each good frame, beside those of the other file.
    """

    good: NDArray[np.float64]
    maps: NDArray[np.float32]
    seconds: NDArray[np.float64]
    bad: NDArray[np.float64]
    bad_maps: NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """What the gate measured; the fields are those of `runtime.recipe.Quantization`."""

    frames: int
    map_correlation: float
    decisions: int
    decisions_differing: int
    defective_images: int
    image_auroc_loss: float | None
    au_pro_loss: float | None
    speed: float
    speed_on: str

    def check(self, margin: float, allow_slower: bool) -> None:
        """Raise `ParityError` with the first thing that is lost, or when nothing is gained."""
        losses = {
            f"the maps' correlation is {self.map_correlation:.4f} over {self.frames} good frames": (
                1 - self.map_correlation
            ),
            f"{self.decisions_differing} of {self.decisions} decisions on good images differ": (
                self.decisions_differing / self.decisions
            ),
            f"the image AUROC is {self.image_auroc_loss or 0:.4f} lower": self.image_auroc_loss or 0.0,
            f"the AU-PRO is {self.au_pro_loss or 0:.4f} lower": self.au_pro_loss or 0.0,
        }
        for finding, loss in losses.items():
            if not loss <= margin:
                raise ParityError(
                    f"in INT8 {finding} (a loss of {margin:g} is allowed); nothing was written. "
                    "Keep the FP32 file, or give more images (--images), other ranges (--ranges) or a wider --margin"
                )
        if not self.speed > 1 and not allow_slower:
            raise ParityError(
                f"INT8 gains nothing on this machine: {self.speed:.2f} times the FP32 file's speed ({self.speed_on}); "
                "nothing was written. Keep the FP32 file; to build for another machine, give --allow-slower"
            )

    def describe(self) -> str:
        """A few lines for people."""
        lines = [
            f"against FP32: correlation of the maps {self.map_correlation:.4f} over {self.frames} good frames, "
            f"{self.decisions_differing} of {self.decisions} decisions on good images differ"
        ]
        if self.image_auroc_loss is not None:
            pro = "" if self.au_pro_loss is None else f", AU-PRO {-self.au_pro_loss:+.4f}"
            lines += [f"{self.defective_images} defective images: image AUROC {-self.image_auroc_loss:+.4f}{pro}"]
        slower = "" if self.speed > 1 else "; it is no faster HERE, which was allowed"
        return "\n".join([*lines, f"{self.speed:.2f} times the speed ({self.speed_on}){slower}"])


def score_in_turns(
    fp32: Engine, int8: Engine, good: Iterable[NDArray[np.uint8]], bad: Iterable[NDArray[np.uint8]]
) -> tuple[Scores, Scores]:
    """What two engines say of the same prepared frames [1, H, W, 3], one good one at least.

    Who is first changes from frame to frame. Good frames too few to time are shown again.
    """
    turns: list[list[_Answer]] = []
    for frame in good:
        for _ in range(0 if turns else WARM_UP):
            _both(fp32, int8, frame, 0)
        turns.append(_both(fp32, int8, frame, len(turns)))
    again = [_both(fp32, int8, frame, turn) for turn in range(len(turns), FEWEST_TURNS)]
    defective = [_both(fp32, int8, each, turn) for turn, each in enumerate(bad)]
    first, second = (
        _scores(*([turn[which] for turn in some] for some in (turns, again, defective))) for which in (0, 1)
    )
    return first, second


def threshold_of(scores: Scores, like: Threshold) -> Threshold:
    """The threshold of a file's own scores of good images. Raises `ParityError` for a score that is not finite."""
    bad = int(np.count_nonzero(~np.isfinite(scores.good)))
    if bad:
        raise ParityError(f"{bad} of {len(scores.good)} good images score NaN or infinite; nothing was written")
    return fit_threshold(scores.good, like.budget, like.confidence, left_out=like.left_out)


def compare(
    fp32: Scores,
    int8: Scores,
    like: Threshold,
    masks: Sequence[NDArray[np.bool_]] | None,
    speed_on: str,
    inspected: Inspected | None = None,
) -> Comparison:
    """Compare two files' scores; `masks` are those of the defective images, None where they are not known.

    Maps correlate where they are `inspected`, everywhere for None; the AU-PRO is of whole maps, as masks are.

    Both are judged at thresholds fitted alike on their own scores, as `like` asks for, and as if every region counted:
    a region that is large enough in one file and too small in the other is not looked for.
    """
    rejected = [scores.good > threshold_of(scores, like).value for scores in (fp32, int8)]
    chosen = np.ones(fp32.maps.shape[1:], np.bool_) if inspected is None else inspected.mask
    flat = [scores.maps[:, chosen].astype(np.float64).ravel() for scores in (fp32, int8)]
    with np.errstate(invalid="ignore", divide="ignore"):  # a constant map has no correlation: NaN, which is refused
        correlation = float(np.corrcoef(flat[0], flat[1])[0, 1])
    auroc_loss, pro_loss = None, None
    if len(fp32.bad):
        auroc_loss = _auroc(fp32) - _auroc(int8)
        pro_loss = None if masks is None else _au_pro(fp32, masks) - _au_pro(int8, masks)
    return Comparison(
        frames=len(fp32.maps),
        map_correlation=correlation,
        decisions=len(rejected[0]),
        decisions_differing=int((rejected[0] != rejected[1]).sum()),
        defective_images=len(fp32.bad),
        image_auroc_loss=auroc_loss,
        au_pro_loss=pro_loss,
        speed=float(np.median(fp32.seconds / int8.seconds)),
        speed_on=speed_on,
    )


def _auroc(scores: Scores) -> float:
    labels = np.arange(len(scores.good) + len(scores.bad)) >= len(scores.good)
    return auroc(np.concatenate([scores.good, scores.bad]), labels)


def _au_pro(scores: Scores, masks: Sequence[NDArray[np.bool_]]) -> float:
    clean = [np.zeros(each.shape, np.bool_) for each in scores.maps]
    return au_pro([*scores.maps, *scores.bad_maps], [*clean, *masks], PRO_LIMIT)


def _both(fp32: Engine, int8: Engine, frame: NDArray[np.uint8], turn: int) -> list[_Answer]:
    if turn % 2 == 0:
        return [_ask(fp32, frame), _ask(int8, frame)]
    return [_ask(int8, frame), _ask(fp32, frame)][::-1]


def _ask(engine: Engine, frame: NDArray[np.uint8]) -> _Answer:
    start = time.perf_counter()
    output = engine.result(engine.submit(frame), FRAME_TIMEOUT_S)
    seconds = time.perf_counter() - start
    return _Answer(float(output.anomaly_score[0]), output.scored_map[0], seconds)


def _scores(good: list[_Answer], again: list[_Answer], bad: list[_Answer]) -> Scores:
    return Scores(
        good=np.array([answer.score for answer in good]),
        maps=np.stack([answer.scored_map for answer in good[:FRAMES]]),
        seconds=np.array([answer.seconds for answer in (*good, *again)]),
        bad=np.array([answer.score for answer in bad]),
        bad_maps=np.array([answer.scored_map for answer in bad], np.float32),
    )
