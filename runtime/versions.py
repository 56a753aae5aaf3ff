"""Versions of what shapes a detector or a figure, and the commit that runs."""

import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python",
    "opencv-python-headless",
    "pillow",
    "proctor",
    "scikit-learn",
    "scipy",
    "simplejpeg",
    "tensorrt",
    "torch",
    "torchvision",
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


def release() -> str:
    """Proctor's own version; "unknown" where it is not installed."""
    try:
        return metadata.version("proctor")
    except metadata.PackageNotFoundError:
        return "unknown"


def commit() -> str:
    """The commit of the checkout that runs, marked ``+changes`` when tracked files differ from it.

    "unknown" for an installed package.
    """
    # an installed package may lie inside somebody else's repository: only one that starts at `ROOT` is ours
    if _git("rev-parse", "--show-toplevel") != str(ROOT):
        return "unknown"
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return _git("rev-parse", "HEAD") + ("+changes" if changes else "")


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _git(*arguments: str) -> str:
    try:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
