"""A finished detector among the compared methods: a ``detector.onnx``, or a calibrated run folder.

It was trained and calibrated before, on its own good images, so that fitting it does nothing: the table holds what the
product ships. It prepares frames at its own size, and its maps are enlarged to theirs. The score is the detector's own
(`anomaly_score`), with its region of interest.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.methods.base import (
    Frames,
    Inspected,
    Maps,
    Method,
    Scores,
    Setting,
    at_frame_size,
    check_frames,
    fitted,
)
from runtime.detector import Detector
from runtime.errors import InputError
from runtime.preparation import prepare


@dataclass(frozen=True)
class Options:
    """Options of a finished detector."""

    path: str = ""  # detector.onnx or a run folder


class FinishedDetector(Method):
    """A detector's engine, or a run's networks, behind the interface of a method."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """Raises what opening the file or folder raises."""
        self.size_hw: tuple[int, int] | None = None
        if path.is_dir():
            self._open_run(path, device)
        else:
            self._open_file(path, device)

    def fit(self, good: Frames) -> None:
        """Nothing but to learn the size of frames: a finished detector is fitted."""
        self.size_hw = check_frames(good)

    def inspect(self, frames: Frames) -> Inspected:
        """See `Method`."""
        size_hw = fitted(self.size_hw)
        check_frames(frames, size_hw)
        prepared = [prepare(frame, self.own_size_hw, self.alignment) for frame in frames]
        found = [self._answer(each.frame[None]) for each in prepared]
        in_frame = [
            m if p.placed is None else p.placed.in_picture(m[0])[None]
            for p, (m, _) in zip(prepared, found, strict=True)
        ]
        maps = np.concatenate([at_frame_size(torch.from_numpy(each), size_hw) for each in in_frame])
        return Inspected(maps, np.concatenate([scores for _, scores in found]))

    def _open_file(self, path: Path, device: str) -> None:
        detector = Detector.open(path, provider=device)
        self.own_size_hw, self.alignment = detector.recipe.size_hw, detector.recipe.alignment

        def answer(frames: Frames) -> tuple[Maps, Scores]:
            output = detector.engine.result(detector.engine.submit(frames))
            return output.anomaly_map, output.anomaly_score

        self._answer = answer

    def _open_run(self, path: Path, device: str) -> None:
        from calibration.calibrated import with_statistics
        from calibration.methods import open_run

        run = with_statistics(open_run(path, device))
        self.own_size_hw, self.alignment = run.trained.size_hw, run.trained.alignment

        def answer(frames: Frames) -> tuple[Maps, Scores]:
            maps, scores = run.maps_and_scores(frames)
            return maps.float().cpu().numpy(), scores.float().cpu().numpy()

        self._answer = answer


def make(options: Options, setting: Setting) -> Method:
    """The method. Raises `InputError` when no detector was named."""
    if not options.path:
        raise InputError("the method 'detector' needs a file; name it with --set detector.path=detector.onnx")
    return FinishedDetector(Path(options.path), setting.device)
