"""Which Python packages are here, which are missing, and which stand in each other's way.

Nothing is imported into this process; what the runtime needs is imported in processes of its own: a package that is
there may lack a part, or have one that was compiled for another machine.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from runtime.cli import EXTRAS
from runtime.doctor.findings import Finding, Status
from runtime.doctor.probe import ask

AREA = "packages"
# what the runtime imports, by the package that brings it
NEEDED = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "onnxruntime": "onnxruntime",
    "PIL": "pillow",
    "simplejpeg": "simplejpeg",
    "av": "av",
    "yaml": "pyyaml",
}
PARTS = {"PIL": "PIL.Image"}  # what is imported of a module whose own name loads nothing compiled
EXAMINED = ("cv2", "onnxruntime")  # imported by what examines them
# packages that install the same module over each other: the last one wins, and removing one breaks the rest
RIVALS = {
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
}
CUDA_BINDINGS = {"cuda-bindings": "cuda", "pycuda": "pycuda"}


@dataclass(frozen=True)
class Packages:
    """Versions of what matters here and is installed, by package."""

    versions: dict[str, str]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Bindings:
    """Packages through which Python reaches CUDA's memory, by version."""

    versions: dict[str, str]
    findings: tuple[Finding, ...]

    @property
    def work(self) -> bool:
        """Whether TensorRT could be fed."""
        return any(finding.status is Status.OK for finding in self.findings)


def examine_packages() -> Packages:
    """Look for the runtime's own packages and for those of the extra for training."""
    rivals = [name for names in RIVALS.values() for name in names]
    versions = {name: version for name in [*NEEDED.values(), *rivals] if (version := installed_version(name))}
    findings = [*_missing(), *_broken(), *_rivals(versions)]
    if all(is_importable(module) for module in NEEDED):
        listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        findings.insert(0, Finding(AREA, Status.OK, listed or "all that the runtime needs, from the system"))
    return Packages(versions, tuple(findings))


def examine_bindings(driver_cuda: tuple[int, int] | None) -> Bindings:
    """Look for cuda-bindings and pycuda, without importing either, and compare with the driver's CUDA."""
    versions = {
        name: version
        for name, module in CUDA_BINDINGS.items()
        if (version := installed_version(name)) and is_importable(module)
    }
    if not versions:
        remedy = "only for TensorRT: pip install 'proctor[tensorrt]'"
        return Bindings({}, (Finding("CUDA bindings", Status.ABSENT, "neither cuda-bindings nor pycuda", remedy),))
    return Bindings(versions, tuple(_binding(name, version, driver_cuda) for name, version in versions.items()))


def installed_version(package: str) -> str | None:
    """A package's version from its metadata; None when it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def is_importable(module: str) -> bool:
    """Whether a top-level module is there; it is not imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a module of that name is half loaded
        return False


def _missing() -> list[Finding]:
    needed = [
        Finding(AREA, Status.ABSENT, f"{module} is missing", f"pip install {package}", needed=True)
        for module, package in NEEDED.items()
        if not is_importable(module)
    ]
    extra = [module for module in EXTRAS["train"] if not is_importable(module)]
    if extra:
        text = f"training is not installed ({', '.join(extra)} missing)"
        needed.append(Finding(AREA, Status.ABSENT, text, "only to train here: pip install 'proctor[train]'"))
    return needed


def _broken() -> list[Finding]:
    there = [module for module in NEEDED if module not in EXAMINED and is_importable(module)]
    with ThreadPoolExecutor() as pool:  # each waits for a process
        problems = list(pool.map(_problem, there))
    return [
        Finding(
            AREA,
            Status.BROKEN,
            f"importing {module} {problem}",
            f"pip install --force-reinstall {NEEDED[module]}",
            needed=True,
        )
        for module, problem in zip(there, problems, strict=True)
        if problem is not None
    ]


def _problem(module: str) -> str | None:
    return ask("runtime.doctor.vendor", "imports", PARTS.get(module, module)).problem


def _rivals(versions: dict[str, str]) -> list[Finding]:
    findings = []
    for module, rivals in RIVALS.items():
        here = [name for name in rivals if name in versions]
        if len(here) > 1:
            text = f"{' and '.join(here)} both install {module}, over each other"
            remedy = f"pip uninstall -y {' '.join(here)}, then install the one you want"
            findings.append(Finding(AREA, Status.BROKEN, text, remedy))
    return findings


def _binding(name: str, version: str, driver_cuda: tuple[int, int] | None) -> Finding:
    major = int(version.partition(".")[0]) if version.partition(".")[0].isdecimal() else 0
    # cuda-bindings carries the CUDA major version that it was made for; pycuda carries a year
    if name == "cuda-bindings" and driver_cuda is not None and major > driver_cuda[0]:
        text = f"{name} {version} is for CUDA {major}, the driver supports {driver_cuda[0]}.{driver_cuda[1]}"
        return Finding("CUDA bindings", Status.BROKEN, text, f"pip install 'cuda-bindings<{driver_cuda[0] + 1}'")
    return Finding("CUDA bindings", Status.OK, f"{name} {version}")
