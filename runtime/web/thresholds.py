"""The threshold on the page: seen over scores, tried, put in force as a sealed recipe, and taken back."""

import tempfile
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from runtime.adjust import adjust
from runtime.recipes.store import LONGEST_REASON, Seal
from runtime.records.reading import Question, Records
from runtime.web.answers import IN_FORCE, THRESHOLD, WHAT_IF
from runtime.web.desk import Asked, Desk, Field, Route
from runtime.web.in_force import put_in_force, running_seal, store_of, store_state
from runtime.web.totals import ONLY
from runtime.web.users import Role
from runtime.web.what_if import change, proof

RECENT = 2000  # parts whose scores are shown
SCORED = ("score", "part_id", "frame_id", "decision")  # what is shown of a part by its score


async def thresholds(asked: Asked) -> Response:
    """Scores, the calibration's quantiles, and what is in force."""
    name = asked.body["camera"]
    camera = asked.desk.camera(name)
    scores = await run_in_threadpool(_scores, asked.desk, name, camera)
    store = await run_in_threadpool(store_state, asked.desk, camera)
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
    return JSONResponse(put_in_force(asked.desk, seal))


async def roll_back(asked: Asked) -> Response:
    """Put in force what was before."""
    store, by, reason = store_of(asked.desk), asked.user.name, asked.body["reason"]
    return JSONResponse(put_in_force(asked.desk, await run_in_threadpool(store.roll_back, by, reason)))


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


def _apply(desk: Desk, camera: dict[str, Any], value: float, by: str, reason: str) -> Seal:
    store = store_of(desk)
    seal, file = running_seal(store, camera)
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
        answer=IN_FORCE,
    ),
    Route(
        "POST",
        "/api/threshold/rollback",
        Role.ENGINEER,
        "put in force what was before",
        roll_back,
        {"reason": REASON},
        answer=IN_FORCE,
    ),
)
