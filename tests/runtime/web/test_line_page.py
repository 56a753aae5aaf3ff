"""The page of a line, as it is started: an operator pauses it, and its controller reads that in its answers."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from runtime_samples import SIZE_HW
from waiting import until
from web_samples import PATIENCE_S, browsing, users_file

from runtime.adjust import adjust
from runtime.detector_file import read_detector
from runtime.line.python_client import Accepted, LineClient
from runtime.line.results import Cause, Part
from runtime.recipes.store import RecipeStore
from runtime.web.totals import ONLY

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


def test_after_a_change_of_recipe_the_page_is_of_the_new_one(detector_file: Path, tmp_path: Path) -> None:
    """Its threshold, its calibration, scores by it alone, and a watch of drift that knows nothing yet."""
    store = RecipeStore(tmp_path / "recipes")
    other = tmp_path / "other" / "detector.onnx"
    other.parent.mkdir()
    shutil.copy(detector_file, other)
    adjust(other, {"threshold": 0.625})
    for name, file in (("bottle", detector_file), ("can", other)):
        store.seal(name, [file], "erna", "for the test")
    store.activate("bottle", "erna", "to begin with")
    words = ["--recipes", str(store.folder), "--socket", str(tmp_path / "line.sock"), "--threads", "1"]
    words += ["--serve", f"0?recipes={store.folder}", "--drift", str(tmp_path / "drift.json"), "--deadline-ms", "20000"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "runtime.line", *words]
    streams = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **streams) as line:  # type: ignore[call-overload]
        try:
            base = next(text.split(" ", 2)[2].strip() for text in line.stderr if text.startswith("live page:"))
            client = httpx.Client(base_url=base, timeout=PATIENCE_S, trust_env=False)
            with client, LineClient(tmp_path / "line.sock", size_hw=SIZE_HW) as controller:

                def shown() -> dict[str, Any]:
                    return dict(client.get("/api/threshold", params={"camera": ONLY}).json())

                def watched() -> float:
                    found = re.search(r'proctor_drift{.*name="parts".*} (\S+)', client.get("/metrics").text)
                    return -1.0 if found is None else float(found[1])

                assert all(_passes(controller, number) for number in (1, 2, 3))
                until(lambda: watched() == 3 and len(shown()["scores"]) == 3)
                first = shown()
                assert (first["threshold"], first["recipes"]["running"]["name"]) == (0.5, "bottle")
                store.activate("can", "erna", "the next order")
                line.send_signal(signal.SIGHUP)
                until(lambda: shown()["threshold"] == 0.625)
                then = shown()
                assert (then["scores"], then["method"]) == ([], "manual")
                assert then["recipes"]["running"]["name"] == "can"
                until(lambda: watched() == 0)
                assert _passes(controller, 4)
                until(lambda: watched() == 1 and len(shown()["scores"]) == 1)
                assert (
                    'proctor_threshold{camera="camera",line="",site="",station=""} 0.625' in client.get("/metrics").text
                )
            line.send_signal(signal.SIGTERM)
            said = line.stderr.read()
            assert line.wait(PATIENCE_S) == 0, said
        finally:
            line.kill()
    assert json.loads((tmp_path / "drift.json").read_text())["recipe_sha256"] == read_detector(other)[1].sha256
    assert "is of another detector or recipe: the drift watch begins anew" in said


def _passes(controller: LineClient, part_id: int) -> bool:
    picture = GOOD.copy()
    picture[0, 0] += part_id  # a camera's noise: no picture comes twice
    answer = controller.trigger(picture, Part(part_id))
    assert isinstance(answer, Accepted), answer
    result = controller.result(timeout_s=PATIENCE_S)
    return result is not None and result.passes
