"""ONNX Runtime: its providers, and whether the demo detector really gives its golden scores on them."""

from dataclasses import dataclass

from runtime.doctor.driver import Driver
from runtime.doctor.findings import Finding, Status
from runtime.doctor.packages import is_importable
from runtime.doctor.probe import ask

AREA = "ONNX Runtime"
CUDA = "CUDAExecutionProvider"
# Largest deviation from the golden arrays, in standard deviations of the golden map. A CPU computes in FP32: rounding
# alone. CUDA computes the demo's FP16 convolutions in FP16, which costs some 3e-3: ten times that is a wrong result
TOLERANCES = {"cpu": 1e-3, "cuda": 3e-2}


@dataclass(frozen=True)
class OnnxRuntime:
    """ONNX Runtime and what it really runs on."""

    version: str | None
    providers: tuple[str, ...]
    cores: int | None  # CPU cores that a stream would use
    cpu_works: bool
    cuda_works: bool
    findings: tuple[Finding, ...]


def examine_onnx_runtime(driver: Driver) -> OnnxRuntime:
    """Import ONNX Runtime, and score the demo's golden frame on the CPU, and on CUDA where that is offered."""
    if not is_importable("onnxruntime"):
        return _unusable(Status.ABSENT, "not installed", "pip install onnxruntime")
    answer = ask("runtime.doctor.vendor", "onnxruntime")
    if answer.problem is not None:
        return _unusable(Status.BROKEN, f"importing it {answer.problem}", "pip install --force-reinstall onnxruntime")
    version, providers = str(answer.values["version"]), tuple(answer.values["providers"])
    cpu = _on_cpu()
    cuda = on_cuda(driver) if CUDA in providers else None
    about = Finding(AREA, Status.OK, f"{version}, providers {', '.join(providers)}")
    return OnnxRuntime(
        version,
        providers,
        int(answer.values["cores"]),
        cpu.status is Status.OK,
        cuda is not None and cuda.status is Status.OK,
        (about, cpu, cuda) if cuda else (about, cpu),
    )


def judge_golden(deviation: float, provider: str) -> Finding:
    """Whether a deviation from the golden arrays is rounding or a fault."""
    if deviation <= TOLERANCES[provider]:
        text = f"{provider}: the demo detector gives its golden map and score (deviation {deviation:.1e} σ)"
        return Finding(AREA, Status.OK, text, needed=provider == "cpu")
    return _fault(
        provider,
        f"the demo detector's map or score is {deviation:.2g} σ off its golden one, "
        f"at most {TOLERANCES[provider]:g} σ is rounding",
    )


def on_cuda(driver: Driver) -> Finding:
    """Whether the demo detector gives its golden scores on CUDA; not tried without a driver."""
    if not driver.works:
        text = "cuda: the provider is built in, and cannot work without the NVIDIA driver"
        return Finding(AREA, Status.ABSENT, text, "see NVIDIA driver")
    answer = ask("runtime.doctor.vendor", "golden", "cuda")
    if answer.problem is not None:
        return _fault("cuda", f"scoring the demo detector's golden frame {answer.problem}")
    return judge_golden(float(answer.values["deviation"]), "cuda")


def _on_cpu() -> Finding:
    answer = ask("runtime.doctor.vendor", "golden", "cpu")
    if answer.problem is not None:
        return _fault("cpu", f"scoring the demo detector's golden frame {answer.problem}")
    return judge_golden(float(answer.values["deviation"]), "cpu")


def _fault(provider: str, text: str) -> Finding:
    remedy = "pip install --force-reinstall proctor onnxruntime"
    if provider == "cuda":
        remedy = "pip install 'onnxruntime-gpu[cuda,cudnn]' in place of onnxruntime, or stay with --provider cpu"
    return Finding(AREA, Status.BROKEN, f"{provider}: {text}", remedy, needed=provider == "cpu")


def _unusable(status: Status, text: str, remedy: str) -> OnnxRuntime:
    return OnnxRuntime(None, (), None, False, False, (Finding(AREA, status, text, remedy, needed=True),))
