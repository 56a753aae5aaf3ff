"""What every handler of the page works with, and the shape of a handler."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.printable import printable
from runtime.web.board import Board
from runtime.web.guard import MOST_BODY
from runtime.web.serving import Serving
from runtime.web.sessions import Session, Sessions, Tries
from runtime.web.users import Role, User, read_users
from runtime.web.workshop import Workshop

BODY_S = 5.0
# no character that controls how others are shown: of lines, of direction, without width
SHOWN = r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]*$"
HALF = re.compile(r"[\ud800-\udfff]")  # of a character, which only JSON can say
MOST_NUMBER, MOST_INTEGER = 1e30, 2**63 - 1  # of either sign; SQLite has no greater integers
LOCAL = User("somebody at this machine", Role.VIEW)  # where no users are known


class Refused(Exception):
    """A request that gets a sentence in place of an answer."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers

    @property
    def response(self) -> Response:
        """What is sent."""
        return JSONResponse({"error": self.reason}, self.status, self.headers)


@dataclass
class Desk:
    """The page's process, seen by its handlers."""

    serving: Serving
    board: Board
    ask: Callable[[dict[str, Any]], None]  # tells the stream
    sessions: Sessions = field(default_factory=Sessions)
    tries: Tries = field(default_factory=Tries)
    users: dict[str, User] = field(default_factory=dict)
    viewers: int = 0
    hashing: asyncio.Lock = field(default_factory=asyncio.Lock)  # one at a time: each takes 32 MiB and a core
    workshop: Workshop | None = field(init=False)  # where a folder for pictures was given

    def __post_init__(self) -> None:
        self.workshop = None if self.serving.parts is None else Workshop(self.serving, self.board, self.ask)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; with the prefix, browsers take it over TLS and for this host alone. A
        cookie is a host's, whatever the port: each page of a machine has a name of its own."""
        return f"{'__Host-' if self.serving.is_encrypted else ''}proctor-{self.serving.port}"

    def read_users(self) -> None:
        """Take the users from their file."""
        self.users = {} if self.serving.users is None else read_users(Path(self.serving.users))

    def camera(self, name: str) -> dict[str, Any]:
        """What the stream said of a camera. Raises `Refused`."""
        if name not in self.board.hello.cameras:
            raise Refused(404, f"there is no camera {name[:40]}")
        return self.board.hello.cameras[name]


@dataclass(frozen=True)
class Asked:
    """A request that may be answered."""

    desk: Desk
    request: Request
    session: Session | None
    user: User  # who asks
    body: dict[str, Any]  # of a post its body, else its query; checked against the route's fields


Handler = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True)
class Field:
    """One value of a post's body, or of a query."""

    kind: type[Any]  # str, int, float
    meaning: str
    most: int = 500  # characters of a text
    required: bool = True
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """One thing that the page can be asked."""

    method: str
    path: str
    role: Role | None  # None: of everybody
    summary: str
    handler: Handler
    takes: dict[str, Field] = field(default_factory=dict)  # of a post its body, else its query
    gives: str = "application/json"
    answer: dict[str, Any] = field(default_factory=dict)  # JSON Schema of what it gives; empty where that is no JSON
    also: dict[int, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # by status above 499: when, and a schema


async def body_of(request: Request, takes: dict[str, Field]) -> dict[str, Any]:
    """The body of a post. Raises `Refused` for one that is no JSON object of these fields, too long, or too slow."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused(415, "the body has to be application/json")
    try:
        data = await asyncio.wait_for(_read(request), BODY_S)
    except asyncio.TimeoutError as error:
        raise Refused(408, f"the body did not come within {BODY_S:g} s", connection="close") from error
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is no JSON") from error
    if not isinstance(found, dict):
        raise Refused(400, "the body is no JSON object")
    return checked(found, takes)


def checked(found: dict[str, Any], takes: dict[str, Field], is_query: bool = False) -> dict[str, Any]:
    """Values of the kinds that a route takes, no more and no fewer; in a query all are text. Raises `Refused`."""
    unknown = sorted(set(found) - set(takes))
    if unknown:
        name = printable(unknown[0][:40])
        raise Refused(400, f"{name} is not known here; known are {', '.join(takes) or 'no names'}")
    values: dict[str, Any] = {}
    for name, each in takes.items():
        if name not in found:
            if each.required:
                raise Refused(400, f"{name} is missing: {each.meaning}")
            values[name] = None
            continue
        values[name] = _converted(name, found[name], each, is_query)
    return values


def _converted(name: str, value: Any, each: Field, is_text: bool) -> object:
    if isinstance(value, float) and value.is_integer() and not is_text:
        value = int(value)  # JSON has one kind of numbers
    kinds = str if is_text or each.kind is str else (int, float) if each.kind is float else int
    try:
        converted = each.kind(value) if isinstance(value, kinds) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        converted = None
    if converted is None or (each.kind is float and not -MOST_NUMBER < converted < MOST_NUMBER):
        raise Refused(400, f"{name} is none: {each.meaning}")
    if isinstance(converted, str) and (
        HALF.search(converted) or len(converted) > each.most or not re.fullmatch(SHOWN, converted)
    ):
        raise Refused(400, f"{name} is longer than {each.most} characters, or has some that cannot be shown")
    if each.choices and converted not in each.choices:
        raise Refused(400, f"{name} is none of {', '.join(each.choices)}")
    if isinstance(converted, int) and not abs(converted) <= MOST_INTEGER:
        raise Refused(400, f"{name} is out of range")
    return converted


async def _read(request: Request) -> bytes:
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > MOST_BODY:
            raise Refused(413, f"a body has {MOST_BODY} bytes at most", connection="close")
    return data
