"""One configuration in a process of its own, so that its peak memory is its own: prints one JSON object.

``python -m benchmarks.growth.child MODEL SIDE BATCH THREADS PROVIDER REPEATS`` with the fields ``seconds`` (of each
batch, host to host, after one to warm up), ``loaded_mib`` (resident before the first batch) and ``peak_mib``. It
imports the runtime alone: neither PyTorch nor an exporter is in the figures.
"""

import json
import re
import sys
import time
from pathlib import Path

import numpy as np

from runtime.engines.onnxruntime_engine import open_session
from runtime.errors import EngineError, InputError

STATUS = Path("/proc/self/status")


def run(model: bytes, side: int, batch: int, threads: int, provider: str, repeats: int) -> dict[str, object]:
    """Time `repeats` batches of random frames. Raises `EngineError` when the engine is absent or fails."""
    session = open_session(model, provider, threads)
    loaded = resident_mib("VmRSS")
    frames = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        try:
            session.run(None, {"frames": frames})
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise EngineError(f"ONNX Runtime failed on a batch of {batch}: {str(error).splitlines()[0]}") from error
        taken.append(time.perf_counter() - start)
    return {"seconds": taken[1:], "loaded_mib": loaded, "peak_mib": resident_mib("VmHWM")}


def resident_mib(field: str) -> float:
    """Resident memory of this process, MiB: ``VmRSS`` now or ``VmHWM`` at its peak.

    From Linux's /proc: getrusage's peak would be that of the process that started this one, if that was larger.
    """
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        raise InputError("peak memory is read from /proc/self/status, which this system does not have; run it on Linux")
    return int(found[1]) / 1024


def main() -> None:
    model, side, batch, threads, provider, repeats = sys.argv[1:]
    result = run(Path(model).read_bytes(), int(side), int(batch), int(threads), provider, int(repeats))
    print(json.dumps(result))


if __name__ == "__main__":
    from runtime import cli

    cli.run(main)
