"""The fused detector: frames in, anomaly map and score out, in one graph without a normalization left outside."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from calibration.calibrated import CalibratedRun
from calibration.maps import smoothed, upsampled, within
from export.graphs import evidence_graph
from export.tiles import in_tiles, tiles_of
from runtime.interest import UNSEEN, Inspected
from runtime.recipe import Evidence, ImageEvidence, constants_of
from train.dense import Form


class Calibration(nn.Module):
    """What good images decide, as constants of the graph whose names and places a device knows (`constants_of`)."""

    scale: Tensor
    shift: Tensor
    position_mean: Tensor
    position_factor: Tensor
    image_centre: Tensor
    image_weight: Tensor
    image_bias: Tensor
    image_mean: Tensor
    image_factor: Tensor

    def __init__(self, run: CalibratedRun) -> None:
        super().__init__()
        for name, value in constants_of(evidence_of(run)).items():
            self.register_buffer(name, torch.from_numpy(value))
        if run.image is not None:
            for name, tensor in run.image.constants.items():
                self.register_buffer(name, tensor)
        if run.positions is not None:
            self.register_buffer("position_mean", run.positions.mean.cpu())
            self.register_buffer("position_factor", 1 / run.positions.deviation.cpu())

    def anomaly_map(self, evidence: Tensor) -> Tensor:
        """Equations 11 and 12 as one scale and shift for each kind: [N, h, w] of raw evidence [N, K, h, w]."""
        weighted = evidence * self.scale + self.shift
        return weighted[:, 0] if weighted.shape[1] == 1 else weighted.sum(dim=1)

    def of_image(self, features: Tensor) -> Tensor:
        """Scores [N, 1] of the whole frame, of pooled features [N, P]; see `calibration.image_evidence`."""
        whitened = functional.linear(features - self.image_centre, self.image_weight, self.image_bias)
        raw = whitened.square().sum(dim=1, keepdim=True).sqrt()
        return (raw - self.image_mean) * self.image_factor

    def by_position(self, maps: Tensor) -> Tensor:
        """Anomaly maps [N, H, W] in deviations from what good images show at each position."""
        return (maps - self.position_mean) * self.position_factor


class RegionMask(nn.Module):
    """Named regions: nothing is seen outside them, and no score is taken there.

    Constants of booleans in the graph; a gather of single pixels would be a constant of eight bytes for each, and slow
    where hardware has no fast one.
    """

    mask: Tensor
    boxed: Tensor

    def __init__(self, inspected: Inspected) -> None:
        super().__init__()
        self.rows, self.columns = (_extent(np.asarray(inspected.mask.any(axis=axis))) for axis in (1, 0))
        self.register_buffer("mask", torch.from_numpy(inspected.mask.copy()))
        self.register_buffer("boxed", torch.from_numpy(inspected.mask[self.rows, self.columns].copy()))

    def seen(self, pixels: Tensor) -> Tensor:
        """Raw pixels [N, 3, H, W], grey outside; see `runtime.interest.blinded`."""
        return torch.where(self.mask, pixels, float(UNSEEN))

    def forward(self, maps: Tensor) -> Tensor:
        """Values [N, n] of maps [N, H, W] in the box around all regions, the least number there is in between."""
        inside = torch.where(self.boxed, maps[:, self.rows, self.columns], torch.finfo(maps.dtype).min)
        return inside.flatten(1)


def _extent(used: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(used)
    return slice(int(places[0]), int(places[-1]) + 1)


class FusedDetector(nn.Module):
    """Everything from uint8 frames to score: the graph that is exported."""

    def __init__(
        self,
        run: CalibratedRun,
        *,
        form: Form = "bailer",
        half: bool = False,
        explain: bool = False,
        tiles: tuple[int, int] = (1, 1),
    ) -> None:
        """`explain` adds the raw evidence as an output; `tiles` are rows and columns (`export.tiles`).

        Raises as `export.graphs.evidence_graph` and `export.tiles.tiles_of`.
        """
        super().__init__()
        trained = run.trained
        self.evidence: Any = evidence_graph(trained, form, half)
        self.tiles = tiles_of(trained, self.evidence, tiles)
        self.calibration = Calibration(run)
        self.stride, self.scoring, self.explain = trained.stride, trained.scoring, explain
        self.image_evidence = run.image is not None
        chosen = self.scoring.in_regions(trained.size_hw)
        self.regions = None if chosen is None else RegionMask(chosen)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order of `forward`."""
        names = ["anomaly_map", "anomaly_score"]
        names += ["deviation_map"] if self.scoring.by_position else []
        names += ["evidence_scores"] if self.image_evidence else []
        return [*names, "evidence"] if self.explain else names

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Map [N, H, W] and score [N] of prepared frames, uint8 [N, H, W, 3], BGR; all outputs are float32.

        With scores by position also that map [N, H, W]; with image evidence the scores [N, 1 + J] of the map and of the
        whole frame, the highest of which is the score; with `explain` the raw evidence [N, K, H, W].
        """
        size_hw = (int(frames.shape[1]), int(frames.shape[2]))
        pixels = frames.float().permute(0, 3, 1, 2)  # cast first: TensorRT may do nothing else with uint8
        pixels = pixels if self.regions is None else self.regions.seen(pixels)
        evidence, pooled = in_tiles(self.evidence, self.tiles, self.stride, pixels)
        # the sum over the kinds before the upsampling: both are linear, and one upsampling is cheaper than several
        coarse = self.calibration.anomaly_map(evidence)
        anomaly_map = smoothed(upsampled(coarse[:, None], size_hw, self.stride)[:, 0], self.scoring.smoothing)
        outputs = [anomaly_map]
        if self.scoring.by_position:
            deviation_map = self.calibration.by_position(anomaly_map)
            outputs += [self._score(deviation_map), deviation_map]
            if self.image_evidence:
                of_image = self.calibration.of_image(self.evidence.pooling(pooled))
                evidence_scores = torch.cat([outputs[1][:, None], of_image], dim=1)
                outputs[1] = evidence_scores.amax(dim=1)
                outputs.append(evidence_scores)
        else:
            outputs += [self._score(anomaly_map)]
        return (*outputs, upsampled(evidence, size_hw, self.stride)) if self.explain else tuple(outputs)

    def _score(self, scored: Tensor) -> Tensor:
        inside = within(scored, self.scoring.region_of_interest) if self.regions is None else self.regions(scored)
        if self.scoring.score_pixels == 1:  # the same as the mean of one highest value, without a sort
            return inside.amax(dim=1)
        return inside.topk(self.scoring.score_pixels, dim=1).values.mean(dim=1)


def image_evidence_of(run: CalibratedRun) -> tuple[ImageEvidence, ...]:
    """The evidence of the whole frame with its statistics, as the recipe has it; none where there is none."""
    if run.image is None:
        return ()
    looks_at = f"mean and deviation of the features of {run.trained.pooled} over the frame"
    return (ImageEvidence("whole frame", looks_at, run.image.evidence_mean, run.image.evidence_deviation),)


def evidence_of(run: CalibratedRun) -> tuple[Evidence, ...]:
    """The kinds of evidence with their statistics, as the recipe has them."""
    kinds = zip(run.trained.kinds, run.moments, strict=True)
    return tuple(Evidence(kind.name, kind.weight, moments.mean, moments.deviation) for kind, moments in kinds)
