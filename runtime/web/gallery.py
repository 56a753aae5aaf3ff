"""The last rejects, and what people say of them.

With records they are those of the file, which outlives the page; heat maps are in this process's memory alone. Without
records the memory has all, and nothing can be marked.
"""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from runtime.records.marks import Mark, Marks
from runtime.records.reading import Question, Records
from runtime.web.answers import MARKED
from runtime.web.answers import PARTS as FOUND
from runtime.web.board import Picture
from runtime.web.desk import Asked, Desk, Field, Refused, Route
from runtime.web.live import term_of
from runtime.web.totals import ONLY
from runtime.web.users import Role

PARTS = 20  # of one id that are shown
REGIONS = 16


async def rejects(asked: Asked) -> Response:
    """The last ones, the newest first."""
    return JSONResponse({"parts": await run_in_threadpool(_rejects, asked.desk)})


async def parts(asked: Asked) -> Response:
    """What was recorded of a part, by its id."""
    folder = _folder(asked.desk)
    found = await run_in_threadpool(_recorded, asked.desk, folder, Question(part_id=asked.body["part_id"]), PARTS)
    return JSONResponse({"parts": found})


async def mark(asked: Asked) -> Response:
    """Say what a recorded part really was."""
    folder, body = _folder(asked.desk), asked.body
    await run_in_threadpool(_mark, folder, body["record"], body["mark"], asked.user.name)
    return JSONResponse({"record": body["record"], "mark": body["mark"], "by": asked.user.name})


async def reject_jpeg(asked: Asked) -> Response:
    """A reject's picture, from memory."""
    return Response((await _encoded(asked))[0], media_type="image/jpeg")


async def reject_png(asked: Asked) -> Response:
    """A reject's heat map, from memory."""
    png = (await _encoded(asked))[1]
    if png is None:
        raise Refused(404, "this part was not scored")
    return Response(png, media_type="image/png")


async def reject_term(asked: Asked) -> Response:
    """The heat map of one kind of evidence of a reject, from memory."""
    return await term_of(_found(asked), asked)


async def record_jpeg(asked: Asked) -> Response:
    """A recorded picture, from the folder of the records."""
    data = await run_in_threadpool(_picture, _folder(asked.desk), asked.request.path_params["record"])
    if data is None:
        raise Refused(404, "there is no picture of this part any more")
    return Response(data, media_type="image/jpeg")


def _folder(desk: Desk) -> Path:
    if desk.board.hello.records is None:
        raise Refused(409, "nothing is recorded here; start with --records DIR")
    return Path(desk.board.hello.records)


def _rejects(desk: Desk) -> list[dict[str, Any]]:
    if desk.board.hello.records is None:
        return [_remembered(each) for each in desk.board.rejects()]
    question = Question(rejected=True)
    return _recorded(desk, Path(desk.board.hello.records), question, desk.serving.rejects)


def _remembered(picture: Picture) -> dict[str, Any]:
    """A reject of this process's memory."""
    keys = (
        "camera", "part_id", "frame_id", "decision", "reason", "score", "threshold", "frame_hw", "regions", "scores",
    )  # fmt: skip
    shown = {key: picture.shown[key] for key in keys}
    shown["terms"] = _terms(picture.shown["terms"], picture)
    shown["at"] = datetime.fromtimestamp(picture.shown["at"], timezone.utc).isoformat()  # as records have it
    place = f"/api/rejects/{picture.number}"
    heat = f"{place}.png" if picture.has_heat else None
    return {"record": None, "mark": None, "marked_by": None, **shown, "image": f"{place}.jpg", "heat": heat}


def _terms(values: dict[str, float], picture: Picture | None) -> list[dict[str, Any]]:
    """What each kind of evidence has to do with the score, the most first, with its heat map where there is one."""
    places = {} if picture is None else {kind: index for index, kind in enumerate(picture.shown["kinds"])}
    return [
        {
            "kind": kind,
            "value": value,
            "heat": f"/api/rejects/{picture.number}/{places[kind]}.png" if picture and kind in places else None,
        }
        for kind, value in values.items()
    ]


def _recorded(desk: Desk, folder: Path, question: Question, limit: int) -> list[dict[str, Any]]:
    remembered = {(each.shown["camera"], each.shown["frame_id"]): each for each in desk.board.rejects()}
    with Records(folder) as records:
        found = list(records.find(question, limit))
    shown = []
    for row in found:
        camera = row["camera"] or ONLY
        is_ours = row["session"] == desk.board.hello.session
        picture = remembered.get((camera, row["frame_id"])) if is_ours else None
        details = json.loads(row["details"] or "{}")
        image = f"/api/records/{row['id']}.jpg" if row["image"] else None
        if image is None and picture is not None:
            image = f"/api/rejects/{picture.number}.jpg"
        shown.append({
            "record": row["id"], "mark": row["mark"], "marked_by": row["marked_by"], "camera": camera,
            "part_id": row["part_id"], "frame_id": row["frame_id"], "at": row["decided_at"],
            "decision": row["decision"], "reason": row["reason"], "score": row["score"],
            "threshold": row["threshold"], "frame_hw": None if picture is None else picture.shown["frame_hw"],
            "regions": [
                {"box_xywh": each["box_xywh"], "score": each["peak_score"]}
                for each in details.get("regions", [])[:REGIONS]
            ],
            "scores": details.get("evidence_scores", {}),
            "terms": _terms(details.get("terms", {}), picture),
            "image": image,
            "heat": f"/api/rejects/{picture.number}.png" if picture is not None and picture.has_heat else None,
        })  # fmt: skip
    return shown


def _mark(folder: Path, record: int, words: str, by: str) -> None:
    with Marks(folder) as marks:
        marks.add(record, Mark[words.upper().replace(" ", "_")], by)


def _picture(folder: Path, record: int) -> bytes | None:
    with Records(folder) as records:
        path = records.picture_of(record)
    try:
        return None if path is None else (folder / path).read_bytes()
    except OSError:  # pictures go before records
        return None


async def _encoded(asked: Asked) -> tuple[bytes, bytes | None]:
    return await run_in_threadpool(_found(asked).encoded)


def _found(asked: Asked) -> Picture:
    number = asked.request.path_params["number"]
    found = next((each for each in asked.desk.board.rejects() if each.number == number), None)
    if found is None:
        raise Refused(404, "this picture is gone, there are newer ones")
    return found


MARKS = tuple(each.words for each in Mark)
MARKING = {"record": Field(int, "number of the record"), "mark": Field(str, "what it was", choices=MARKS)}
ROUTES = (
    Route("GET", "/api/rejects", Role.VIEW, "the last rejects", rejects, answer=FOUND),
    Route("GET", "/api/rejects/{number:int}.jpg", Role.VIEW, "a reject's picture", reject_jpeg, gives="image/jpeg"),
    Route("GET", "/api/rejects/{number:int}.png", Role.VIEW, "a reject's heat map", reject_png, gives="image/png"),
    Route(
        "GET",
        "/api/rejects/{number:int}/{kind:int}.png",
        Role.VIEW,
        "the heat map of one kind of evidence of a reject",
        reject_term,
        gives="image/png",
    ),
    Route("GET", "/api/records/{record:int}.jpg", Role.VIEW, "a recorded picture", record_jpeg, gives="image/jpeg"),
    Route(
        "GET",
        "/api/parts",
        Role.VIEW,
        "what was recorded of a part",
        parts,
        {"part_id": Field(str, "its id", 100)},
        answer=FOUND,
    ),
    Route("POST", "/api/marks", Role.OPERATE, "say what a part really was", mark, MARKING, answer=MARKED),
)
