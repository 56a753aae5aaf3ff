"""TensorRT: whether it is here, loads, and is of a version that Proctor can use."""

from dataclasses import dataclass

from runtime.doctor.findings import Finding, Status
from runtime.doctor.packages import installed_version, is_importable
from runtime.doctor.probe import TIMEOUT_S, ask
from runtime.tensorrt.library import NEWEST_MAJOR, OLDEST, SUPPORTED, parsed

AREA = "TensorRT"
MODULE = "tensorrt"
CUDA_MAJORS = (13, 12)  # pip's packages are for one of these; JetPack's is for its own CUDA


@dataclass(frozen=True)
class TensorRT:
    """The TensorRT of this machine."""

    version: str | None
    findings: tuple[Finding, ...]

    @property
    def works(self) -> bool:
        """Whether it loads and is of a supported version; whether it runs, only a driver can tell."""
        return all(finding.status is Status.OK for finding in self.findings)


def examine_tensorrt(
    is_jetson: bool, driver_cuda: tuple[int, int] | None = None, timeout_s: float = TIMEOUT_S
) -> TensorRT:
    """Import TensorRT in a process of its own and read its version, and nothing else in it.

    Its package is compared with `driver_cuda`, the newest CUDA version that the driver supports.
    """
    packaged = installed_version(MODULE)
    if not is_importable(MODULE):
        return TensorRT(packaged, (_not_here(packaged, is_jetson),))
    answer = ask("runtime.doctor.vendor", "version", MODULE, timeout_s=timeout_s)
    if answer.problem is not None:
        text = f"{packaged or 'of an unknown version'}; importing it {answer.problem}"
        return TensorRT(packaged, (Finding(AREA, Status.BROKEN, text, _install(is_jetson)),))
    version = str(answer.values["version"])
    return TensorRT(version, (judge(version), *_against_driver(driver_cuda)))


def judge(version: str) -> Finding:
    """Whether a version is one that Proctor can use."""
    number = parsed(version)
    if number is None:
        return Finding(AREA, Status.BROKEN, f"its version {version!r} is not understood", f"install {SUPPORTED}")
    if number < OLDEST:
        text = f"{version} is too old; Proctor runs with {SUPPORTED}"
        if number[0] == 8:
            return Finding(
                AREA, Status.BROKEN, f"{text} (JetPack 5 has 8.5)", "upgrade to JetPack 6, or use ONNX Runtime"
            )
        return Finding(AREA, Status.BROKEN, text, "upgrade TensorRT, or use ONNX Runtime")
    newer = f", newer than any that Proctor was checked against ({SUPPORTED})" if number[0] > NEWEST_MAJOR else ""
    return Finding(AREA, Status.OK, version + newer)


def _against_driver(driver_cuda: tuple[int, int] | None) -> list[Finding]:
    major = next((major for major in CUDA_MAJORS if installed_version(f"tensorrt-cu{major}-libs")), None)
    if major is None or driver_cuda is None or major <= driver_cuda[0]:
        return []
    text = f"it is for CUDA {major}, the driver supports {driver_cuda[0]}.{driver_cuda[1]}"
    remedy = f"update the NVIDIA driver, or pip install tensorrt-cu{driver_cuda[0]} in place of tensorrt"
    return [Finding(AREA, Status.BROKEN, text, remedy)]


def _not_here(packaged: str | None, is_jetson: bool) -> Finding:
    if packaged is not None:
        text = f"the package tensorrt {packaged} is listed, but its module is not there"
        return Finding(AREA, Status.BROKEN, text, _install(is_jetson))
    return Finding(AREA, Status.ABSENT, "not installed", f"only for an NVIDIA GPU: {_install(is_jetson)}")


def _install(is_jetson: bool) -> str:
    if is_jetson:
        return (
            "sudo apt-get install nvidia-jetpack, and a virtual environment made with --system-site-packages; "
            "pip's TensorRT is not JetPack's"
        )
    return "pip install 'proctor[tensorrt]'"
