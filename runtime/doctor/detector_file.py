"""The detector in the working folder, which a stream would run by default."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.doctor.findings import Finding, Status
from runtime.doctor.probe import ask

AREA = "detector"
ONNX, PLAN = "detector.onnx", "detector.plan"


@dataclass(frozen=True)
class DetectorFile:
    """What a stream would run without ``--detector``."""

    path: str | None
    is_plan: bool
    recipe_sha256: str | None
    findings: tuple[Finding, ...]


def examine_detector(folder: Path, tensorrt_works: bool, gpu_works: bool) -> DetectorFile:
    """Read the recipe of the detector in `folder`; a plan comes before an ONNX file, as in `runtime.stream`."""
    if os.path.isfile(folder / PLAN):
        return _plan(folder / PLAN, tensorrt_works and gpu_works)
    if os.path.isfile(folder / ONNX):
        return _onnx(folder / ONNX)
    remedy = "train one: python -m train --data GOOD_IMAGES --out detector.onnx; --camera demo needs none"
    finding = Finding(
        AREA, Status.ABSENT, f"no {PLAN} or {ONNX} in {'this folder' if folder == Path() else folder}", remedy
    )
    return DetectorFile(None, False, None, (finding,))


def _examined(path: Path, remedy: str) -> DetectorFile:
    answer = ask("runtime.doctor.vendor", "detector", str(path))
    is_plan = path.name == PLAN
    if answer.problem is not None:
        finding = Finding(AREA, Status.BROKEN, f"reading {path.name} {answer.problem}", remedy, needed=True)
        return DetectorFile(str(path), is_plan, None, (finding,))
    found = answer.values
    size_hw, sha256 = (found["size_hw"][0], found["size_hw"][1]), str(found["recipe_sha256"])
    finding = _readable(path.name, size_hw, float(found["threshold"]), sha256)
    return DetectorFile(str(path), is_plan, sha256, (finding,))


def _onnx(path: Path) -> DetectorFile:
    return _examined(path, "copy it again (export it again if the original is damaged too), or remove it")


def _plan(path: Path, can_run: bool) -> DetectorFile:
    examined = _examined(path, f"build the plan again from {ONNX}, or remove it")
    if can_run:
        return examined
    text = f"{path.name} needs a working NVIDIA driver and TensorRT, and comes before {ONNX}"
    remedy = f"see those two, or give --detector {ONNX}"
    return replace(examined, findings=(*examined.findings, Finding(AREA, Status.BROKEN, text, remedy, needed=True)))


def _readable(name: str, size_hw: tuple[int, int], threshold: float, sha256: str) -> Finding:
    text = f"{name}: {size_hw[1]}×{size_hw[0]} pixels, threshold {threshold:.6g}, recipe {sha256[:12]}"
    return Finding(AREA, Status.OK, text, needed=True)
