"""What one make leaves in a set and another one finds there: never parts of two."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
from runtime_samples import grey_frame, write_detector
from waiting import until
from web_samples import Browser, browsing, server_alone, users_file

from runtime.adjust import adjust
from runtime.detector_file import read_detector
from runtime.recipes.store import RecipeStore
from runtime.web import workshop as workshops
from runtime.web.board import Hello
from runtime.web.jobs import Step
from runtime.web.part_sets import FEWEST, GOOD, PartSet, begin
from runtime.web.serving import Serving
from runtime.web.totals import ONLY
from runtime.web.workshop import Workshop

ROOT = Path(__file__).parents[3]


@dataclass
class Made:
    """A set of which a detector was made, compared and sealed."""

    workshop: Workshop
    browser: Browser
    current: PartSet
    folder: Path

    def make(self, *steps: Step) -> None:
        """Let a make be of these commands."""
        *making, comparison = steps
        self.workshop._making = lambda *_: making  # type: ignore[method-assign, assignment]
        self.workshop._comparison = lambda *_: comparison  # type: ignore[method-assign]
        self.workshop.make("train", "erna")

    def ended(self) -> dict[str, Any]:
        """What the page shows once the job has ended."""
        until(lambda: self.workshop.document["job"]["done"])
        found: dict[str, Any] = self.workshop.document["set"]
        return found

    def copying(self, source: Path) -> Step:
        """A command that makes this detector."""
        return Step("training", "copies", (str(source), str(self.current.made)))

    def files(self) -> dict[str, bytes]:
        """All of the set but its log, by names."""
        found = (each for each in self.current.folder.rglob("*") if each.is_file() and each.name != "log.txt")
        return {str(each.relative_to(self.current.folder)): each.read_bytes() for each in found}

    def seal(self) -> tuple[int, str | None]:
        """What the page answers."""
        answer = self.browser.post("/api/good-parts/seal", {"name": "bottle", "reason": "a try"})
        return answer.status_code, answer.json().get("error")


def comparison_of(detector: Path) -> dict[str, Any]:
    """With a picture that the detector lets pass."""
    said = {"decision": "OK", "reason": "score", "score": 0.25, "evidence_scores": {}}
    side = {"detector": str(detector), "recipe_sha256": read_detector(detector)[1].sha256, "threshold": 0.5}
    return {"old": side, "new": side, "folders": {GOOD: [{"name": "000003.png", "old": said, "new": said}]}}


def other_detector(folder: Path, threshold: float) -> Path:
    path = write_detector(folder / f"{threshold}.onnx")
    adjust(path, {"threshold": threshold})
    return path


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    pytest.importorskip("onnx", reason="the detector of these tests is built with the onnx package")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    monkeypatch.setattr(workshops, "_has", lambda extra: True)
    (tmp_path / "copies.py").write_text("import shutil, sys; shutil.copy(*sys.argv[1:])")
    (tmp_path / "fails.py").write_text("import sys; print('error: no room'); sys.exit(2)")
    (tmp_path / "waits.py").write_text("import time; print('waiting', flush=True); time.sleep(600)")
    path, first = write_detector(tmp_path / "detector.onnx"), other_detector(tmp_path, 0.625)
    current = begin(tmp_path / "parts", ONLY, FEWEST, "otto")
    for number in range(FEWEST):
        cv2.imwrite(str(current.folder / GOOD / f"{number + 1:06d}.png"), grey_frame(number, grey=100 + number).image)
    current.confirm("otto")
    serving = Serving("127.0.0.1", 0, users=str(users_file(tmp_path)), parts=str(tmp_path / "parts"),
                      recipes=str(tmp_path / "recipes"))  # fmt: skip
    with server_alone(serving) as alone, browsing(alone.base, "erna") as browser:
        camera = {"detector": str(path), "recipe": read_detector(path)[1].sha256}
        alone.desk.board.hello = Hello({ONLY: alone.desk.board.hello.cameras[ONLY] | camera}, None, 1)
        assert alone.desk.workshop is not None
        found = Made(alone.desk.workshop, browser, current, tmp_path)
        (tmp_path / "compared.json").write_text(json.dumps(comparison_of(first)))
        copies = Step(
            "comparison", "copies", (str(tmp_path / "compared.json"), str(current.folder / "comparison.json"))
        )
        report = Step("report", "copies", (str(tmp_path / "compared.json"), str(current.made.with_name("report.png"))))
        found.make(found.copying(first), report, copies)
        assert found.ended()["comparison"] is not None
        assert found.seal() == (200, None)
        yield found
        found.workshop.close()


def cancelled(made: Made) -> None:
    until(lambda: "waiting" in made.workshop.document["job"]["lines"])
    made.workshop.cancel("otto")


@pytest.mark.parametrize(("comparison", "end"), [("fails", lambda made: None), ("waits", cancelled)])
def test_a_detector_whose_comparison_came_to_nothing_has_none_of_the_one_before(
    made: Made, comparison: str, end: Callable[[Made], None]
) -> None:
    second = other_detector(made.folder, 0.75)
    made.make(made.copying(second), Step("comparison", comparison, ()))
    end(made)
    found = made.ended()
    assert found["made"]["report"] is False
    assert (found["comparison"], found["sealed"], made.workshop.report) == (None, None, None)
    assert made.current.made.read_bytes() == second.read_bytes()
    status, error = made.seal()
    assert (status, "was not compared on these pictures" in str(error)) == (409, True)
    assert not {name for name in made.files() if not name.startswith(GOOD)} - {
        "set.json", "confirmed.json", "made/detector.onnx",
    }  # fmt: skip


def test_a_detector_is_not_sealed_by_the_comparison_of_another_one(made: Made) -> None:
    made.current.made.write_bytes(other_detector(made.folder, 0.75).read_bytes())
    assert made.seal() == (
        409, "the comparison is of another detector than the one that was made; try this one on parts",
    )  # fmt: skip
    assert RecipeStore(made.folder / "recipes").versions("bottle") == [1]


@pytest.mark.parametrize(("command", "end"), [("fails", lambda made: None), ("waits", cancelled)])
def test_a_make_that_makes_nothing_leaves_the_set_as_it_was(
    made: Made, command: str, end: Callable[[Made], None]
) -> None:
    files, shown = made.files(), made.workshop.document["set"]
    made.make(Step("training", command, ()), Step("comparison", "fails", ()))
    end(made)
    assert made.ended() == shown
    assert made.files() == files
    assert not (made.current.folder / workshops.EARLIER).exists()
    assert made.seal() == (200, None)


def test_what_a_page_that_was_killed_had_put_aside_comes_back(made: Made) -> None:
    files = made.files()
    workshops._put_aside(made.current)
    made.current.made.with_suffix(".parity.npz").write_bytes(b"of the make that was killed")
    assert made.workshop.current.made.is_file()
    assert made.files() == files
