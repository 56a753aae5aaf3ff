"""The parity gate: the exported file against the plain formulas, on real good images, before anything is written."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from calibration.calibrated import CalibratedRun, of_pixels
from export.folding import FoldedNetwork
from export.fused import FusedDetector
from runtime.engines import Engine
from runtime.errors import ParityError
from runtime.parity import Agreement, Scored, agreement_with
from train.progress import Progress

LARGEST_ACTIVATION = 16_000.0  # a quarter of FP16's largest number: room for parts unlike the parity frames
BATCH = 2  # frames at once, beside one by one: whatever mixes frames of a batch mixes two, and more take more memory
REPORT = "report it with the run folder"
FP32 = "give --precision fp32 (python -m train: --export-precision fp32)"


@dataclass(frozen=True)
class Parity:
    """What the gate measured."""

    agreement: Agreement
    largest_activation: float
    half: bool  # whether any convolution runs in FP16
    form: str | None = None  # where the form was left to export: which was taken and why

    def check(self) -> None:
        """Raise `ParityError` with the first thing that is wrong: an overflow before the deviation that it causes."""
        if self.half and not self.largest_activation <= LARGEST_ACTIVATION:
            raise ParityError(
                f"an activation reached {self.largest_activation:.0f} on good images, {LARGEST_ACTIVATION:.0f} is "
                "allowed in FP16, which overflows at 65504; nothing was written; "
                f"{FP32}"
            )
        problem = self.agreement.problem("the exported file", "the formulas")
        if problem:
            raise ParityError(f"{problem}; nothing was written; {FP32 + ', or ' if self.half else ''}{REPORT}")

    def describe(self) -> str:
        """What was measured, for people; a second line where the form was chosen."""
        text = f"{self.agreement.describe()}, largest activation {self.largest_activation:.1f}"
        return text if self.form is None else f"{text}\nform: {self.form}"


def compare(
    run: CalibratedRun,
    threshold: float,
    engine: Engine,
    fused: FusedDetector,
    frames: NDArray[np.uint8],
    tolerance: float,
) -> Parity:
    """Compare `engine` with the plain formulas on prepared frames [n, H, W, 3], n ≥ 1, one by one and two at once."""
    shown = Progress(frames, "parity", len(frames), unit="frame")
    plain = [run.maps_and_scores(frame[None]) for frame in shown]
    maps = torch.cat([maps.cpu() for maps, _ in plain])
    scores = torch.cat([scores.cpu() for _, scores in plain])
    expected = Scored(
        maps.numpy(),
        scores.amax(dim=1).numpy(),
        None if run.positions is None else run.scored(maps).numpy(),
        None if run.image is None else scores.numpy(),
        _evidence(run, frames) if fused.explain else None,
    )
    inspected = run.trained.scoring.inspected(run.trained.size_hw)
    return Parity(
        agreement=agreement_with(engine, frames, expected, threshold, tolerance, inspected, BATCH),
        largest_activation=largest_activation(fused, frames),
        half=any(parameter.dtype == torch.float16 for parameter in fused.parameters()),
    )


def _evidence(run: CalibratedRun, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The raw evidence [n, K, H, W] of prepared frames by the plain formulas, computed anew: few files have it."""
    found = [of_pixels(run.trained, run.trained.evidence(frame[None])).cpu() for frame in frames]
    return np.asarray(torch.cat(found).numpy())


@torch.no_grad()
def largest_activation(fused: FusedDetector, frames: NDArray[np.uint8]) -> float:
    """Largest magnitude that any convolution yields over prepared frames [n, H, W, 3].

    Computed in PyTorch: ONNX Runtime on a CPU runs FP16 convolutions in float32 and cannot show an overflow.
    """
    found: list[float] = []
    networks = [net for net in fused.modules() if isinstance(net, FoldedNetwork)]
    for net in networks:
        net.watcher = found.append
    hooks = [
        module.register_forward_hook(lambda module, given, out: found.append(float(out.abs().max())))
        for module in fused.modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        for frame in frames:
            fused(torch.from_numpy(frame[None]))
    finally:
        for net in networks:
            net.watcher = None
        for hook in hooks:
            hook.remove()
    return float(np.max(found, initial=0.0))  # NaN if any is, which `max` would drop; 0 without convolutions
