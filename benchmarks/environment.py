"""Where and with what a figure was measured. Every benchmark's JSON carries it."""

import platform

from runtime.machine import available_cores, cpu_model
from runtime.versions import commit, now, versions


def describe_environment() -> dict[str, object]:
    """Machine, operating system, versions, date and commit, ready for JSON.

    `cores` are those that this process may use. `packages` and `commit` are those of
    `runtime.versions`.
    """
    return {
        "cpu": cpu_model(),
        "cores": available_cores(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": versions(),
        "date": now(),
        "commit": commit(),
    }


def one_line(environment: dict[str, object]) -> str:
    """The machine as a line below a table of figures."""
    return (
        f"{environment['cpu']}, {environment['cores']} cores, {environment['os']}, Python {environment['python']},"
        f" commit {str(environment['commit'])[:12]}"
    )
