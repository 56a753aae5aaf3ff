"""The JSON of a run: where and with what it was measured, what each part found, and what was not measured."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_environment
from benchmarks.gpu.budget import WEIGHTS
from runtime.cuda_driver import LIBRARY, examine

ALWAYS_LEFT_OUT = ("TensorRT: it is no part of this command", "compiled PyTorch: it takes minutes to compile")
REHEARSAL = "a rehearsal on the CPU: no figure here is of a GPU"
SMALL = "tiny sizes: no figure here says how fast or how good anything is"


def header(command: str, device: str, small: bool, minutes: float, threads: int) -> dict[str, Any]:
    """All but the parts. PyTorch and ONNX Runtime are asked for what they were built for."""
    import onnxruntime
    import torch

    notes = [*([REHEARSAL] if device == "cpu" else []), *([SMALL] if small else [])]
    gpu = examine(LIBRARY) if device == "cuda" else None
    return {
        "command": command,
        "device": device,
        "gpu_name": gpu["devices"][0]["name"] if gpu and gpu.get("devices") else None,
        "gpu": gpu,
        "notes": notes,
        "minutes": minutes,
        "threads": threads,
        "environment": describe_environment(),
        "libraries": {
            "torch": torch.__version__,
            "cuda_of_torch": torch.version.cuda,
            "cudnn_of_torch": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "onnxruntime_providers": onnxruntime.get_available_providers(),
        },
    }


def not_measured(document: Mapping[str, Any]) -> list[str]:
    """In a sentence each: parts that were left out, that failed, or whose time was over before their end."""
    found = ["anything on a GPU"] if document["device"] == "cpu" else []
    for part in WEIGHTS:
        result = document["parts"].get(part)
        if result is None:
            found.append(f"{part}: not asked for, or its turn did not come")
            continue
        found += [f"{part}: {result[why]}" for why in ("failed", "stopped") if why in result]
        if part == "teacher" and "compared" not in result:
            found.append(
                "the new teacher beside the one it began with: takes --descriptor-weights and a whole training"
            )
        found += _rows_left_out(part, result)
        found += [
            f"paper, the pace of {scale['teacher']}: there was no time for it"
            for scale in result.get("scales", [])
            if not scale["steps_per_second"]
        ]
    return [*found, *ALWAYS_LEFT_OUT]


def as_text(document: Mapping[str, Any], paths: Sequence[Path]) -> str:
    """The document as JSON, in which `paths` are names: a folder says nothing elsewhere, and may say too much."""
    text = json.dumps({**document, "not_measured": not_measured(document)}, indent=1, ensure_ascii=False)
    # the longest first: one may lie in another
    for path in sorted({form for each in paths for form in (str(each), str(each.resolve()))}, key=len, reverse=True):
        if len(Path(path).parts) > 1:
            text = text.replace(path, Path(path).name)
    return text


def _rows_left_out(part: str, result: Mapping[str, Any]) -> list[str]:
    found = []
    for each in [*result.get("presets", []), {"preset": "paper", **result.get("timing", {})}]:
        name = f"{part}, {each['preset']}"
        found += [f"{name}: {each['failed']}"] if "failed" in each else []
        found += [f"{name} {row}: {why}" for row, why in each.get("failed_rows", {}).items()]
        agreement = each.get("agreement", {}).items()
        found += [f"{name} {row}, agreement: {some['failed']}" for row, some in agreement if "failed" in some]
    return found
