"""What a client can take from an OPC UA server: connections, bytes, requests and time, all bounded.

asyncua bounds connections and whole messages. Bounded here: bytes that are no message yet, answers that nobody reads,
arrays of nothing, operations and calls of a request, sessions before their activation, and the time that all requests,
subscriptions and events together may take from the inspection, since Python runs one thread at a time. What a
subscription may have is bounded beside it.
"""

import asyncio
import logging
import time
from typing import Any

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import NotEnoughData, ServiceError
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua import ua_binary

log = logging.getLogger("proctor.line.opcua")

MOST_CONNECTIONS, MOST_SESSIONS = 32, 32
MOST_PENDING = 64  # requests of a connection that wait
MOST_CALLS = 4  # calls of a connection that wait, as those for a result do
MOST_OPERATIONS = 1_000  # nodes of a request
MOST_METHODS = 10  # of a call
MOST_BROWSED = 100  # nodes of a request: each may have hundreds of references
LARGEST_MESSAGE = 65_536  # bytes; so says the server when a session is made
LARGEST_CHUNK, MOST_CHUNKS = 65_535, 16  # bytes, and of a message
MOST_UNREAD = 4 * 2**20  # bytes of answers that a client does not read
ACTIVATION_S = 15.0  # to log in after connecting
SESSION_MS = (5_000.0, 60_000.0)  # without a request
SHARE = 0.5  # of one thread's time that requests may take
BURST_S = 0.2
CREATE_SESSION, ACTIVATE_SESSION, CALL = (
    ua.NodeId(getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary"))
    for name in ("CreateSession", "ActivateSession", "Call")
)


class Share:
    """A part of this thread's time, for all requests together: whoever comes when it is used up waits."""

    def __init__(self, share: float = SHARE, burst_s: float = BURST_S) -> None:
        self._share, self._burst_s = share, burst_s
        self._left_s = burst_s
        self._at_s, self._used_s = time.monotonic(), time.thread_time()

    def missing_s(self) -> float:
        """How long to wait until there is some left."""
        now_s, used_s = time.monotonic(), time.thread_time()
        earned_s = (now_s - self._at_s) * self._share - (used_s - self._used_s)
        self._left_s = min(self._burst_s, self._left_s + earned_s)
        self._at_s, self._used_s = now_s, used_s
        return max(0.0, -self._left_s / self._share)

    async def wait(self) -> None:
        """Until there is some left."""
        while (missing_s := self.missing_s()) > 0:
            await asyncio.sleep(missing_s)


class Seldom:
    """Says the same thing once in ten seconds at most, and how often it was."""

    def __init__(self, period_s: float = 10.0) -> None:
        self._period_s = period_s
        self._told: dict[str, tuple[float, int]] = {}

    def say(self, what: str, *about: object) -> None:
        """`about` goes into `what` as in a log."""
        now_s = time.monotonic()
        at_s, count = self._told.get(what, (-self._period_s, 0))
        if now_s - at_s < self._period_s:
            self._told[what] = at_s, count + 1
            return
        self._told[what] = now_s, 0
        log.warning(what + (f" ({count} more of these)" if count else ""), *about)


class _NoNulls:
    """An array of nothing takes no bytes, whatever length it says: 20 bytes would become gigabytes."""

    @staticmethod
    def unpack_array(data: Any, length: int) -> list[None]:
        if length > len(data):
            raise NotEnoughData(f"an array of {length} nulls")
        return [None] * max(0, length)

    @staticmethod
    def pack_array(array: Any) -> bytes:
        return bytes(ua_binary.Primitives.Int32.pack(-1 if array is None else len(array)))


def bound_decoder() -> None:
    """Have asyncua's decoder refuse arrays of nothing that are longer than their message."""
    ua_binary.Primitives1.Null = _NoNulls
    ua_binary._create_uatype_array_deserializer.cache_clear()
    ua_binary.create_uatype_array_serializer.cache_clear()


class BoundedProcessor(UaProcessor):  # type: ignore[misc]  # asyncua has types for some of it
    """One connection's requests, one after the other; but a call that waits for a result holds up no trigger."""

    session: Any

    def __init__(self, iserver: Any, transport: Any, limits: TransportLimits) -> None:
        super().__init__(iserver, transport, limits)
        self._calls: set[asyncio.Task[Any]] = set()

    def send_response(self, *answer: Any, **options: Any) -> None:
        if not self._transport.is_closing():  # else asyncio says so on stderr
            super().send_response(*answer, **options)

    async def process_message(self, seqhdr: Any, body: Any) -> Any:
        kind = ua_binary.nodeid_from_binary(body.copy(len(body)))
        if kind == CREATE_SESSION and self.session is not None:
            await self._drop_session()
        if kind != CALL:
            return await super().process_message(seqhdr, body)
        while len(self._calls) >= MOST_CALLS:
            await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.ensure_future(super().process_message(seqhdr, body))
        self._calls.add(task)
        task.add_done_callback(self._called)
        await asyncio.sleep(0)  # up to where it waits: what is asked next finds it done
        return True

    def _called(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:  # no call: nobody to answer
            log.debug("a call was none: %s", error)

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        if typeid == ACTIVATE_SESSION:
            self.iserver.access.check_channel(self._connection.security_policy)
            session = self.session or self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
            if session is not None:
                await self.iserver.check_password(session, body.copy(len(body)))
        return await super()._process_message(typeid, requesthdr, seqhdr, body)

    async def _drop_session(self) -> None:
        if self._session_watchdog_task is not None:
            self._session_watchdog_task.cancel()
        self.iserver.left(self.session)
        await self.session.close_session(True)
        self.session = None

    async def close(self) -> None:
        for task in list(self._calls):
            task.cancel()
        if self.session is not None:
            self.iserver.left(self.session)
        await super().close()
        self._transport.close()


class BoundedProtocol(OPCUAProtocol):  # type: ignore[misc]
    """One connection."""

    processor: Any
    share: Share
    seldom: Seldom

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.processor is None:
            self.seldom.say("OPC UA has %d connections, and takes no more", MOST_CONNECTIONS)
            return
        transport.set_write_buffer_limits(high=MOST_UNREAD)
        self.processor = BoundedProcessor(self.iserver, transport, self.limits)
        self.processor.set_policies(self.policies)

    def data_received(self, data: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        super().data_received(data)
        if len(self._buffer) > self.limits.max_recv_buffer:
            self._abort("sends what is no OPC UA")

    def pause_writing(self) -> None:
        """asyncio: answers pile up."""
        self._abort("does not read its answers")

    async def _process_one_msg(self, header: Any, buf: Any) -> bool:
        await self.share.wait()
        if self.transport is None or self.transport.is_closing():  # nobody reads the answers to what was sent before
            return False
        return bool(await super()._process_one_msg(header, buf))

    def _abort(self, why: str) -> None:
        self.seldom.say(f"a client of OPC UA {why} and is disconnected: %s", _host(self.peer_name))
        self._buffer = b""
        if self.transport is not None:
            self.transport.abort()


def _host(peer: Any) -> str:
    return str(peer[0]) if isinstance(peer, tuple) else "?"


class BoundedServer(BinaryServer):  # type: ignore[misc]
    """Listens."""

    def __init__(self, iserver: InternalServer, host: str, port: int, seldom: Seldom) -> None:
        limits = TransportLimits(LARGEST_CHUNK, LARGEST_CHUNK, MOST_CHUNKS, LARGEST_MESSAGE)
        super().__init__(iserver, host, port, limits)
        self._seldom = seldom

    def _make_protocol(self) -> OPCUAProtocol:
        protocol = BoundedProtocol(self.iserver, self._policies, self.clients, self.closing_tasks, self.limits)
        protocol.share, protocol.seldom = self.iserver.share, self._seldom
        return protocol


def bound(iserver: InternalServer) -> None:
    """Set what asyncua bounds by itself."""
    iserver.max_connections = MOST_CONNECTIONS
    iserver.max_pending_messages_per_connection = MOST_PENDING
    iserver.max_pending_activation_seconds = ACTIVATION_S
    iserver.min_session_timeout_ms, iserver.max_session_timeout_ms = SESSION_MS


def too_many(count: int, most: int = MOST_OPERATIONS) -> None:
    """Raises a fault of the service where a request has more operations."""
    if count > most:
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)
