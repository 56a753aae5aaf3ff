"""The parity gate: the exported file against the plain formulas, on real good images, before anything is written.

Maps are compared relative to the standard deviation of the plain map's values; scores relative to the same; decisions
wherever a plain score lies outside a band around the threshold, in which rounding alone may decide. How many scores lie
inside the band is reported, so that a gate that compares nothing cannot pass unseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.model import TrainedRun
from calibration.scoring import Moments
from export.folding import FoldedNetwork
from export.fused import FusedDetector
from runtime.engines import Engine
from runtime.errors import ParityError

# largest deviation allowed, of the map's standard deviation. FP32: reordered sums over up to 6,400 products, and the
# cancellation in S − T; FP16: ten bits of mantissa through four or five layers.
TOLERANCE = {"fp32": 1e-3, "fp16": 5e-2}
LARGEST_ACTIVATION = 16_000.0  # a quarter of FP16's largest number: room for parts unlike the parity frames


@dataclass(frozen=True)
class Parity:
    """What the gate measured."""

    frames: int
    map_deviation: float  # largest, of the map's standard deviation
    score_deviation: float  # largest, of the map's standard deviation
    tolerance: float
    decisions_compared: int
    decisions_differing: int
    scores_in_band: int
    largest_activation: float
    half: bool  # whether any convolution runs in FP16

    def check(self) -> None:
        """Raise `ParityError` with the first thing that is wrong: an overflow before the deviation that it causes."""
        if self.half and not self.largest_activation <= LARGEST_ACTIVATION:
            raise ParityError(
                f"an activation reached {self.largest_activation:.0f} on good images, {LARGEST_ACTIVATION:.0f} is "
                "allowed in FP16, which overflows at 65504; nothing was written. Use --precision fp32"
            )
        if not self.map_deviation <= self.tolerance or not self.score_deviation <= self.tolerance:
            raise ParityError(
                f"the exported file deviates from the formulas by {self.map_deviation:.2g} (maps) and "
                f"{self.score_deviation:.2g} (scores) of the map's deviation, {self.tolerance:g} is allowed; "
                "nothing was written. Use --precision fp32, or report it with the run folder"
            )
        if self.decisions_differing:
            raise ParityError(
                f"{self.decisions_differing} of {self.decisions_compared} decisions differ between the exported file "
                "and the formulas; nothing was written. Use --precision fp32, or report it with the run folder"
            )

    def describe(self) -> str:
        """One line for people."""
        return (
            f"parity on {self.frames} frames: maps within {self.map_deviation:.2g} and scores within "
            f"{self.score_deviation:.2g} of the map's deviation ({self.tolerance:g} allowed), "
            f"{self.decisions_compared} decisions equal, {self.scores_in_band} scores too near the threshold to "
            f"compare, largest activation {self.largest_activation:.1f}"
        )


def compare(
    trained: TrainedRun,
    moments: Sequence[Moments],
    threshold: float,
    engine: Engine,
    fused: FusedDetector,
    frames: NDArray[np.uint8],
    tolerance: float,
) -> Parity:
    """Compare `engine` with the plain formulas on prepared frames [n, H, W, 3], n ≥ 1."""
    plain = [trained.maps_and_scores(frame[None], moments) for frame in frames]
    plain_maps = np.concatenate([maps.cpu().numpy() for maps, _ in plain])
    plain_scores = np.concatenate([scores.cpu().numpy() for _, scores in plain])
    found = [engine.result(engine.submit(frame[None]), timeout_s=600) for frame in frames]
    maps = np.concatenate([output.anomaly_map for output in found])
    scores = np.concatenate([output.anomaly_score for output in found])
    deviation = float(plain_maps.std())
    outside = np.abs(plain_scores - threshold) > tolerance * deviation
    return Parity(
        frames=len(frames),
        map_deviation=float(np.abs(maps - plain_maps).max()) / deviation,
        score_deviation=float(np.abs(scores - plain_scores).max()) / deviation,
        tolerance=tolerance,
        decisions_compared=int(outside.sum()),
        decisions_differing=int(((scores > threshold) != (plain_scores > threshold))[outside].sum()),
        scores_in_band=int((~outside).sum()),
        largest_activation=largest_activation(fused, frames),
        half=any(net.half_from < len(net.weights) for net in fused.modules() if isinstance(net, FoldedNetwork)),
    )


@torch.no_grad()
def largest_activation(fused: FusedDetector, frames: NDArray[np.uint8]) -> float:
    """Largest magnitude that any convolution yields over prepared frames [n, H, W, 3].

    Computed in PyTorch: ONNX Runtime on a CPU runs FP16 convolutions in float32 and cannot show an overflow.
    """
    found: list[float] = []
    networks = [net for net in fused.modules() if isinstance(net, FoldedNetwork)]
    for net in networks:
        net.watcher = found.append
    try:
        for frame in frames:
            fused(torch.from_numpy(frame[None]))
    finally:
        for net in networks:
            net.watcher = None
    return float(np.max(found))  # NaN if any is, which `max` would drop
