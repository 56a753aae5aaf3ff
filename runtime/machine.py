"""The machine at hand: what a measured choice holds for, and no longer when one of it changes."""

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

# of these another version may be another speed; absent ones are left out
ENGINES = ("onnxruntime", "onnxruntime-gpu", "proctor", "tensorrt")


@dataclass(frozen=True)
class Machine:
    """Processor, graphics processors and engines, in words that are equal as long as they are the same."""

    cpu: str
    cores: int  # that this process may use
    gpus: tuple[str, ...]  # names, with the CUDA version of their driver
    versions: dict[str, str]  # of the packages in ENGINES that are installed

    @classmethod
    def here(cls) -> "Machine":
        """This one."""
        from runtime.versions import versions  # slow to import; most of this module's users do not need it

        found = versions()
        engines = {name: found[name] for name in ENGINES if name in found}
        return cls(cpu_model(), available_cores(), _gpus(), engines)

    def difference(self, other: "Machine") -> str | None:
        """What `other` has otherwise, in words, or None."""
        mine, theirs = asdict(self), asdict(other)
        changed = next((name for name in mine if mine[name] != theirs[name]), None)
        return None if changed is None else f"{changed} was {_words(mine[changed])}, is {_words(theirs[changed])}"


def read_text(path: Path) -> str:
    """A file's text without the zero bytes of a device tree; empty where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def cpu_model(root: Path = Path("/")) -> str:
    """The processor's name, or that of its board; below `root`, /proc is read."""
    for line in read_text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    # ARM kernels give no model name; a board names itself in its device tree
    return read_text(root / "proc/device-tree/model") or platform.processor() or platform.machine()


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(_usable())


def physical_cores(root: Path = Path("/")) -> int:
    """How many of them do not share their arithmetic with another one (simultaneous multithreading); below `root`,
    /sys is read. All of them where the system does not say."""
    cores = {read_text(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in _usable()}
    return available_cores() if "" in cores else len(cores)


def _usable() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _gpus() -> tuple[str, ...]:
    from runtime.cuda_driver import LIBRARY, examine

    found = examine(LIBRARY)
    driver = ".".join(map(str, found.get("driver") or ["?"]))
    return tuple(f"{device['name']} (driver for CUDA {driver})" for device in found.get("devices", []))


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, text in sorted(value.items())) or "none"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return str(value)
