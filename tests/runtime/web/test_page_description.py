"""The page against its own description: whatever Schemathesis makes of it, the answer is one that it says."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from runtime_samples import explaining_detector, grey_frame
from schemathesis.schemas import BaseSchema
from tries import tried
from waiting import until
from web_samples import PASSWORDS, Alone, browsing, fed_page, server_alone, users_file

from runtime.default_detector import DEMO_DETECTOR
from runtime.detector_file import read_detector
from runtime.recipes.store import RecipeStore
from runtime.records.record import record_of
from runtime.records.store import RecordStore
from runtime.verdict import Decision
from runtime.web import guard
from runtime.web.app import ROUTES
from runtime.web.board import Hello
from runtime.web.openapi import document_of
from runtime.web.page import _shown, pictured
from runtime.web.part_sets import FEWEST, GOOD, begin
from runtime.web.serving import Serving
from runtime.web.sessions import Session
from runtime.web.totals import ONLY

KEPT = "/api/good-parts"
PICTURE = Path(__file__).parents[3] / "runtime" / "web" / "live.png"
EXAMPLES = 10  # of each operation, beside those that cover it
PATIENCE_S = 10.0
COOKIE = "proctor-0"
DOCUMENT = document_of(ROUTES, COOKIE)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
WHEN_IT_RUNS = schemathesis.pytest.from_fixture("description")  # else each process makes all cases before any test
FINITE = SCHEMA.exclude(path=guard.EVENTS)  # the one answer without an end has a test of its own


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """A page that has something to tell of everything: a sealed recipe, records with pictures, verdicts, rejects."""
    folder = tmp_path_factory.mktemp("page")
    store = RecipeStore(folder / "recipes")
    given = Path(shutil.copy(DEMO_DETECTOR, folder / "detector.onnx"))
    store.seal("flange", [given], "erna", "first run")
    store.activate("flange", "erna", "released")
    path = store.path("flange", 1) / "detector.onnx"
    recipe = read_detector(path)[1]
    token = folder / "token"
    token.write_text("a-token-for-prometheus\n")
    serving = Serving(
        "127.0.0.1", 0, users=str(users_file(folder)), token=str(token), recipes=str(store.folder), site="north",
        parts=str(folder / "parts"),
    )  # fmt: skip
    good_parts(folder / "parts")
    with server_alone(serving) as alone, RecordStore(folder / "records") as records, explaining_detector() as detector:
        board = alone.desk.board
        camera = board.hello.cameras[ONLY] | {
            "detector": str(path), "recipe": recipe.sha256, "score_quantiles": recipe.score_quantiles,
            "threshold": recipe.threshold.value, "sample_size": recipe.threshold.sample_size,
        }  # fmt: skip
        board.hello = Hello({ONLY: camera}, str(records.folder), records.session)
        for number, spot in enumerate((None, 255, 200, None), 1):
            frame = grey_frame(number, grey=100 + number, spot=spot, part_id=f"part-{number}")
            verdict = replace(detector.inspect(frame), recipe_sha256=recipe.sha256)
            records.add(record_of(verdict), frame.image)
            shown = _shown(ONLY, frame, verdict, verdict.latency_ms)
            board.take({"kind": "verdicts", "verdicts": [shown]}, b"")
            for kind in ("picture", *(["reject"] if verdict.decision is not Decision.OK else [])):
                document, pixels = pictured(kind, ONLY, frame, verdict)
                board.take(document, b"".join(pixels))
        assert records.settle()
        yield alone
        assert alone.desk.workshop is not None
        alone.desk.workshop.close()


def good_parts(folder: Path) -> None:
    """A set of pictures, inspected, with a report."""
    made = begin(folder, ONLY, FEWEST, "otto")
    for number in range(FEWEST):
        shutil.copy(PICTURE, made.folder / GOOD / f"{number:06d}.png")
    told = {"part_id": None, "frame_id": 1, "at": 1.5, "decision": "OK", "reason": "score", "score": 0.5}
    (made.folder / "good.jsonl").write_text(json.dumps({"name": "000001.png", "threshold": 1.0, **told}))
    suspect = {"path": str(made.folder / GOOD / "000002.png"), "kind": "copy", "reason": "a copy", "strength": 0.0}
    made.write("inspection", {"images": FEWEST, "suspects": [suspect], "notes": ["few images"]})
    made.made.parent.mkdir()
    shutil.copy(PICTURE, made.made.with_name("report.png"))


def finished(page: Alone) -> None:
    """As if a job had made a detector of the set, and compared it."""
    workshop = page.desk.workshop
    assert workshop is not None
    workshop.close()
    current = workshop.current
    shutil.copy(DEMO_DETECTOR, current.made)
    said = {"decision": "OK", "reason": "score", "score": 0.5, "evidence_scores": {}}
    pairs = [{"name": f"{number:06d}.png", "old": said | {"decision": "NG"}, "new": said} for number in range(FEWEST)]
    recipe = read_detector(current.made)[1].sha256
    side = {"detector": "detector.onnx", "recipe_sha256": recipe, "threshold": 1.0}
    current.write("comparison", {"old": side, "new": side, "folders": {str(current.folder / GOOD): pairs}})


SECRET, TOKEN = "s" * 43, "t" * 43  # of a session that is there whenever it is asked


@SCHEMA.auth()
class Engineer:
    """Who is logged in."""

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> tuple[str, str]:
        """Cookie and token."""
        return SECRET, TOKEN

    def set(self, case: schemathesis.Case, data: tuple[str, str], context: schemathesis.AuthContext) -> None:
        """As a browser sends them."""
        case.cookies[COOKIE], case.headers["X-CSRF-Token"] = data


def log_in(page: Alone) -> None:
    """Some of the requests log out."""
    now_s = time.monotonic()
    page.desk.sessions._known[True][SECRET] = Session(page.desk.users["erna"], TOKEN, now_s, now_s)


def test_the_description_is_served_as_it_is_tried_here(page: Alone) -> None:
    with browsing(page.base) as browser:
        assert browser.get("/openapi.json").json() == DOCUMENT


def test_what_is_asked_rightly_is_answered_as_the_description_says(page: Alone) -> None:
    """Each route's 200, which made-up values hardly reach, but for the newest picture's number."""
    with browsing(page.base, "erna") as browser:
        parts = browser.get("/api/rejects").json()["parts"]
        picture = page.desk.board.newest()[ONLY].number
        reject = next(each for each in parts if each["heat"])
        right: dict[str, tuple[str, dict[str, Any]]] = {
            "GET /api/cameras/{camera}/{number}.jpg": (f"/api/cameras/{ONLY}/{picture}.jpg", {}),
            "GET /api/cameras/{camera}/{number}.png": (f"/api/cameras/{ONLY}/{picture}.png", {}),
            "GET /api/cameras/{camera}/{number}/{kind}.png": (f"/api/cameras/{ONLY}/{picture}/0.png", {}),
            "GET /api/rejects/{number}/{kind}.png": (reject["terms"][0]["heat"], {}),
            "GET /api/rejects/{number}.jpg": (reject["heat"].replace(".png", ".jpg"), {}),
            "GET /api/rejects/{number}.png": (reject["heat"], {}),
            "GET /api/records/{record}.jpg": (f"/api/records/{reject['record']}.jpg", {}),
            "GET /api/parts": ("/api/parts", {"part_id": reject["part_id"]}),
            "GET /api/threshold": ("/api/threshold", {"camera": ONLY}),
            "GET /api/threshold/what-if": ("/api/threshold/what-if", {"camera": ONLY, "value": 3.5}),
            "POST /api/marks": ("/api/marks", {"record": reject["record"], "mark": "false reject"}),
            "POST /api/threshold": ("/api/threshold", {"camera": ONLY, "value": 3.5, "reason": "a test"}),
            "POST /api/threshold/rollback": ("/api/threshold/rollback", {"reason": "it was one"}),
            "POST /api/login": ("/api/login", {"name": "erna", "password": PASSWORDS["erna"]}),
            "GET /api/good-parts/picture.jpg": (f"{KEPT}/picture.jpg", {"kind": GOOD, "name": "000001.png"}),
            "POST /api/good-parts/collect": (f"{KEPT}/collect", {"camera": ONLY, "pictures": 3, "new": "no"}),
            "POST /api/good-parts/say": (f"{KEPT}/say", {"name": "000001.png", "good": "yes"}),
            "POST /api/good-parts/make": (f"{KEPT}/make", {"how": "threshold"}),
            "POST /api/good-parts/try": (f"{KEPT}/try", {"parts": 2}),
            "POST /api/good-parts/seal": (f"{KEPT}/seal", {"name": "flange", "reason": "a test"}),
        }
        told = []
        for operation in (each.ok() for each in FINITE.get_all_operations()):
            method, name = operation.method.upper(), f"{operation.method.upper()} {operation.path}"
            path, values = right.pop(name, (operation.path, {}))
            state = {"number": len(told), "camera": None, "folder": "", "wanted": 3, "kept": 3, "problem": None}
            page.desk.board.take({"kind": "state", "cameras": {}, "paused_by": None, "collecting": state}, b"")
            if name == "POST /api/good-parts/try":
                finished(page)
            answer = browser.post(path, values) if method == "POST" else browser.get(path, params=values)
            assert answer.status_code == 200, f"{name}: {answer.text}"
            operation.validate_response(answer)
            told.append(name)
            if "csrf" in answer.text and method == "POST":
                browser.csrf = answer.json()["csrf"]
            if name == "POST /api/logout":
                browser.csrf = browser.get("/api/session").json()["csrf"]
                assert browser.log_in("erna").status_code == 200
    assert right == {}
    assert len(told) == len(ROUTES) - 1


def test_without_records_and_users_answers_are_as_the_description_says() -> None:
    with fed_page() as fed, browsing(fed.base) as browser:
        for spot in (None, 255):
            fed.feed(spot)
        until(lambda: browser.get("/api/rejects").json()["parts"])
        for path, query in (("/api/session", {}), ("/api/rejects", {}), ("/api/threshold", {"camera": ONLY})):
            answer = browser.get(path, params=query)
            assert answer.status_code == 200
            SCHEMA[path]["GET"].validate_response(answer)
        assert len(answer.json()["scores"]) == 2


def test_news_are_as_the_description_says(page: Alone) -> None:
    content = DOCUMENT["paths"][guard.EVENTS]["get"]["responses"]["200"]["content"]
    with browsing(page.base, "vera") as browser, browser.http.stream("GET", guard.EVENTS) as stream:
        news = json.loads(next(stream.iter_lines()))
        kind = stream.headers["content-type"]
    assert set(content) == {kind}
    jsonschema.validate(news, content[kind]["schema"])
    assert len(news["verdicts"]) == 4


@tried(
    "whatever Schemathesis makes of `/openapi.json`: values, types, fields, methods, missing tokens",
    "an answer that the description says, never a 5xx that it does not",
)
def every_answer_is_one_that_the_description_says(case: schemathesis.Case, page: Alone) -> None:
    log_in(page)
    page.desk.board.take({"kind": "state", "cameras": {}, "paused_by": None}, b"")  # the stream is there
    case.call_and_validate(base_url=page.base, timeout=PATIENCE_S)


@pytest.fixture
def description(request: pytest.FixtureRequest) -> BaseSchema:
    """What Schemathesis makes cases of."""
    request.node._nodeid = request.node.nodeid  # pytest 9.2 has it no more, and Schemathesis 4.32 asks for it
    return SCHEMA


def asking(operation: Any) -> Callable[..., None]:
    """A test of one operation."""

    @WHEN_IT_RUNS.include(path=operation.path, method=operation.method).parametrize()
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def ask(case: schemathesis.Case, page: Alone) -> None:
        every_answer_is_one_that_the_description_says(case, page)

    return ask


# by names of their own: of tests of one name, pytest's processes run one
for found in (each.ok() for each in FINITE.get_all_operations()):
    name = re.sub(r"\W+", "_", found.label.lower()).rstrip("_")
    globals()[f"test_{every_answer_is_one_that_the_description_says.__name__}_of_{name}"] = asking(found)
