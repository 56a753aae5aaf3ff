"""The fused detector: frames in, anomaly map and score out, in one graph without a normalization left outside."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from calibration.model import TrainedRun
from calibration.scoring import Moments, Positions, anomaly_score, relative, smoothed, upsampled, within
from export.folding import FoldedNetwork
from train.dense import Form, descriptors_of_padded, reflect_padded
from train.ensemble import Scale


class FusedScale(nn.Module):
    """One scale: teacher and students folded, with equation 11 as one scale and shift per term."""

    def __init__(self, scale: Scale, moments: Moments, half: bool, in_relation: bool) -> None:
        super().__init__()
        self.teacher = FoldedNetwork(scale.teacher.network, half).standardized(scale.teacher).finished()
        self.students = nn.ModuleList(FoldedNetwork(student, half).finished() for student in scale.students)
        self.moments, self.in_relation = moments, in_relation

    def forward(self, pixels: Tensor, stride: int, form: Form) -> tuple[Tensor, Tensor | None]:
        """Normalized regression error and predictive variance [N, h, w] at every `stride`-th position.

        Of raw pixels [N, 3, H, W]. The variance is None for a single student.
        """
        padded = reflect_padded(self.teacher.layers, pixels, stride)

        def dense(network: FoldedNetwork) -> Tensor:
            return descriptors_of_padded(network, padded, stride, form, pixels.shape)

        students = [dense(student) for student in self.students]  # type: ignore[arg-type]
        mean = students[0] if len(students) == 1 else torch.stack(students).mean(dim=0)
        teacher, moments = dense(self.teacher), self.moments
        error = (mean - teacher).square().sum(dim=1)
        error = relative(error, teacher) if self.in_relation else error
        error = error * (1 / moments.error_std) - moments.error_mean / moments.error_std
        if moments.variance_mean is None or moments.variance_std is None:
            return error, None
        # two passes, as calibration.scoring has it: the difference of squares loses 15 to 170 % in FP16
        variance = _mean([(student - mean).square().sum(dim=1) for student in students])
        variance = relative(variance, teacher) if self.in_relation else variance
        return error, variance * (1 / moments.variance_std) - moments.variance_mean / moments.variance_std


class FusedDetector(nn.Module):
    """Everything from uint8 frames to score: the graph that is exported."""

    position_mean: Tensor
    position_factor: Tensor

    def __init__(
        self,
        scales: Sequence[Scale],
        moments: Sequence[Moments],
        *,
        output_stride: int,
        in_relation: bool = False,
        smoothing: float = 0.0,
        positions: Positions | None = None,
        score_pixels: int = 1,
        region_of_interest: tuple[int, int, int, int] | None = None,
        form: Form = "bailer",
        half: bool = False,
        explain: bool = False,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(FusedScale(s, m, half, in_relation) for s, m in zip(scales, moments, strict=True))
        self.output_stride, self.smoothing, self.score_pixels = output_stride, smoothing, score_pixels
        self.region_of_interest, self.form, self.explain = region_of_interest, form, explain
        self.by_position = positions is not None
        if positions is not None:
            self.register_buffer("position_mean", positions.mean.cpu())
            self.register_buffer("position_factor", 1 / positions.deviation.cpu())

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order of `forward`."""
        names = ["anomaly_map", "anomaly_score"]
        names += ["deviation_map"] if self.by_position else []
        if self.explain:
            names += ["regression_error"]
            names += ["predictive_variance"] if self._has_variance else []
        return names

    @property
    def _has_variance(self) -> bool:
        scale = self.scales[0]
        return isinstance(scale, FusedScale) and scale.moments.variance_mean is not None

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Map [N, H, W] and score [N] of prepared frames, uint8 [N, H, W, 3], BGR; all outputs are float32.

        With positions also the map by position [N, H, W], with `explain` the normalized terms [N, L, H, W].
        """
        size_hw = (int(frames.shape[1]), int(frames.shape[2]))
        pixels = frames.float().permute(0, 3, 1, 2)  # cast first: TensorRT may do nothing else with uint8
        terms = [scale(pixels, self.output_stride, self.form) for scale in self.scales]
        per_scale = [error if variance is None else error + variance for error, variance in terms]
        # the mean over the scales before the upsampling: both are linear, and one upsampling is cheaper than several
        anomaly_map = smoothed(upsampled(_mean(per_scale), size_hw, self.output_stride), self.smoothing)
        if self.by_position:
            deviation_map = (anomaly_map - self.position_mean) * self.position_factor
            outputs = [anomaly_map, self._score(deviation_map), deviation_map]
        else:
            outputs = [anomaly_map, self._score(anomaly_map)]
        if self.explain:
            outputs += [self._upsampled_terms([error for error, _ in terms], size_hw)]
            outputs += [self._upsampled_terms([v for _, v in terms], size_hw)] if self._has_variance else []
        return tuple(outputs)

    def _score(self, scored: Tensor) -> Tensor:
        if self.score_pixels == 1:  # the same as the mean of one highest value, without a sort
            return within(scored, self.region_of_interest).flatten(1).amax(dim=1)
        return anomaly_score(scored, self.score_pixels, self.region_of_interest)

    def _upsampled_terms(self, terms: Sequence[Tensor], size_hw: tuple[int, int]) -> Tensor:
        return torch.stack([upsampled(term, size_hw, self.output_stride) for term in terms], dim=1)


def fused_of_run(
    trained: TrainedRun,
    moments: Sequence[Moments],
    positions: Positions | None,
    *,
    form: Form = "bailer",
    half: bool = False,
    explain: bool = False,
) -> FusedDetector:
    """The fused detector of a run folder: what changes a score is as the run has it, the rest is given here."""
    config = trained.config
    return FusedDetector(
        trained.scales,
        moments,
        output_stride=config.output_stride,
        in_relation=config.relative,
        smoothing=config.smoothing,
        positions=positions,
        score_pixels=config.score_pixels,
        region_of_interest=config.region_of_interest,
        form=form,
        half=half,
        explain=explain,
    )


def _mean(maps: Sequence[Tensor]) -> Tensor:
    return maps[0] if len(maps) == 1 else torch.stack(list(maps)).mean(dim=0)
