"""The detector in the working folder, which a stream would run by default."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from runtime.doctor.findings import Finding, Status
from runtime.doctor.probe import ask
from runtime.errors import DetectorError
from runtime.recipe import Recipe, recipe_from_json

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


def _onnx(path: Path) -> DetectorFile:
    answer = ask("runtime.doctor.vendor", "detector", str(path))
    if answer.problem is not None:
        text = f"reading {path.name} {answer.problem}"
        finding = Finding(AREA, Status.BROKEN, text, "export it again, or remove it", needed=True)
        return DetectorFile(str(path), False, None, (finding,))
    found = answer.values
    size_hw, sha256 = (found["size_hw"][0], found["size_hw"][1]), str(found["recipe_sha256"])
    return DetectorFile(str(path), False, sha256, (_readable(path.name, size_hw, float(found["threshold"]), sha256),))


def _plan(path: Path, can_run: bool) -> DetectorFile:
    sidecar = path.with_name(path.name + ".json")
    try:
        recipe = _sidecar_recipe(sidecar)
    except DetectorError as error:
        remedy = f"build the plan again from {ONNX}, or remove it"
        return DetectorFile(str(path), True, None, (Finding(AREA, Status.BROKEN, str(error), remedy, needed=True),))
    findings = [_readable(path.name, recipe.size_hw, recipe.threshold.value, recipe.sha256)]
    if not can_run:
        text = f"{path.name} needs a working NVIDIA driver and TensorRT, and comes before {ONNX}"
        remedy = f"see those two, or give --detector {ONNX}"
        findings.append(Finding(AREA, Status.BROKEN, text, remedy, needed=True))
    return DetectorFile(str(path), True, recipe.sha256, tuple(findings))


def _sidecar_recipe(sidecar: Path) -> Recipe:
    try:
        document = json.loads(sidecar.read_text())
        recipe = document["recipe"]
    except OSError as error:
        raise DetectorError(f"{sidecar.name} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DetectorError(f"{sidecar.name} holds no recipe") from error
    return recipe_from_json(recipe if isinstance(recipe, str) else json.dumps(recipe))


def _readable(name: str, size_hw: tuple[int, int], threshold: float, sha256: str) -> Finding:
    text = f"{name}: {size_hw[1]}×{size_hw[0]} pixels, threshold {threshold:.6g}, recipe {sha256[:12]}"
    return Finding(AREA, Status.OK, text, needed=True)
