"""The steps of a training that can be killed: progress, log and checkpoints, and on from the last one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from train.checks import check_finite
from train.files import load_checkpoint, save_checkpoint
from train.progress import Progress
from train.run_folder import RunFolder

LOG_EVERY = 50  # steps


@dataclass(frozen=True)
class Steps:
    """What a training's steps change, and how often it is kept."""

    folder: RunFolder
    name: str  # for people
    checkpoint: Path
    modules: Mapping[str, nn.Module]
    optimizer: Optimizer
    steps: int
    checkpoint_every: int
    learning_rate: float  # for a sentence on a training that diverged
    entry: Mapping[str, object]  # what each line of the log says, too

    def run(self, step: Callable[[int], Tensor], stop_after: int | None) -> tuple[int, int, float | None]:
        """Take the steps that are left, `stop_after` at most; `step` takes one and returns its loss.

        Returns the first step, the one behind the last, and the last loss, also where no step was left; it is None of
        a checkpoint from before losses were kept. Raises `InputError` for a damaged checkpoint, and for a loss that is
        not finite.
        """
        optimizers: dict[str, Any] = {"adam": self.optimizer}
        start: int = 0
        value: float | None = None
        if self.checkpoint.exists():
            kept = load_checkpoint(self.checkpoint, self.modules, optimizers)
            start, value = kept["step"], kept.get("loss")
        end = self.steps if stop_after is None else min(self.steps, start + stop_after)
        bar = Progress(range(start, end), self.name, self.steps, start=start, leave=True)
        for number in bar:
            loss = step(number)
            done = number + 1
            at_checkpoint = done % self.checkpoint_every == 0 or done == end
            if done % LOG_EVERY == 0 or at_checkpoint or bar.is_due():
                value = loss.item()
                check_finite({"loss": value}, done, self.learning_rate)
                bar.show(loss=value)
            if done % LOG_EVERY == 0 or done == end:
                self.folder.log(**self.entry, step=done, loss=value)
            if at_checkpoint:
                save_checkpoint(self.checkpoint, self.modules, optimizers, {"step": done, "loss": value})
        return start, end, value
