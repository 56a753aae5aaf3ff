"""The threshold on the page: what is said of it is true, and what is put in force is sealed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from runtime_samples import grey_frame, write_detector
from waiting import until
from web_samples import Alone, browsing, fed_page, server_alone, users_file

from runtime.detector_file import read_detector
from runtime.line.results import Code
from runtime.recipes.store import RecipeStore
from runtime.records.marks import Mark, Marks
from runtime.records.record import Record, record_of
from runtime.records.store import RecordStore
from runtime.threshold import least_provable, proven_rate, rate_bound
from runtime.web import once
from runtime.web.board import Hello
from runtime.web.serving import Serving
from runtime.web.totals import ONLY
from runtime.web.what_if import change, most_above, proof

PROBABILITIES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@pytest.mark.parametrize(("above", "size"), [(0, 80), (1, 10), (5, 80), (299, 300), (40, 2995)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_bound_is_the_one_of_the_calibration(above: int, size: int, confidence: float) -> None:
    calibration = pytest.importorskip("calibration.threshold", reason="SciPy is of the extra train")
    assert rate_bound(above, size, confidence) == pytest.approx(
        calibration.rate_bound(above, size, confidence), rel=1e-9
    )
    for left_out in (True, False):
        expected = calibration.proven_rate(above, size, confidence, left_out)
        assert proven_rate(above, size, confidence, left_out) == pytest.approx(expected, rel=1e-9)


def test_never_fewer_good_parts_are_said_to_lie_above_than_do() -> None:
    random = np.random.default_rng(0)
    for size in (2, 3, 7, 20, 21, 100, 101, 500):
        for _ in range(20):
            scores = random.normal(size=size).round(1)  # with ties
            quantiles = {
                str(q): float(v) for q, v in zip(PROBABILITIES, np.quantile(scores, PROBABILITIES), strict=True)
            }
            for value in [*scores, *quantiles.values(), -10.0, 10.0, *random.normal(size=5)]:
                assert most_above(quantiles, size, value) >= np.count_nonzero(scores > value)
            assert most_above(quantiles, size, quantiles["1.0"]) == 0
            assert most_above(quantiles, size, -10.0) == size


def test_what_is_proven_is_what_the_good_parts_prove_and_nothing_of_a_threshold_by_hand() -> None:
    camera = {"score_quantiles": {"0.5": 1.0, "1.0": 2.0}, "sample_size": 100, "confidence": 0.95, "vouched": True}
    found = proof(camera | {"method": "order-statistic"}, 2.5)
    assert found == {"rate": least_provable(100, 0.95), "above": 0, "of": 100, "confidence": 0.95}
    assert proof(camera | {"method": "order-statistic"}, 1.5)["rate"] == rate_bound(50, 100, 0.95)
    left_out = proof(camera | {"method": "jackknife-minmax"}, 2.5)
    assert (left_out["rate"], left_out["confidence"]) == (1 / 101, None)
    assert proof(camera | {"method": "order-statistic"}, 0.0)["rate"] == 1.0
    assert proof(camera | {"method": "manual"}, 2.5)["rate"] is None
    assert proof(camera | {"method": "order-statistic", "vouched": False}, 2.5)["rate"] is None


def test_a_change_is_counted_by_scores_and_marks() -> None:
    marks = {0.9: "real defect", 0.55: "false reject", 0.45: "missed"}
    scores = [{"score": each, "mark": marks.get(each)} for each in (0.1, 0.2, 0.45, 0.55, 0.6, 0.9)]
    found = change(scores, 0.5, 0.7)
    assert (found["rejected_before"], found["rejected_after"], found["newly_passed"], found["newly_rejected"]) == (
        3,
        1,
        2,
        0,
    )
    assert (found["defects_found"], found["marked_defects"]) == (1, 2)
    assert (found["false_rejects_left"], found["marked_false_rejects"]) == (0, 1)
    assert change(scores, 0.5, 0.4)["newly_rejected"] == 1


@contextmanager
def station(folder: Path, records: Path | None = None) -> Iterator[Alone]:
    """A page whose detector runs from a folder of sealed recipes."""
    pytest.importorskip("onnx", reason="the detector of these tests is built with the onnx package")
    store = RecipeStore(folder / "recipes")
    given = folder / "detector.onnx"
    write_detector(given)
    (folder / "line.yaml").write_text("cameras: {}")
    store.seal("bottle", [given, folder / "line.yaml"], "erna", "first run")
    store.activate("bottle", "erna", "released")
    path = store.path("bottle", 1) / "detector.onnx"
    recipe = read_detector(path)[1]
    serving = Serving("127.0.0.1", 0, users=str(users_file(folder)), recipes=str(folder / "recipes"))
    with server_alone(serving) as alone:
        camera = alone.desk.board.hello.cameras[ONLY] | {"detector": str(path), "recipe": recipe.sha256}
        alone.desk.board.hello = Hello({ONLY: camera}, None if records is None else str(records), 1)
        yield alone


def test_an_engineer_puts_a_threshold_in_force_and_takes_it_back(tmp_path: Path) -> None:
    store = RecipeStore(tmp_path / "recipes")
    with station(tmp_path) as alone, browsing(alone.base, "erna") as browser:
        body = {"camera": ONLY, "value": 0.625, "reason": "too many false rejects"}
        answer = browser.post("/api/threshold", body).json()
        assert (answer["name"], answer["version"], answer["by"]) == ("bottle", 2, "erna")
        assert answer["reason"] == "threshold 0.5 -> 0.625: too many false rejects"
        active = store.active()
        assert active is not None
        assert (active.version, set(active.files)) == (2, {"detector.onnx", "line.yaml"})
        recipe = read_detector(store.path("bottle", 2) / "detector.onnx")[1]
        assert (recipe.threshold.value, recipe.threshold.method) == (0.625, "manual")
        assert read_detector(store.path("bottle", 1) / "detector.onnx")[1].threshold.value == 0.5
        shown = browser.get("/api/threshold", params={"camera": ONLY}).json()["recipes"]
        assert (shown["active"]["version"], shown["running"]["version"]) == (2, 1)
        assert [each["action"] for each in shown["history"]] == ["activated", "sealed", "activated", "sealed"]
        answer = browser.post("/api/threshold/rollback", {"reason": "defects passed"}).json()
        assert (answer["version"], store.active()) == (1, store.checked("bottle", 1))
        assert store.history()[-1].reason == "defects passed"


def test_a_threshold_is_that_of_the_recipe_in_force_where_another_one_has_the_same_detector(tmp_path: Path) -> None:
    with station(tmp_path) as alone, browsing(alone.base, "erna") as browser:
        store = RecipeStore(tmp_path / "recipes")
        store.seal("alpha", [tmp_path / "detector.onnx"], "erna", "the same detector, without the line's file")
        body = {"camera": ONLY, "value": 0.625, "reason": "too many false rejects"}
        answer = browser.post("/api/threshold", body).json()
        assert (answer["name"], answer["version"]) == ("bottle", 2)
        assert set(store.checked("bottle", 2).files) == {"detector.onnx", "line.yaml"}
        assert store.versions("alpha") == [1]


def test_a_detector_that_was_changed_or_never_sealed_is_not_sealed_behind_somebodys_back(tmp_path: Path) -> None:
    with station(tmp_path) as alone, browsing(alone.base, "erna") as browser:
        body = {"camera": ONLY, "value": 0.6, "reason": "a try"}
        (tmp_path / "recipes" / "bottle" / "0001" / "line.yaml").write_text("cameras: {evil: {}}")
        answer = browser.post("/api/threshold", body)
        assert answer.status_code == 409
        assert "was changed since erna sealed it" in answer.json()["error"]
        camera = alone.desk.board.hello.cameras[ONLY]
        camera["recipe"] = "0" * 64
        assert "was changed since the stream opened it" in browser.post("/api/threshold", body).json()["error"]
        loose = write_detector(tmp_path / "loose.onnx")
        loose.write_bytes(loose.read_bytes().replace(b"somebody", b"somewho!"))
        camera |= {"detector": str(loose), "recipe": read_detector(loose)[1].sha256}
        (tmp_path / "recipes" / "bottle" / "0001" / "line.yaml").write_text("cameras: {}")
        assert "is no sealed recipe; seal it first" in browser.post("/api/threshold", body).json()["error"]
    assert RecipeStore(tmp_path / "recipes").versions("bottle") == [1]


def test_of_a_served_detector_the_page_says_where_its_threshold_is_set(tmp_path: Path) -> None:
    with station(tmp_path) as alone, browsing(alone.base, "erna") as browser:
        alone.desk.board.hello.cameras[ONLY]["detector"] = "triton://127.0.0.1:8001/bottle"
        found = browser.get("/api/threshold", params={"camera": ONLY})
        assert (found.status_code, found.json()["threshold"], found.json()["recipes"]["running"]) == (200, 0.5, None)
        told = found.json()["recipes"]["problem"]
        assert told.startswith("the detector that runs is on a server, and its threshold with it; set it in the file")
        answer = browser.post("/api/threshold", {"camera": ONLY, "value": 0.6, "reason": "a try"})
        assert (answer.status_code, answer.json()) == (409, {"error": told})


def test_a_detector_that_is_gone_is_told(tmp_path: Path) -> None:
    with station(tmp_path) as alone, browsing(alone.base, "erna") as browser:
        alone.desk.board.hello.cameras[ONLY]["detector"] = str(tmp_path / "gone.onnx")
        told = browser.get("/api/threshold", params={"camera": ONLY}).json()["recipes"]["problem"]
        assert told == f"{tmp_path / 'gone.onnx'} cannot be read (No such file or directory); start the stream again"


def test_a_look_at_the_page_reads_no_detector_again_that_was_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "SETTLED_NS", 0)
    read: list[Path] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or original(path))
    with station(tmp_path) as alone, browsing(alone.base, "vera") as browser:
        store, path = RecipeStore(tmp_path / "recipes"), tmp_path / "recipes" / "bottle" / "0001" / "detector.onnx"

        def looked() -> tuple[object, list[Path]]:
            read.clear()
            found = browser.get("/api/threshold", params={"camera": ONLY}).json()["recipes"]
            return found["problem"], [each for each in read if each.suffix == ".onnx"]

        assert looked()[0] is None
        assert looked() == (None, [])
        store.seal("bottle", [tmp_path / "detector.onnx"], "erna", "the same again")
        assert looked() == (None, [])  # the one in force has that file, too
        store.activate("bottle", "erna", "the same again")
        assert looked() == (None, [path.parent.parent / "0002" / "detector.onnx"])
        store.activate("bottle", "erna", "back", 1)
        assert looked() == (None, [])
        path.write_bytes(path.read_bytes().replace(b"somebody", b"somewho!"))
        problem, again = looked()
        assert "was changed since" in str(problem)
        assert path in again


def test_a_file_that_was_changed_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = tmp_path / "file", list[bytes]()

    def content(of: Path) -> bytes:
        asked.append(of.read_bytes())
        return asked[-1]

    found = once.once_per_change(content)
    path.write_bytes(b"one")
    assert (found(path), found(path)) == (b"one", b"one")
    assert len(asked) == 2  # it is too new for its time to tell two changes apart
    monkeypatch.setattr(once, "SETTLED_NS", 0)
    assert (found(path), found(path), len(asked)) == (b"one", b"one", 3)
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as somebody would who hides it
    assert found(path) == b"two"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        found(path)


@pytest.mark.parametrize("value", ["nan", "inf", "1e99", "x", ""])
def test_a_threshold_that_is_no_number_is_refused(tmp_path: Path, value: str) -> None:
    with server_alone(Serving("127.0.0.1", 0)) as alone, browsing(alone.base) as browser:
        answer = browser.get("/api/threshold/what-if", params={"camera": ONLY, "value": value})
        assert (answer.status_code, answer.json()["error"]) == (400, "value is none: the threshold")


def test_without_records_scores_are_those_of_the_recipe_that_runs(tmp_path: Path) -> None:
    with server_alone(Serving("127.0.0.1", 0)) as alone, browsing(alone.base) as browser:
        running = alone.desk.board.hello.cameras[ONLY]["recipe"]
        verdicts = [
            {"camera": ONLY, "score": score, "part_id": None, "frame_id": 1, "decision": "OK", "recipe": recipe}
            for score, recipe in ((0.1, "f" * 64), (0.2, running), (0.3, "f" * 64))
        ]
        alone.desk.board.take({"kind": "verdicts", "verdicts": verdicts}, b"")
        found = browser.get("/api/threshold", params={"camera": ONLY}).json()["scores"]
        assert [each["score"] for each in found] == [0.2]


def recorded(number: int, score: float, code: Code, recipe: str) -> Record:
    return Record(number, f"part-{number}", number * 10**9, 0, 1000, code, score, 0.5, None, None, recipe)


def test_scores_are_those_of_the_recipe_that_runs_with_their_marks(tmp_path: Path) -> None:
    with station(tmp_path, tmp_path / "records") as alone, browsing(alone.base, "vera") as browser:
        recipe = alone.desk.board.hello.cameras[ONLY]["recipe"]
        with RecordStore(tmp_path / "records") as records:
            records.add(recorded(1, 0.9, Code.NG, recipe))
            records.add(recorded(2, 0.7, Code.NG, "f" * 64))
            records.add(recorded(3, 0.2, Code.OK, recipe))
            assert records.settle()
        with Marks(tmp_path / "records") as marks:
            marks.add(1, Mark.FALSE_REJECT, "otto")
        found = browser.get("/api/threshold", params={"camera": ONLY}).json()["scores"]
        assert [(each["score"], each["mark"]) for each in found] == [(0.9, "false reject"), (0.2, None)]
        tried = browser.get("/api/threshold/what-if", params={"camera": ONLY, "value": 0.95}).json()
        assert (tried["parts"], tried["newly_passed"], tried["false_rejects_left"]) == (2, 1, 0)


def test_rejects_are_marked_and_a_missed_part_is_found_by_its_id(tmp_path: Path) -> None:
    with RecordStore(tmp_path / "records") as records, fed_page(f"0?users={users_file(tmp_path)}", records) as fed:
        for number, spot in enumerate((255, None)):
            frame = grey_frame(number, grey=128, spot=spot, part_id=f"A-{number}")
            verdict = fed.detector.inspect(frame)
            fed.page.write(frame, verdict)
            records.add(record_of(verdict), frame.image)
        assert records.settle()
        with browsing(fed.base, "otto") as browser:
            (part,) = until(lambda: [each for each in browser.get("/api/rejects").json()["parts"] if each["heat"]])
            assert (part["part_id"], part["record"], part["mark"]) == ("A-0", 1, None)
            until(lambda: browser.get("/api/rejects").json()["parts"][0]["image"] == "/api/records/1.jpg")
            assert browser.get("/api/records/1.jpg").content.startswith(b"\xff\xd8\xff")
            assert browser.post("/api/marks", {"record": 1, "mark": "false reject"}).status_code == 200
            assert browser.get("/api/rejects").json()["parts"][0]["mark"] == "false reject"
            (ok,) = browser.get("/api/parts", params={"part_id": "A-1"}).json()["parts"]
            assert browser.post("/api/marks", {"record": ok["record"], "mark": "missed"}).status_code == 200
            wrong = browser.post("/api/marks", {"record": ok["record"], "mark": "real defect"})
            assert "the part was OK; expected none, missed" in wrong.json()["error"]
            assert "no record 99" in browser.post("/api/marks", {"record": 99, "mark": "missed"}).json()["error"]
            browser.post("/api/marks", {"record": 1, "mark": "none"})
            assert browser.get("/api/rejects").json()["parts"][0]["mark"] is None
