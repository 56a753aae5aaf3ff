"""The threshold on the page: seen over scores, tried, put in force as a sealed recipe, and taken back."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from runtime.adjust import adjust
from runtime.detector_file import read_detector
from runtime.errors import ProctorError
from runtime.location import Address, as_location
from runtime.recipes.store import LONGEST_REASON, RecipeStore, Seal, file_sha256
from runtime.records.reading import Question, Records
from runtime.signing import read_key
from runtime.web.answers import SEAL, THRESHOLD, WHAT_IF
from runtime.web.desk import Asked, Desk, Field, Refused, Route
from runtime.web.once import once_per_change
from runtime.web.totals import ONLY
from runtime.web.users import Role
from runtime.web.what_if import change, proof

RECENT = 2000  # parts whose scores are shown
HISTORY = 20
SCORED = ("score", "part_id", "frame_id", "decision")  # what is shown of a part by its score


async def thresholds(asked: Asked) -> Response:
    """Scores, the calibration's quantiles, and what is in force."""
    name = asked.body["camera"]
    camera = asked.desk.camera(name)
    scores = await run_in_threadpool(_scores, asked.desk, name, camera)
    store = await run_in_threadpool(_store_state, asked.desk, camera)
    kept = ("recipe", "threshold", "score_quantiles", "sample_size", "method", "confidence")
    return JSONResponse({**{key: camera[key] for key in kept}, "scores": scores, "recipes": store})


async def what_if(asked: Asked) -> Response:
    """What another threshold would have changed, and what is proven of it."""
    name, value = asked.body["camera"], asked.body["value"]
    camera = asked.desk.camera(name)
    scores = await run_in_threadpool(_scores, asked.desk, name, camera)
    proven = await run_in_threadpool(proof, camera, value)
    return JSONResponse({"value": value, **change(scores, camera["threshold"], value), "proof": proven})


async def apply(asked: Asked) -> Response:
    """Seal the running recipe with another threshold as its next version, and put that in force."""
    camera, body = asked.desk.camera(asked.body["camera"]), asked.body
    seal = await run_in_threadpool(_apply, asked.desk, camera, body["value"], asked.user.name, body["reason"])
    return JSONResponse(_told(seal))


async def roll_back(asked: Asked) -> Response:
    """Put in force what was before."""
    store, by, reason = _store(asked.desk), asked.user.name, asked.body["reason"]
    return JSONResponse(_told(await run_in_threadpool(store.roll_back, by, reason)))


def _scores(desk: Desk, name: str, camera: dict[str, Any]) -> list[dict[str, Any]]:
    """The last scores of a camera by the recipe that runs, with marks, and all marked parts before them."""
    folder = desk.board.hello.records
    if folder is None:
        kept = desk.board.scores(name, camera["recipe"])
        return [{**{key: each[key] for key in SCORED}, "mark": None} for each in kept]
    with Records(Path(folder)) as records:
        rows = {row["id"]: row for row in records.find(Question(marked=True), RECENT)}
        rows |= {row["id"]: row for row in records.find(Question(), 2 * RECENT)}
    found = [
        {key: row[key] for key in (*SCORED, "mark")}
        for _, row in sorted(rows.items())
        if row["score"] is not None and row["recipe"] == camera["recipe"] and (row["camera"] or ONLY) == name
    ]
    marked = [each for each in found[:-RECENT] if each["mark"]]
    return marked + found[-RECENT:]


def _recipe_sha256(path: Path) -> str:
    return read_detector(path)[1].sha256


class _Hashes(NamedTuple):
    """How files are hashed. Raise `OSError`; `recipe` raises what `read_detector` raises, too."""

    file: Callable[[Path], str]
    recipe: Callable[[Path], str]


FRESH = _Hashes(file_sha256, _recipe_sha256)  # for what is put in force
SEEN = _Hashes(once_per_change(file_sha256), once_per_change(_recipe_sha256))  # for what is shown


