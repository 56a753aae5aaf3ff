"""Logging in, the stream of events, pictures, and the pause."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from runtime.web.answers import ERROR, EVENT, LOGGED_IN, NOTHING, PAUSE, SESSION, STATUS
from runtime.web.board import Picture
from runtime.web.desk import Asked, Desk, Field, Refused, Route
from runtime.web.guard import EVENTS
from runtime.web.thermal import temperatures
from runtime.web.users import LONGEST_PASSWORD, NOBODY, Role

LOOK_S = 0.1  # between two looks at what is new
QUIET_S = 5.0  # after which a viewer is told something, to find out whether it still takes it
PAUSE_S = 3.0  # for the stream to say that it is paused
THERMAL_S = 2.0


async def session(asked: Asked) -> Response:
    """Who asks, and the token that each post needs; a browser without a session gets one."""
    desk, found = asked.desk, asked.session
    secret = None
    if found is None:
        secret, found = desk.sessions.begin()
    who = found.user if desk.users else asked.user
    answer = {
        "csrf": found.csrf,
        "user": None if who is None else who.name,
        "role": None if who is None else who.role.word,
        "logins": bool(desk.users),
        "labels": desk.serving.labels,
    }
    response = JSONResponse(answer)
    if secret is not None:
        _give(response, desk, secret)
    return response


async def login(asked: Asked) -> Response:
    """A session of a user, under an id that nobody knew before."""
    desk, name = asked.desk, asked.body["name"]
    client = asked.request.client
    keys = f"user {name}", f"address {client.host if client else ''}"
    async with desk.hashing:  # looked at inside: tries that come together must not pass together
        wait_s = desk.tries.wait_s(*keys)
        if wait_s > 0:
            seconds = str(int(wait_s) + 1)
            raise Refused(429, f"too many tries; wait {seconds} s", **{"retry-after": seconds})
        user = desk.users.get(name)
        is_right = await run_in_threadpool((user or NOBODY).has, asked.body["password"])
        if user is None or not is_right:
            desk.tries.failed(*keys)
            raise Refused(401, "no user has this name and password")
        desk.tries.succeeded(keys[0])
    desk.sessions.end(asked.request.cookies.get(desk.cookie))
    secret, found = desk.sessions.begin(user)
    response = JSONResponse({"csrf": found.csrf, "user": user.name, "role": user.role.word})
    _give(response, desk, secret)
    return response


async def logout(asked: Asked) -> Response:
    """Forget the session."""
    desk = asked.desk
    desk.sessions.end(asked.request.cookies.get(desk.cookie))
    response = JSONResponse({})
    response.delete_cookie(desk.cookie, secure=desk.serving.is_encrypted, httponly=True, samesite="strict")
    return response


async def events(asked: Asked) -> Response:
    """Lines of JSON without end: state, verdicts and the numbers of pictures, whenever something is new."""
    desk = asked.desk
    if desk.viewers >= desk.serving.viewers:
        raise Refused(503, f"{desk.viewers} viewers watch already, and no more can; close another page")
    return Events(desk)


async def picture(asked: Asked) -> Response:
    """What the camera saw, by the number that an event told."""
    return await _picture(asked, is_heat=False)


async def heat(asked: Asked) -> Response:
    """Its heat map, to be laid over it."""
    return await _picture(asked, is_heat=True)


async def term(asked: Asked) -> Response:
    """The heat map of one kind of evidence."""
    return await term_of(_found(asked), asked)


async def pause(asked: Asked) -> Response:
    """Reject every part from now on, until somebody resumes."""
    return await _set_pause(asked.desk, asked.user.name)


async def resume(asked: Asked) -> Response:
    """End the pause."""
    return await _set_pause(asked.desk, None)


async def healthz(asked: Asked) -> Response:
    """Whether the page's process answers."""
    return JSONResponse({"status": "ok"})


async def readyz(asked: Asked) -> Response:
    """Whether the stream works: it sends its state, nobody paused it, and its controller is not refused."""
    board = asked.desk.board
    held = (board.state.get("controller") or {}).get("error", "NONE")  # of what lasts: not of a part under way
    if not board.is_fresh:
        status = "the stream sends nothing"
    elif board.state.get("paused_by") is not None:
        status = "paused"
    elif held != "NONE":
        status = "not ready"
    else:
        status = "ok"
    return JSONResponse({"status": status}, 200 if status == "ok" else 503)


def state_of(desk: Desk) -> dict[str, Any]:
    """All that a viewer is told besides verdicts and pictures."""
    board = desk.board
    cameras = {}
    for name in {**board.hello.cameras, **board.state.get("cameras", {})}:
        said = board.hello.cameras.get(name, {})
        shown = {key: said.get(key) for key in ("uri", "engine", "threshold", "recipe")}
        cameras[name] = {**shown, **board.state.get("cameras", {}).get(name, {})}
    return {
        **{key: value for key, value in board.state.items() if key != "cameras"},
        "cameras": cameras,
        "fresh": board.is_fresh,
        "temperatures": _temperatures(desk),
        "records": board.hello.records is not None,
        "recipes": desk.serving.recipes is not None,
    }


_MEASURED: dict[str, tuple[float, dict[str, float]]] = {}


