"""The page's application: every route with who may ask it, and what is checked before its handler runs."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Mounted

from runtime.errors import ProctorError
from runtime.signing import read_key
from runtime.web.answers import ANYTHING
from runtime.web.desk import LOCAL, Asked, Desk, Refused, Route, body_of, checked
from runtime.web.gallery import ROUTES as GALLERY
from runtime.web.guard import Guard
from runtime.web.live import ROUTES as LIVE
from runtime.web.metrics import ROUTES as METRICS
from runtime.web.openapi import document_of
from runtime.web.sessions import Session
from runtime.web.teaching import ROUTES as TEACHING
from runtime.web.thresholds import ROUTES as THRESHOLDS
from runtime.web.users import Role, User

STATIC = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
SCRIPT = "text/javascript; charset=utf-8"


class Number(IntegerConvertor):
    """Of a path; no longer than SQLite's integers, nor than Python reads."""

    regex = "[0-9]{1,18}"


register_url_convertor("int", Number())


async def openapi(asked: Asked) -> Response:
    """This very table."""
    return JSONResponse(document_of(ROUTES, asked.desk.cookie))


ROUTES: tuple[Route, ...] = (
    *LIVE,
    *GALLERY,
    *THRESHOLDS,
    *TEACHING,
    *METRICS,
    Route("GET", "/openapi.json", None, "this description", openapi, answer=ANYTHING),
)


def application(desk: Desk) -> Guard:
    """The page's application. Its files are read once: no path of a request ever reaches a file system."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    mounted = [Mounted(path, _endpoint(desk, routes), methods=list(routes)) for path, routes in by_path.items()]
    for name, (kind, data) in static_files().items():
        path = "/" if name == "index.html" else f"/static/{name}"
        mounted.append(Mounted(path, _file(kind, data), methods=["GET"]))
    handlers: Any = {Refused: _refused, HTTPException: _http, ProctorError: _cannot, Exception: _failed}
    return Guard(Starlette(routes=mounted, exception_handlers=handlers), desk.serving)


def static_files() -> dict[str, tuple[str, bytes]]:
    """The page's own files by name, each with its type."""
    folder = resources.files("runtime.web") / "static"
    found = {}
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        kind = SCRIPT if each.name.endswith(".js") else STATIC.get(each.name)
        if kind is not None:
            found[each.name] = kind, each.read_bytes()
    return found


def _file(kind: str, data: bytes) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(data, media_type=kind)

    return answer


def _endpoint(desk: Desk, routes: Mapping[str, Route]) -> Callable[[Request], Awaitable[Response]]:
    """Of one path, by method: so a 405 says all that are allowed."""

    async def answer(request: Request) -> Response:
        route = routes["GET" if request.method == "HEAD" else request.method]
        session = desk.sessions.find(request.cookies.get(desk.cookie))
        _check_origin(request)
        user = _who(desk, route, request, session)
        if route.method == "POST":
            _check_token(request, session)
            values = await body_of(request, route.takes)
        else:
            values = checked(dict(request.query_params), route.takes, is_query=True)
        return await route.handler(Asked(desk, request, session, user, values))

    return answer


def _who(desk: Desk, route: Route, request: Request, session: Session | None) -> User:
    """Who asks. Raises `Refused` where that one may not."""
    user = session.user if session is not None else None
    if not desk.users:
        user = LOCAL
    elif route.path == "/metrics" and user is None and _has_token(desk, request):
        user = User("token of /metrics", Role.VIEW)
    if route.role is None:
        return user or LOCAL
    if user is None:
        raise Refused(401, "log in first")
    if user.role < route.role:
        if not desk.users:
            raise Refused(403, "nobody is known here, so nobody may change anything; serve with users=FILE")
        raise Refused(403, f"that takes the role {route.role.word}, and {user.name} has {user.role.word}")
    return user


def _has_token(desk: Desk, request: Request) -> bool:
    token = read_key(None if desk.serving.token is None else Path(desk.serving.token))
    given = request.headers.get("authorization", "").partition("Bearer ")[2]
    return token is not None and hmac.compare_digest(token, given.encode())


def _check_origin(request: Request) -> None:
    """Raise `Refused` for what another site's page asks. `SameSite=Strict` keeps its cookie away before; of a page that
    knows no users it would take a viewer's place."""
    own = f"{request.url.scheme}://{request.headers['host']}"
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    typed = site == "none" and request.method != "POST"  # into the address line
    if origin not in (None, own) or not (site == "same-origin" or typed):
        raise Refused(403, f"this {request.method} comes from another page")


def _check_token(request: Request, session: Session | None) -> None:
    if session is None or not session.vouches(request.headers.get("x-csrf-token", "")):
        raise Refused(403, "this post lacks the token of its session; load the page again")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)  # with what is allowed, of a 405


async def _cannot(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 409)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "a fault of the page; the log has it"}, 500)
