"""Nothing leaves this machine that nobody asked for: what libraries report of their own accord is switched off.

Importing `runtime`, which every other folder does first, does it, before any library is loaded. There is no way to
switch it on again.

- ONNX Runtime 1.32 keeps a device id and a store of events under ``~/.cache/Microsoft`` and looks up its maker's
  collector. It reads ``ORT_DISABLE_TELEMETRY`` while it is loaded; its call to switch that off comes too late.
- OpenVINO 2026.4 sends an event when it is imported, unless a file in the home folder or a variable that means "this is
  CI" forbids it. Without ``openvino_telemetry`` it uses a stub of its own, so that package is hidden from it.
- huggingface_hub, which comes with timm and anomalib, names its caller with each download.
"""

import os
import sys

SWITCHES = {"ORT_DISABLE_TELEMETRY": "1"}
BENCHMARK_SWITCHES = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}  # benchmarks download nothing


def switch_telemetry_off() -> None:
    """Set what `SWITCHES` says, for this process and those that it starts, whatever they were set to.

    Where ONNX Runtime was loaded before, with its telemetry on, a warning is logged: it is too late then.
    """
    too_late = "onnxruntime" in sys.modules and os.environ.get("ORT_DISABLE_TELEMETRY") != "1"
    os.environ.update(SWITCHES)
    if too_late:
        import logging  # here: `runtime` itself loads nothing

        logging.getLogger("proctor.private").warning(
            "ONNX Runtime was loaded before Proctor, with its telemetry on; import runtime first, "
            "or set ORT_DISABLE_TELEMETRY=1 in the environment"
        )


def hide_reporters() -> None:
    """For benchmarks, which load other makers' libraries: switch theirs off as well."""
    os.environ.update(BENCHMARK_SWITCHES)
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # an import of it raises ModuleNotFoundError
