"""The parts one after another, each in a process that is ended when its share of the time is over."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.budget import SOFT
from benchmarks.gpu.child import found_file
from benchmarks.gpu.job import Job
from runtime.versions import ROOT


def outcome(job: Job, log: Path, share_s: float) -> dict[str, Any]:
    """What a part found in a process of its own within `share_s`, and the seconds that it took; `failed`, in a
    sentence, where the process did not come to its end. What it prints goes to `log`."""
    began_s = time.monotonic()
    status = _run([sys.executable, "-m", "benchmarks.gpu.child", job.as_json()], log, share_s)
    path = found_file(job)
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if status is None:
        found["failed"] = f"it did not end when asked to, and was ended after {share_s:.0f} s"
    elif status:
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        found["failed"] = f"its process ended {how}; the log has what it printed"
    return {"share_s": round(share_s, 1), "seconds": round(time.monotonic() - began_s, 1), **found}


def soft(share_s: float) -> float:
    """Seconds after which a part with such a share is asked to end."""
    return share_s * SOFT


def _run(command: list[str], log: Path, seconds: float) -> int | None:
    """The status of a command, or None where it had to be ended, with all that it had started."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, start_new_session=hasattr(os, "killpg")
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:  # also on Ctrl-C
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()
