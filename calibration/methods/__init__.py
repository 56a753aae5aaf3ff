"""The methods' finished runs, each in a file of its own: evidence written plainly, as the paper has it."""

from importlib import import_module
from pathlib import Path

from train.method import TrainedRun, file_of
from train.run_folder import RunFolder


def open_run(path: Path, device: str | None = None) -> TrainedRun:
    """Open a run folder of any method, on the device it was trained on unless another is named.

    Raises `InputError` when it is not a run folder, not finished, its options cannot be used, or its images were
    changed since.
    """
    folder = RunFolder(path)
    run: TrainedRun = import_module(f"calibration.methods.{file_of(folder.method)}").open_run(folder, device)
    return run
