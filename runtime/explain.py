"""What each kind of evidence saw: the terms whose weighted sum is the anomaly map."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import Output
from runtime.placement import Placement
from runtime.recipe import Recipe
from runtime.reduced import reduced
from runtime.scoring import smoothing_reach

Map = NDArray[np.float32]  # [H, W]
EXPLAINING = ("evidence", "regression_error", "predictive_variance")  # of `Output`


def normalized_evidence(recipe: Recipe, output: Output) -> NDArray[np.float32] | None:
    """Evidence of each kind in deviations from what good images show (equation 11), float32 [n, K, H, W].

    In the order of the recipe's `method.evidence`. None where the file does not explain itself.
    """
    if output.evidence is not None:
        mean, deviation = (
            np.array([getattr(kind, name) for kind in recipe.method.evidence], np.float32)[:, None, None]
            for name in ("mean", "deviation")
        )
        return np.asarray((output.evidence - mean) / deviation, np.float32)
    if output.regression_error is None:
        return None
    if output.predictive_variance is None:
        return output.regression_error
    pairs = np.stack([output.regression_error, output.predictive_variance], axis=2)  # [n, L, 2, H, W]
    return pairs.reshape(len(pairs), -1, *pairs.shape[3:])


@dataclass(frozen=True, eq=False)
class Explanation:
    """What each kind of evidence has to do with one frame's map; worked out when it is asked for."""

    recipe: Recipe
    output: Output  # of one frame, of a file that explains itself; where frames are aligned, of the aligned one
    placed: Placement | None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Their names, in the order of the recipe."""
        return tuple(kind.name for kind in self.recipe.method.evidence)

    def terms(self, longest: int) -> NDArray[np.float32]:
        """The anomaly map's terms over the picture, for showing, float32 [K, h, w] of at most `longest` pixels a side.

        Equation 12 adds them: `weight` · normalized evidence, smoothed as the map is. Where scores are by position they
        are of the map before that.
        """
        share = min(1.0, longest / max(self.recipe.size_hw))
        smaller = _with_each(self.output, lambda values: reduced(values, longest))
        found = self._terms(smaller, self.recipe.scoring.smoothing * share)
        return found if self.placed is None else np.stack([self.placed.in_picture(each) for each in found])

    def at_the_highest(self) -> dict[str, float]:
        """The terms by kind at the place of the highest score, the largest first."""
        scored, chosen = self.output.scored_map[0], self.recipe.scoring.inspected(self.recipe.size_hw)
        inside = scored if chosen is None else np.where(chosen.mask, scored, -np.inf)
        y, x = map(int, np.unravel_index(int(inside.argmax()), inside.shape))
        # what lies further away has no part in the smoothed value, and a cut there does not show in it
        reach = smoothing_reach(self.recipe.scoring.smoothing)
        top, left = max(0, y - 2 * reach), max(0, x - 2 * reach)
        near = _with_each(self.output, lambda values: values[top : y + 2 * reach + 1, left : x + 2 * reach + 1])
        values = self._terms(near, self.recipe.scoring.smoothing)[:, y - top, x - left]
        found = {kind: float(value) for kind, value in zip(self.kinds, values, strict=True)}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def _terms(self, output: Output, smoothing: float) -> NDArray[np.float32]:
        normalized = normalized_evidence(self.recipe, output)
        assert normalized is not None
        weights = np.array([kind.weight for kind in self.recipe.method.evidence], np.float32)
        found = np.asarray(normalized[0] * weights[:, None, None], np.float32)
        return np.stack([_smoothed(each, smoothing) for each in found]) if smoothing else found


def explained(recipe: Recipe, output: Output, placed: Placement | None) -> Explanation | None:
    """The explanation of one frame; None where the file does not explain itself."""
    has_any = any(getattr(output, name) is not None for name in EXPLAINING)
    return Explanation(recipe, output, placed) if has_any else None


def _with_each(output: Output, function: Callable[[Map], Map]) -> Output:
    """The output of one frame with `function` of each map of evidence."""
    found = {name: getattr(output, name) for name in EXPLAINING}
    changed = {
        name: np.stack([function(each) for each in maps[0]])[None] for name, maps in found.items() if maps is not None
    }
    return replace(output, **changed)


def _smoothed(values: Map, sigma: float) -> Map:
    """As `calibration.maps.smoothed`."""
    side = 2 * smoothing_reach(sigma) + 1
    return np.asarray(cv2.GaussianBlur(values, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)
