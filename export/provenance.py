"""Where an exported file comes from: versions, commit, time."""

import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from runtime.recipe import Provenance
from train.data import Split

PACKAGES = ("proctor", "numpy", "onnx", "onnxruntime", "opencv-python-headless", "torch", "torchvision")


def provenance(split: Split) -> Provenance:
    """That of a file exported now from the images of `split`."""
    return Provenance(
        images=split.counts,
        images_sha256=split.images_sha256,
        versions=versions(),
        commit=commit(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a detector, as far as they are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # OpenCV comes under several names, and Proctor may run from a checkout
    return found


def commit() -> str:
    """The commit of the checkout that Proctor runs from, or "unknown" when it runs from an installed package."""
    here = Path(__file__).parent
    try:
        tracked = subprocess.run(
            ["git", "ls-files", "--error-unmatch", Path(__file__).name], cwd=here, capture_output=True, timeout=5
        )
        if tracked.returncode:
            return "unknown"  # a package installed inside somebody else's repository
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return head.stdout.strip() or "unknown"
