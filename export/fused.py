"""The fused detector: frames in, anomaly map and score out, in one graph without a normalization left outside."""

from typing import Any

import torch
from torch import Tensor, nn

from calibration.calibrated import CalibratedRun
from calibration.maps import anomaly_score, smoothed, upsampled, within
from export.graphs import evidence_graph
from runtime.recipe import Evidence, constants_of
from train.dense import Form


class Calibration(nn.Module):
    """What good images decide, as constants of the graph whose names and places a device knows (`constants_of`)."""

    scale: Tensor
    shift: Tensor
    position_mean: Tensor
    position_factor: Tensor

    def __init__(self, run: CalibratedRun) -> None:
        super().__init__()
        for name, value in constants_of(evidence_of(run)).items():
            self.register_buffer(name, torch.from_numpy(value))
        if run.positions is not None:
            self.register_buffer("position_mean", run.positions.mean.cpu())
            self.register_buffer("position_factor", 1 / run.positions.deviation.cpu())

    def anomaly_map(self, evidence: Tensor) -> Tensor:
        """Equations 11 and 12 as one scale and shift for each kind: [N, h, w] of raw evidence [N, K, h, w]."""
        weighted = evidence * self.scale + self.shift
        return weighted[:, 0] if weighted.shape[1] == 1 else weighted.sum(dim=1)

    def by_position(self, maps: Tensor) -> Tensor:
        """Anomaly maps [N, H, W] in deviations from what good images show at each position."""
        return (maps - self.position_mean) * self.position_factor


class FusedDetector(nn.Module):
    """Everything from uint8 frames to score: the graph that is exported."""

    def __init__(self, run: CalibratedRun, *, form: Form = "bailer", half: bool = False, explain: bool = False) -> None:
        """`explain` adds the raw evidence as an output. Raises as `export.graphs.evidence_graph`."""
        super().__init__()
        trained = run.trained
        self.evidence: Any = evidence_graph(trained, form, half)
        self.calibration = Calibration(run)
        self.stride, self.scoring, self.explain = trained.stride, trained.scoring, explain

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order of `forward`."""
        names = ["anomaly_map", "anomaly_score"]
        names += ["deviation_map"] if self.scoring.by_position else []
        return [*names, "evidence"] if self.explain else names

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Map [N, H, W] and score [N] of prepared frames, uint8 [N, H, W, 3], BGR; all outputs are float32.

        With scores by position also that map [N, H, W], with `explain` the raw evidence [N, K, H, W].
        """
        size_hw = (int(frames.shape[1]), int(frames.shape[2]))
        pixels = frames.float().permute(0, 3, 1, 2)  # cast first: TensorRT may do nothing else with uint8
        evidence = self.evidence(pixels)
        # the sum over the kinds before the upsampling: both are linear, and one upsampling is cheaper than several
        coarse = self.calibration.anomaly_map(evidence)
        anomaly_map = smoothed(upsampled(coarse[:, None], size_hw, self.stride)[:, 0], self.scoring.smoothing)
        outputs = [anomaly_map]
        if self.scoring.by_position:
            deviation_map = self.calibration.by_position(anomaly_map)
            outputs += [self._score(deviation_map), deviation_map]
        else:
            outputs += [self._score(anomaly_map)]
        return (*outputs, upsampled(evidence, size_hw, self.stride)) if self.explain else tuple(outputs)

    def _score(self, scored: Tensor) -> Tensor:
        if self.scoring.score_pixels == 1:  # the same as the mean of one highest value, without a sort
            return within(scored, self.scoring.region_of_interest).flatten(1).amax(dim=1)
        return anomaly_score(scored, self.scoring)


def evidence_of(run: CalibratedRun) -> tuple[Evidence, ...]:
    """The kinds of evidence with their statistics, as the recipe has them."""
    kinds = zip(run.trained.kinds, run.moments, strict=True)
    return tuple(Evidence(kind.name, kind.weight, moments.mean, moments.deviation) for kind, moments in kinds)
