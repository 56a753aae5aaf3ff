"""Python, the operating system, and whether this is a Jetson."""

import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from runtime.doctor.findings import Finding, Status
from runtime.machine import read_text

AREA = "machine"
OLDEST_PYTHON = (3, 10)
# JetPack by the major release of Jetson Linux (L4T)
JETPACK = {32: 4, 34: 5, 35: 5, 36: 6, 38: 7, 39: 7}
OLDEST_JETPACK = 6


@dataclass(frozen=True)
class Machine:
    """What the software runs on."""

    python: str
    system: str
    board: str | None  # as its device tree names it
    l4t: str | None  # release of Jetson Linux, as in 36.4.3
    jetpack: int | None  # major version
    findings: tuple[Finding, ...]

    @property
    def is_jetson(self) -> bool:
        """Whether NVIDIA's software for Jetsons is what installs TensorRT and OpenCV here."""
        return self.l4t is not None or "Jetson" in (self.board or "")


def examine_machine(root: Path = Path("/")) -> Machine:
    """Read what Python and the files below `root` say."""
    # a container hides the device tree, and has the release file only where NVIDIA's runtime mounts it
    board = read_text(root / "proc/device-tree/model") or None
    l4t = _l4t_release(read_text(root / "etc/nv_tegra_release"))
    jetpack = JETPACK.get(int(l4t.partition(".")[0])) if l4t else None
    findings = [_python(), Finding(AREA, Status.OK, platform.platform())]
    if l4t or "Jetson" in (board or ""):
        findings.append(_jetson(board, l4t, jetpack))
    return Machine(platform.python_version(), platform.platform(), board, l4t, jetpack, tuple(findings))


def _python() -> Finding:
    text = f"Python {platform.python_version()}, {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        remedy = f"use Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or newer"
        return Finding(AREA, Status.BROKEN, text, remedy, needed=True)
    return Finding(AREA, Status.OK, text, needed=True)


def _jetson(board: str | None, l4t: str | None, jetpack: int | None) -> Finding:
    release = f"Jetson Linux {l4t}" if l4t else "Jetson Linux of an unknown release"
    text = f"{board or 'a Jetson'}, {release}" + (f" (JetPack {jetpack})" if jetpack else "")
    if jetpack is not None and jetpack < OLDEST_JETPACK:
        remedy = f"upgrade to JetPack {OLDEST_JETPACK}, or run ONNX Runtime on the CPU"
        return Finding(AREA, Status.BROKEN, f"{text}: its TensorRT is too old for Proctor", remedy)
    return Finding(AREA, Status.OK, text)


def _l4t_release(text: str) -> str | None:
    # "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: …"
    found = re.match(r"#\s*R(\d+)[^,]*,\s*REVISION:\s*([\d.]+)", text)
    return f"{found.group(1)}.{found.group(2)}" if found else None
