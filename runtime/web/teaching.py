"""Good parts from the line: collected, looked at, made into a detector and tried beside the one in force."""

import tempfile
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from runtime.images import read_image
from runtime.recipes.store import Seal
from runtime.reduced import reduced
from runtime.web.answers import GOOD_PARTS, IN_FORCE, PICTURES
from runtime.web.desk import Asked, Desk, Field, Refused, Route
from runtime.web.drawing import as_jpeg
from runtime.web.in_force import put_in_force, store_of, store_state, told
from runtime.web.part_sets import GOOD, REFUSED, TRIAL
from runtime.web.users import Role
from runtime.web.workshop import HOW, Workshop

SIDE = 480  # of a picture in the gallery, pixels of the longer side
YES_NO = ("yes", "no")


async def good_parts(asked: Asked) -> Response:
    """The newest set, the job at work on it, and what could be done."""
    workshop = asked.desk.workshop
    if workshop is None:
        return JSONResponse({"set": None, "job": None, "can": None})
    return JSONResponse(await run_in_threadpool(lambda: workshop.document | {"recipe": _proposed(asked.desk)}))


async def pictures(asked: Asked) -> Response:
    """Every picture of the newest set, and what is suspect of it."""
    workshop = _workshop(asked)
    return JSONResponse({"pictures": await run_in_threadpool(lambda: workshop.pictures)})


async def picture(asked: Asked) -> Response:
    """One of them, smaller."""
    body = asked.body
    path = await run_in_threadpool(_workshop(asked).current.path, body["kind"], body["name"])
    return Response(await run_in_threadpool(_reduced, path), media_type="image/jpeg")


async def report(asked: Asked) -> Response:
    """The scores before and after a recalibration, as a picture."""
    path = _workshop(asked).report
    if path is None:
        raise Refused(404, "nothing was recalibrated in this set")
    return Response(await run_in_threadpool(path.read_bytes), media_type="image/png")


async def collect(asked: Asked) -> Response:
    """Keep the next pictures of a camera, in a new set or the newest."""
    body = asked.body
    asked.desk.camera(body["camera"])
    is_new = body["new"] == "yes"
    await run_in_threadpool(_workshop(asked).collect, body["camera"], body["pictures"], asked.user.name, is_new)
    return await good_parts(asked)


async def stop(asked: Asked) -> Response:
    """Keep no more."""
    return await _done(asked, _workshop(asked).stop)


async def say(asked: Asked) -> Response:
    """Count a picture as one of a good part, or not."""
    return await _done(asked, _workshop(asked).say, asked.body["name"], asked.body["good"] == "yes")


async def confirm(asked: Asked) -> Response:
    """Somebody looked at every picture."""
    return await _done(asked, _workshop(asked).confirm, asked.user.name)


async def make(asked: Asked) -> Response:
    """Make a detector of them."""
    return await _done(asked, _workshop(asked).make, asked.body["how"], asked.user.name)


async def try_out(asked: Asked) -> Response:
    """Judge the next parts by both detectors."""
    return await _done(asked, _workshop(asked).try_out, asked.body["parts"], asked.user.name)


async def seal(asked: Asked) -> Response:
    """Seal what was made as the next version of a recipe, and put that in force."""
    body = asked.body
    _workshop(asked)
    found = await run_in_threadpool(_sealed, asked.desk, body["name"], asked.user.name, body["reason"])
    return JSONResponse(put_in_force(asked.desk, found))


async def cancel(asked: Asked) -> Response:
    """End the job at work."""
    return await _done(asked, _workshop(asked).cancel, asked.user.name)


def _workshop(asked: Asked) -> Workshop:
    found = asked.desk.workshop
    if found is None:
        raise Refused(409, "no folder for pictures of good parts was given; start with parts=FOLDER in --serve")
    return found


def _sealed(desk: Desk, name: str, by: str, reason: str) -> Seal:
    workshop, store = desk.workshop, store_of(desk)
    assert workshop is not None
    carried = store.files(store.find(name)) if name in store.names() else []
    with tempfile.TemporaryDirectory() as folder:
        new = store.seal(name, workshop.files(carried, Path(folder)), by, reason)
    found = store.activate(new.name, by, reason, new.version)
    workshop.current.write("sealed", told(found))
    return found


def _proposed(desk: Desk) -> str | None:
    """The name of the recipe that runs, or is in force; None where nothing can be sealed."""
    if desk.serving.recipes is None:
        return None
    states = [store_state(desk, camera) or {} for camera in desk.board.hello.cameras.values()]
    found = [state[key]["name"] for key in ("running", "active") for state in states if state.get(key) is not None]
    return str(found[0]) if found else ""


async def _done(asked: Asked, work: Any, *values: Any) -> Response:
    await run_in_threadpool(work, *values)
    return await good_parts(asked)


def _reduced(path: Path) -> bytes:
    return as_jpeg(reduced(read_image(path), SIDE))


CAMERA = Field(str, "name of the camera", 60)
NAME = Field(str, "name of the picture", 40)
COUNT = Field(int, "how many pictures")
ROUTES = (
    Route(
        "GET", "/api/good-parts", Role.VIEW, "pictures of good parts, and what is made of them", good_parts,
        answer=GOOD_PARTS,
    ),
    Route(
        "GET", "/api/good-parts/pictures", Role.VIEW, "every picture of the newest set", pictures, answer=PICTURES,
    ),
    Route(
        "GET", "/api/good-parts/picture.jpg", Role.VIEW, "one of them", picture,
        {"kind": Field(str, "of the picture", choices=(GOOD, REFUSED, TRIAL)), "name": NAME}, "image/jpeg",
    ),
    Route("GET", "/api/good-parts/report.png", Role.VIEW, "scores before and after", report, gives="image/png"),
    Route(
        "POST", "/api/good-parts/collect", Role.OPERATE, "keep the next pictures of a camera", collect,
        {"camera": CAMERA, "pictures": COUNT, "new": Field(str, "whether in a new set", choices=YES_NO)},
        answer=GOOD_PARTS,
    ),
    Route("POST", "/api/good-parts/stop", Role.OPERATE, "keep no more", stop, answer=GOOD_PARTS),
    Route(
        "POST", "/api/good-parts/say", Role.OPERATE, "count a picture as one of a good part, or not", say,
        {"name": NAME, "good": Field(str, "whether it is", choices=YES_NO)}, answer=GOOD_PARTS,
    ),
    Route(
        "POST", "/api/good-parts/confirm", Role.OPERATE, "say that all of them are of good parts", confirm,
        answer=GOOD_PARTS,
    ),
    Route(
        "POST", "/api/good-parts/make", Role.ENGINEER, "make a detector of the confirmed pictures", make,
        {"how": Field(str, "from the detector in force, or anew", choices=tuple(HOW))}, answer=GOOD_PARTS,
    ),
    Route(
        "POST", "/api/good-parts/try", Role.ENGINEER, "judge the next parts by both detectors", try_out,
        {"parts": COUNT}, answer=GOOD_PARTS,
    ),
    Route(
        "POST", "/api/good-parts/seal", Role.ENGINEER, "seal what was made as a recipe, and put it in force", seal,
        {"name": Field(str, "of the recipe", 40), "reason": Field(str, "why", 300)}, answer=IN_FORCE,
    ),
    Route("POST", "/api/good-parts/cancel", Role.ENGINEER, "end the job at work", cancel, answer=GOOD_PARTS),
)  # fmt: skip
