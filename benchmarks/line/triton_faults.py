"""A fault of an engine that is a server's: a real Triton is killed, found to be gone, and started again."""

import time
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks.line.command_faults import DEMO_HW, demo_parts
from benchmarks.line.controllers import PATIENCE_S, TRIGGER_READY, line, ready_client
from benchmarks.line.engine_faults import counted, inspected, told, until_well
from benchmarks.line.processes import START_S, until
from benchmarks.line.seen import Absent, Seen
from export.serving_options import ServingOptions
from runtime.default_detector import DEMO_DETECTOR
from runtime.errors import InputError
from runtime.line.python_client import Refused
from runtime.line.results import Part

MEANWHILE = 3  # parts
SELF_CHECK_S = 1.0  # of the idle line, which holds it
MODEL = "demo"


def triton_gone(folder: Path) -> Seen:
    """See `benchmarks.line.faults.FAULTS`."""
    if missing := [each for each in ("tritonclient", "onnx") if find_spec(each) is None]:
        raise Absent(f"a model on Triton takes {' and '.join(missing)}; pip install 'proctor[triton]'")
    triton, repository = import_module("benchmarks.line.triton_server"), import_module("export.triton_repository")
    triton.environment()  # before anything is written
    repository.write_model(DEMO_DETECTOR, folder / "models", MODEL, ServingOptions("python", threads=1))
    parts, path = demo_parts(), folder / "line.sock"
    with ExitStack() as opened:
        server = triton.TritonServer(folder / "models", folder)
        opened.callback(server.stop)
        address = server.wait_until_ready().address(MODEL, "?timeout_s=2")
        opened.enter_context(line(address, "--socket", path, "--deadline-ms", 20_000, "--self-check-s", SELF_CHECK_S))
        client = opened.enter_context(ready_client(path, DEMO_HW))
        _, number = until_well(client, parts.good, 1)
        server.stop()
        results = [inspected(client, parts.good, number + each) for each in range(1, MEANWHILE + 1)]
        until(lambda: not client.status(PATIENCE_S)["status"] & TRIGGER_READY, "a self-check that finds it")
        refused = client.trigger(parts.good, Part(number + MEANWHILE + 1), True, PATIENCE_S)
        if not isinstance(refused, Refused):
            raise InputError(f"a line that its self-check holds accepts a part: {refused}")
        begun_s = time.monotonic()
        opened.callback(triton.TritonServer(folder / "models", folder, port=server.port).stop)
        well_s, _ = until_well(client, parts.good, number + MEANWHILE + 2, START_S)
        told_ = (*sorted({told(each) for each in results}), f"REFUSED {refused.cause.name}")
        return Seen(told_, counted(client, "too_late"), well_s - begun_s)
