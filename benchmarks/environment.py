"""Where and with what a figure was measured. Every benchmark's JSON carries it."""

import os
import platform
from datetime import datetime, timezone
from pathlib import Path

from runtime.versions import commit, versions


def describe_environment() -> dict[str, object]:
    """Machine, operating system, versions, date and commit, ready for JSON.

    `cores` are those that this process may use. `packages` and `commit` are those of
    `runtime.versions`.
    """
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
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
