"""The page of a line, as it is started: an operator pauses it, and its controller reads that in its answers."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[tuple["subprocess.Popen[str]", str, LineClient]]:
    """A line with a page: its process, the page's address, and its controller."""
    socket_path = folder / "line.sock"
    command = [sys.executable, "-m", "runtime.line", *words, "--socket", str(socket_path), "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command += ["--deadline-ms", "20000"]
    # a terminal's SIGHUP would end it
    streams = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **streams) as line:  # type: ignore[call-overload]
        try:
            assert line.stderr is not None
            address = next(text.split(" ", 2)[2].strip() for text in line.stderr if text.startswith("live page:"))
            base = address.rstrip("/")
            until(lambda: httpx.get(f"{base}/readyz", timeout=PATIENCE_S, trust_env=False).status_code == 200)
            with LineClient(socket_path, size_hw=SIZE_HW) as controller:
                yield line, base, controller
        finally:
            line.kill()


def ended(line: "subprocess.Popen[str]") -> str:
    """What it said, once it has ended in order."""
    assert line.stderr is not None
    line.send_signal(signal.SIGTERM)
    said = line.stderr.read()
    assert line.wait(PATIENCE_S) == 0, said
    return said


def test_an_operator_pauses_a_line_and_its_controller_is_told(detector_file: Path, tmp_path: Path) -> None:
    words = [str(detector_file), "--serve", f"0?users={users_file(tmp_path)}"]
    with serving(tmp_path, *words) as (line, base, controller), browsing(base, "otto") as browser:
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
        said = ended(line)
    assert "paused by otto: every part is rejected" in said
    assert "the pause of otto is over" in said
    assert "2 triggers accepted, 1 refused" in said


def test_a_threshold_is_put_in_force_while_the_line_runs(detector_file: Path, tmp_path: Path) -> None:
    store = RecipeStore(tmp_path / "recipes")
    store.seal("bottle", [detector_file], "erna", "first run")
    store.activate("bottle", "erna", "released")
    asked = f"0?users={users_file(tmp_path)}&recipes={store.folder}"
    with serving(tmp_path, "--recipes", str(store.folder), "--serve", asked) as (line, base, controller):
        with browsing(base, "erna") as browser:

            def shown() -> dict[str, Any]:
                return dict(browser.get("/api/threshold", params={"camera": ONLY}).json())

            assert _passes(controller, 1)
            body = {"camera": ONLY, "value": 0.001, "reason": "everything is to be looked at"}
            answer = browser.post("/api/threshold", body).json()
            assert (answer["version"], answer["at_once"]) == (2, True)
            until(lambda: shown()["threshold"] == 0.001)
            assert shown()["recipes"]["running"]["version"] == 2
            until(lambda: httpx.get(f"{base}/readyz", timeout=PATIENCE_S, trust_env=False).status_code == 200)
            assert not _passes(controller, 2)
            assert browser.post("/api/threshold/rollback", {"reason": "a trial"}).json()["at_once"]
            until(lambda: shown()["threshold"] == 0.5)
            until(lambda: httpx.get(f"{base}/readyz", timeout=PATIENCE_S, trust_env=False).status_code == 200)
            assert _passes(controller, 3)
        said = ended(line)
    assert "the recipe bottle 2 is in force in place of the recipe bottle 1" in said
    assert "the recipe bottle 1 is in force in place of the recipe bottle 2" in said


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
    words = ["--recipes", str(store.folder), "--serve", f"0?recipes={store.folder}"]
    with serving(tmp_path, *words, "--drift", str(tmp_path / "drift.json")) as (line, base, controller):
        with httpx.Client(base_url=base, timeout=PATIENCE_S, trust_env=False) as client:

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
            assert 'proctor_threshold{camera="camera",line="",site="",station=""} 0.625' in client.get("/metrics").text
        ended(line)
    assert json.loads((tmp_path / "drift.json").read_text())["recipe_sha256"] == read_detector(other)[1].sha256


def _passes(controller: LineClient, part_id: int) -> bool:
    picture = GOOD.copy()
    picture[0, 0] += part_id  # a camera's noise: no picture comes twice
    answer = controller.trigger(picture, Part(part_id))
    assert isinstance(answer, Accepted), answer
    result = controller.result(timeout_s=PATIENCE_S)
    return result is not None and result.passes
