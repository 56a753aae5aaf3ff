"""Cameras of this machine: V4L2 devices with their names, and a Jetson's camera service."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from runtime.doctor.findings import Finding, Status
from runtime.machine import read_text

AREA = "cameras"
ARGUS_DAEMON, ARGUS_SOCKET = Path("usr/sbin/nvargus-daemon"), Path("tmp/argus_socket")


@dataclass(frozen=True)
class Camera:
    """One V4L2 device. A USB camera has two or more: one delivers pictures, the others describe them."""

    device: str
    name: str  # as its driver calls it
    permitted: bool  # whether this user may open it


@dataclass(frozen=True)
class Cameras:
    """The cameras of this machine."""

    devices: tuple[Camera, ...]
    argus_daemon: bool  # the service behind CSI cameras is installed
    argus_socket: bool  # and runs, or is mounted into this container
    findings: tuple[Finding, ...]


def examine_cameras(is_jetson: bool, root: Path = Path("/")) -> Cameras:
    """Look below `root` for devices. None is opened: another program may be using it."""
    devices = tuple(_camera(path, root) for path in _devices(root))
    daemon, socket = os.path.exists(root / ARGUS_DAEMON), os.path.exists(root / ARGUS_SOCKET)
    findings = [_finding(camera) for camera in devices] or [_none()]
    if is_jetson:
        findings.append(_argus(daemon, socket))
    return Cameras(devices, daemon, socket, tuple(findings))


def _devices(root: Path) -> list[Path]:
    numbered = [(re.fullmatch(r"video(\d+)", path.name), path) for path in (root / "dev").glob("video*")]
    return [path for _, path in sorted((int(match.group(1)), path) for match, path in numbered if match)]


def _camera(path: Path, root: Path) -> Camera:
    name = read_text(root / "sys/class/video4linux" / path.name / "name")
    return Camera(f"/dev/{path.name}", name or "a camera without a name", os.access(path, os.R_OK | os.W_OK))


def _finding(camera: Camera) -> Finding:
    text = f"{camera.device}: {camera.name}"
    if camera.permitted:
        return Finding(AREA, Status.OK, text)
    remedy = "sudo usermod -aG video $USER, then log in again; in a container: --group-add video"
    return Finding(AREA, Status.BROKEN, f"{text}; you may not open it", remedy)


def _none() -> Finding:
    remedy = "plug one in (in a container: --device /dev/video0), or use rtsp://…, http://…, a folder or demo"
    return Finding(AREA, Status.ABSENT, "no /dev/video*", remedy)


def _argus(daemon: bool, socket: bool) -> Finding:
    if socket:
        return Finding(AREA, Status.OK, "CSI: nvargus-daemon answers at /tmp/argus_socket")
    if daemon:
        text, remedy = "CSI: nvargus-daemon is installed and does not run", "sudo systemctl restart nvargus-daemon"
        return Finding(AREA, Status.BROKEN, text, remedy)
    remedy = "only for CSI cameras; in a container: -v /tmp/argus_socket:/tmp/argus_socket"
    return Finding(AREA, Status.ABSENT, "CSI: no nvargus-daemon", remedy)
