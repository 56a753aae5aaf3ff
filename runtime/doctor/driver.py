"""The NVIDIA driver: which CUDA it supports, and its devices."""

import re
from dataclasses import dataclass
from pathlib import Path

from runtime.cuda_driver import LIBRARY
from runtime.doctor.findings import Finding, Status
from runtime.doctor.probe import ask
from runtime.machine import read_text

AREA = "NVIDIA driver"
_IN_A_CONTAINER = "in a container, start it with --gpus all (on a Jetson: --runtime nvidia)"


@dataclass(frozen=True)
class Device:
    """One GPU."""

    name: str
    compute_capability: tuple[int, int]
    memory_bytes: int


@dataclass(frozen=True)
class Driver:
    """The driver of this machine, as far as there is one."""

    cuda: tuple[int, int] | None  # newest CUDA version that it supports: major, minor
    kernel_module: str | None  # version of the part that runs in the kernel
    devices: tuple[Device, ...]
    findings: tuple[Finding, ...]

    @property
    def works(self) -> bool:
        """Whether there is a GPU that answers."""
        return bool(self.devices)


def examine_driver(root: Path = Path("/"), library: str = LIBRARY) -> Driver:
    """Ask the driver for its version and devices, in a process of its own."""
    kernel_module = _kernel_module(root)
    answer = ask("runtime.cuda_driver", library)
    found, cuda = answer.values, None
    devices: tuple[Device, ...] = ()
    if answer.problem is not None:
        finding = _broken(f"{library} {answer.problem}", "reboot; if it stays so, install the driver again")
    elif not found["loaded"]:
        finding = _not_loaded(library, str(found["reason"]), kernel_module)
    else:
        cuda = tuple(found["driver"]) if found["driver"] else None
        devices = tuple(Device(d["name"], tuple(d["compute_capability"]), d["memory_bytes"]) for d in found["devices"])
        finding = _answered(cuda, devices, found.get("error"))
    return Driver(cuda, kernel_module, devices, (finding,))


def _answered(cuda: tuple[int, int] | None, devices: tuple[Device, ...], error: str | None) -> Finding:
    if error is not None:
        remedy = f"reboot after an update of the driver; {_IN_A_CONTAINER}"
        return _broken(f"the driver is installed and does not start: {error}", remedy)
    if not devices:
        return _broken("the driver sees no GPU", f"check that the card is seated and powered; {_IN_A_CONTAINER}")
    listed = "; ".join(
        f"{device.name}, compute capability {device.compute_capability[0]}.{device.compute_capability[1]}, "
        f"{device.memory_bytes / 2**30:.1f} GiB"
        for device in devices
    )
    version = f"CUDA {cuda[0]}.{cuda[1]}" if cuda else "an unknown CUDA version"
    return Finding(AREA, Status.OK, f"supports {version}: {listed}")


def _not_loaded(library: str, reason: str, kernel_module: str | None) -> Finding:
    if kernel_module is not None:
        text = f"its kernel module {kernel_module} runs, but {library} cannot be loaded ({reason})"
        return _broken(text, f"{_IN_A_CONTAINER}; elsewhere, install the driver's libraries")
    remedy = f"only for a GPU: install NVIDIA's driver (a Jetson has it from JetPack); {_IN_A_CONTAINER}"
    return Finding(AREA, Status.ABSENT, f"none ({reason})", remedy)


def _broken(text: str, remedy: str) -> Finding:
    return Finding(AREA, Status.BROKEN, text, remedy)


def _kernel_module(root: Path) -> str | None:
    # NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024
    found = re.search(r"Kernel Module\D*(?:for \S+\s+)?(\d+\.[\d.]+)", read_text(root / "proc/driver/nvidia/version"))
    return found.group(1) if found else None
