"""``python -m runtime.set_threshold FILE VALUE``: `runtime.adjust` with the threshold as a second word."""

from pathlib import Path

from runtime.adjust import adjust, run_command
from runtime.cli import run


def main() -> None:
    """The command."""
    run_command("runtime.set_threshold", "threshold")


def set_threshold(path: Path | str, value: float, key_file: Path | str | None = None) -> float:
    """Write `value` into the detector file at `path`, and return the threshold it had; see `runtime.adjust.adjust`."""
    return adjust(path, {"threshold": value}, key_file).before.threshold.value


if __name__ == "__main__":
    run(main)