def _store(desk: Desk, hashes: _Hashes = FRESH) -> RecipeStore:
    serving = desk.serving
    if serving.recipes is None:
        raise Refused(409, "no folder of sealed recipes was given; start with recipes=FOLDER in --serve")
    key = read_key(None if serving.recipes_key is None else Path(serving.recipes_key))
    return RecipeStore(Path(serving.recipes), key, hashes.file)


def _running(store: RecipeStore, camera: dict[str, Any], hashes: _Hashes = FRESH) -> tuple[Seal, str]:
    """The sealed version whose detector runs, the newest, and the detector's name in it."""
    path = as_location("the detector", camera["detector"])
    if isinstance(path, Address):
        raise Refused(409, "the detector that runs is on a server, and its threshold with it; set it in the file "
                           "that the model was written from (python -m runtime.adjust), and write it anew")  # fmt: skip
    if path.suffix == ".plan":
        raise Refused(409, "a TensorRT plan runs; set the threshold with python -m runtime.adjust, and seal it")
    try:
        recipe, sha256 = hashes.recipe(path), hashes.file(path)
    except OSError as error:
        raise Refused(409, f"{path} cannot be read ({error.strerror}); start the stream again") from error
    if recipe != camera["recipe"]:
        raise Refused(409, f"{path.name} was changed since the stream opened it; start the stream again")
    found = store.with_file(sha256)
    if found is None:
        raise Refused(409, "the detector that runs is no sealed recipe; seal it first: proctor recipes FOLDER seal "
                           f"NAME {path.name} --by … --reason …")  # fmt: skip
    return found


def _apply(desk: Desk, camera: dict[str, Any], value: float, by: str, reason: str) -> Seal:
    store = _store(desk)
    seal, file = _running(store, camera)
    place = store.path(seal.name, seal.version)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name in seal.files:
            copy = Path(folder) / name
            copy.write_bytes((place / name).read_bytes())
            files.append(copy)
        adjust(Path(folder) / file, {"threshold": value})
        before = camera["threshold"]
        why = f"threshold {before:.6g} -> {value:.6g}: {reason}"[:LONGEST_REASON]
        new = store.seal(seal.name, files, by, why)
    return store.activate(new.name, by, why, new.version)


def _store_state(desk: Desk, camera: dict[str, Any]) -> dict[str, Any] | None:
    """What is in force, what runs, and what was done last; None without a folder."""
    if desk.serving.recipes is None:
        return None
    try:
        store = _store(desk, SEEN)
        active, history = store.active(), store.history()[-HISTORY:]
    except ProctorError as error:
        return {"active": None, "running": None, "problem": str(error), "history": []}
    try:
        running, problem = _told(_running(store, camera, SEEN)[0]), None
    except (Refused, ProctorError) as error:
        running, problem = None, error.reason if isinstance(error, Refused) else str(error)
    return {
        "active": None if active is None else _told(active),
        "running": running,
        "problem": problem,
        "history": [{key: value for key, value in asdict(each).items() if key != "before"} for each in history][::-1],
    }


def _told(seal: Seal) -> dict[str, Any]:
    return {key: value for key, value in asdict(seal).items() if key != "files"}


CAMERA = Field(str, "name of the camera", 60)
REASON = Field(str, "why", 300)
VALUE = Field(float, "the threshold")
ROUTES = (
    Route(
        "GET",
        "/api/threshold",
        Role.VIEW,
        "scores, and what is in force",
        thresholds,
        {"camera": CAMERA},
        answer=THRESHOLD,
    ),
    Route(
        "GET",
        "/api/threshold/what-if",
        Role.VIEW,
        "what another threshold would have changed",
        what_if,
        {"camera": CAMERA, "value": VALUE},
        answer=WHAT_IF,
    ),
    Route(
        "POST",
        "/api/threshold",
        Role.ENGINEER,
        "seal the running recipe with another threshold, and put it in force",
        apply,
        {"camera": CAMERA, "value": VALUE, "reason": REASON},
        answer=SEAL,
    ),
    Route(
        "POST",
        "/api/threshold/rollback",
        Role.ENGINEER,
        "put in force what was before",
        roll_back,
        {"reason": REASON},
        answer=SEAL,
    ),
)