def _temperatures(desk: Desk) -> dict[str, float]:
    folder = desk.serving.thermal
    if folder is None:
        return {}
    at_s, found = _MEASURED.get(folder, (-float("inf"), {}))
    if time.monotonic() - at_s > THERMAL_S:
        found = temperatures(folder)
        _MEASURED[folder] = time.monotonic(), found
    return found


class Events(StreamingResponse):
    """The answer without an end. It takes a viewer's place from the moment that it is made."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(_events(desk), media_type="application/x-ndjson")
        self._desk = desk
        desk.viewers += 1
        if desk.viewers == 1:
            desk.ask({"watched": True})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        desk = self._desk
        try:
            await super().__call__(scope, receive, send)
        finally:
            desk.viewers -= 1
            if desk.viewers == 0:
                desk.ask({"watched": False})


async def _events(desk: Desk) -> AsyncIterator[bytes]:
    changes, number, told_s, pictured = -1, 0, 0.0, dict[str, int]()
    while True:
        board = desk.board
        if board.changes != changes or time.monotonic() - told_s > QUIET_S:
            changes, told_s = board.changes, time.monotonic()
            verdicts = board.verdicts_after(number)
            number = verdicts[-1]["number"] if verdicts else number
            pictures = {name: each for name, each in board.newest().items() if pictured.get(name) != each.number}
            pictured |= {name: each.number for name, each in pictures.items()}
            news = {
                "state": state_of(desk),
                "verdicts": verdicts,
                "pictures": {
                    name: {"number": each.number, **each.shown, "heat": each.has_heat}
                    for name, each in pictures.items()
                },
            }
            yield json.dumps(news, separators=(",", ":")).encode() + b"\n"
        await asyncio.sleep(LOOK_S)


async def _picture(asked: Asked, is_heat: bool) -> Response:
    jpeg, png = await run_in_threadpool(_found(asked).encoded)
    if is_heat and png is None:
        raise Refused(404, "this picture was not scored")
    return Response(png if is_heat else jpeg, media_type="image/png" if is_heat else "image/jpeg")


def _found(asked: Asked) -> Picture:
    parameters = asked.request.path_params
    asked.desk.camera(parameters["camera"])
    found = asked.desk.board.picture(parameters["camera"], parameters["number"])
    if found is None:
        raise Refused(404, "this picture is gone, there are newer ones")
    return found


async def term_of(picture: Picture, asked: Asked) -> Response:
    """The heat map of the kind of evidence that the path says."""
    png = await run_in_threadpool(picture.term, asked.request.path_params["kind"])
    if png is None:
        raise Refused(404, "this picture has no such kind of evidence")
    return Response(png, media_type="image/png")


async def _set_pause(desk: Desk, by: str | None) -> Response:
    """Tell the stream, and answer when it says that it did."""
    desk.ask({"pause": by})
    until_s = time.monotonic() + PAUSE_S
    while time.monotonic() < until_s:
        if desk.board.is_fresh and desk.board.state.get("paused_by") == by:
            return JSONResponse({"paused_by": by})
        await asyncio.sleep(LOOK_S)
    raise Refused(504, "the stream did not answer; whether it is paused is not known. Look at the line")


def _give(response: Response, desk: Desk, secret: str) -> None:
    response.set_cookie(desk.cookie, secret, httponly=True, samesite="strict", secure=desk.serving.is_encrypted)


LOGIN = {
    "name": Field(str, "of the user", 40),
    "password": Field(str, "of the user", LONGEST_PASSWORD),
}
SILENT = {504: ("the stream does not answer", ERROR)}
ROUTES = (
    Route("GET", "/api/session", None, "who asks, and the token that posts need", session, answer=SESSION),
    Route("POST", "/api/login", None, "log in", login, LOGIN, answer=LOGGED_IN),
    Route("POST", "/api/logout", None, "log out", logout, answer=NOTHING),
    Route(
        "GET",
        EVENTS,
        Role.VIEW,
        "what is new, as lines of JSON",
        events,
        gives="application/x-ndjson",
        answer=EVENT,
        also={503: ("too many viewers", ERROR)},
    ),
    Route("GET", "/api/cameras/{camera}/{number:int}.jpg", Role.VIEW, "a picture", picture, gives="image/jpeg"),
    Route("GET", "/api/cameras/{camera}/{number:int}.png", Role.VIEW, "its heat map", heat, gives="image/png"),
    Route(
        "GET",
        "/api/cameras/{camera}/{number:int}/{kind:int}.png",
        Role.VIEW,
        "the heat map of one kind of evidence",
        term,
        gives="image/png",
    ),
    Route(
        "POST", "/api/pause", Role.OPERATE, "reject every part until somebody resumes", pause, answer=PAUSE, also=SILENT
    ),
    Route("POST", "/api/resume", Role.OPERATE, "end the pause", resume, answer=PAUSE, also=SILENT),
    Route("GET", "/healthz", None, "whether the page's process answers", healthz, answer=STATUS),
    Route(
        "GET",
        "/readyz",
        None,
        "whether the stream works and parts may pass",
        readyz,
        answer=STATUS,
        also={503: ("not so", STATUS)},
    ),
)
