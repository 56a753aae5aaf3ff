"""Where and with what a figure was measured. Every benchmark's JSON carries it."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTIONS = (
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python",
    "opencv-python-headless",
    "proctor",
    "scipy",
    "tensorrt",
    "torch",
    "torchvision",
)


def describe_environment() -> dict[str, object]:
    """Machine, operating system, versions, date and commit, ready for JSON.

    `cores` are those that this process may use. `packages` holds what is installed of `DISTRIBUTIONS`. `commit` is that
    of the checkout that runs, marked ``+changes`` when tracked files differ from it, and "unknown" for an installed
    package.
    """
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": _installed_versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(ROOT),
    }


def one_line(environment: dict[str, object]) -> str:
    """The machine as a line below a table of figures."""
    return (
        f"{environment['cpu']}, {environment['cores']} cores, {environment['os']}, Python {environment['python']},"
        f" commit {str(environment['commit'])[:12]}"
    )


def _cpu_model() -> str:
    for line in _text("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    # ARM kernels give no model name; a board names itself in its device tree
    return _text("/proc/device-tree/model").strip("\0\n ") or platform.processor() or platform.machine()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _installed_versions() -> dict[str, str]:
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _commit(root: Path) -> str:
    # an installed package may lie inside somebody else's repository: only one that starts at `root` is ours
    if _git(root, "rev-parse", "--show-toplevel") != str(root):
        return "unknown"
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return _git(root, "rev-parse", "HEAD") + ("+changes" if changes else "")


def _git(root: Path, *arguments: str) -> str:
    try:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
