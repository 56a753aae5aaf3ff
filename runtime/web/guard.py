"""What stands before every request, whatever it asks: whom it names as host, how much it sends, how long it takes."""

import asyncio
import ipaddress
import json
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from runtime.web.serving import LOOPBACK, Serving

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY = 16 * 2**10  # bytes; the longest sensible body is a reason of some hundred characters
REQUEST_S = 10.0  # for a request to arrive whole, from its first byte or the connection's
ANSWER_S = 30.0  # for an answer to be taken
TAKE_S = 5.0  # for a viewer to take one piece of the stream of events
MOST_WAITING = 32  # connections whose request is not whole; the oldest makes room for the next
USER_TIMEOUT_MS = 20_000  # without a word from a peer that has something to take
EVENTS = "/api/events"  # the one answer that has no end

HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::[0-9]+)?")  # an IPv6 address in brackets, or a name

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": CONTENT_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
CONNECTIONS: dict[Any, "BoundedProtocol"] = {}  # by the peer's address


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol, which itself waits for the end of a request's head for as long as it takes."""

    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection; its first request is due."""
        super().connection_made(transport)
        CONNECTIONS[self.client] = self
        connected = transport.get_extra_info("socket")
        if connected is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        self._expect()
        waiting = [each for each in CONNECTIONS.values() if each.is_waiting]
        for each in waiting[:-MOST_WAITING]:  # connections that send nothing must not keep out those that do
            each.give_up()

    @property
    def is_waiting(self) -> bool:
        """Whether it has no request that came whole and is not answered yet."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._forget()
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._arrived()  # the application has it, with time limits of its own
        elif self._overdue is None:
            self._expect()

    def on_response_complete(self) -> None:
        """An answer was given; rests of its request are due."""
        super().on_response_complete()
        self._arrived()

    def give_up(self) -> None:
        """End the connection at once, with what was not taken yet."""
        self._forget()
        self.transport.abort()

    def _forget(self) -> None:
        if CONNECTIONS.get(self.client) is self:
            del CONNECTIONS[self.client]

    def _expect(self) -> None:
        self._overdue = self.loop.call_later(REQUEST_S, self.give_up)

    def _arrived(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


class Guard:
    """An ASGI application around the page's own."""

    def __init__(self, app: App, serving: Serving) -> None:
        self._app, self._serving = app, serving
        self._names = {name.strip().lower() for name in serving.hosts.split(",") if name.strip()}
        self._headers = dict(HEADERS)
        if serving.is_encrypted:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in self._headers.items()]
                message["headers"] = [*message["headers"], *(each for each in more if each[0] not in given)]
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await _answer(send_with_headers, *refused)
            return
        await self._bounded(scope, receive, send_with_headers)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, within its time; a peer that takes nothing is cut off."""

        async def send_in_time(message: Message) -> None:
            await asyncio.wait_for(send(message), TAKE_S)

        try:
            if scope["path"] == EVENTS:
                await self._app(scope, receive, send_in_time)
            else:
                await asyncio.wait_for(self._app(scope, receive, send), ANSWER_S)
        except asyncio.TimeoutError:
            protocol = CONNECTIONS.get(scope["client"])
            if protocol is not None:
                protocol.give_up()

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason of a request that nobody looks at further."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        if len(headers.get(b"host", [])) != 1 or not self._is_ours(headers[b"host"][0].decode("latin-1")):
            return 421, "this page is not reached by that name; give it in hosts= of --serve"
        if b"transfer-encoding" in headers:
            return 411, "say how long the body is"
        length = headers.get(b"content-length", [b"0"])[0]
        if int(length) > MOST_BODY:  # h11 has checked that it is a number
            return 413, f"a body has {MOST_BODY} bytes at most"
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a browser that shows our page has this in its address line. A name that somebody else's DNS points
        here is not."""
        match = HOST.fullmatch(host.lower())
        if match is None:
            return False
        name = match[1] or match[2]
        if name in self._names or name in LOOPBACK:
            return True
        if self._serving.is_local:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
