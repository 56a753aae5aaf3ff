"""The page of a line, as it is started: an operator pauses it, and its controller reads that in its answers."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
from runtime_samples import SIZE_HW
from waiting import until
from web_samples import PATIENCE_S, browsing, users_file

from runtime.line.python_client import Accepted, LineClient
from runtime.line.results import Cause, Part

ROOT = Path(__file__).parents[3]
GOOD = np.full((*SIZE_HW, 3), 128, np.uint8)


def test_an_operator_pauses_a_line_and_its_controller_is_told(detector_file: Path, tmp_path: Path) -> None:
    socket_path = tmp_path / "line.sock"
    words = ["--socket", str(socket_path), "--serve", f"0?users={users_file(tmp_path)}", "--deadline-ms", "20000"]
    command = [sys.executable, "-m", "runtime.line", str(detector_file), *words, "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as line:
        try:
            assert line.stderr is not None
            base = next(text.split(" ", 2)[2].strip() for text in line.stderr if text.startswith("live page:")).rstrip(
                "/"
            )
            until(lambda: httpx.get(f"{base}/readyz", timeout=PATIENCE_S, trust_env=False).status_code == 200)
            with LineClient(socket_path, size_hw=SIZE_HW) as controller, browsing(base, "otto") as browser:
                assert _passes(controller, 1)
                assert browser.post("/api/pause").json() == {"paused_by": "otto"}
                answer = controller.trigger(GOOD, Part(2))
                assert not isinstance(answer, Accepted)
                assert answer.cause is Cause.HELD
                refused = httpx.get(f"{base}/readyz", timeout=PATIENCE_S, trust_env=False)
                assert (refused.status_code, refused.json()) == (503, {"status": "paused"})
                assert browser.post("/api/resume").json() == {"paused_by": None}
                assert _passes(controller, 3)
                text = until(lambda: (found := browser.get("/metrics").text) and 'code="OK",line=""' in found and found)
            assert "proctor_controller_missed_total" in text
            assert 'reason="trigger refused"' in text
            line.send_signal(signal.SIGTERM)
            said = line.stderr.read()
            assert line.wait(PATIENCE_S) == 0, said
        finally:
            line.kill()
    assert "paused by otto: every part is rejected" in said
    assert "the pause of otto is over" in said
    assert "2 triggers accepted, 1 refused" in said


def _passes(controller: LineClient, part_id: int) -> bool:
    picture = GOOD.copy()
    picture[0, 0] += part_id  # a camera's noise: no picture comes twice
    answer = controller.trigger(picture, Part(part_id))
    assert isinstance(answer, Accepted), answer
    result = controller.result(timeout_s=PATIENCE_S)
    return result is not None and result.passes
