"""An OPC UA server in front of the handshake: ``--opcua HOST:PORT``. In a thread of its own, with a loop of its own."""

import asyncio
import logging
import threading
import uuid
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout  # before Python 3.11 another one than the builtin
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from asyncua import Server, ua

from runtime.errors import InputError
from runtime.line.bindings import Binding
from runtime.line.handshake import Refusal
from runtime.line.levels import Levels
from runtime.line.opcua.access import Access, access_of
from runtime.line.opcua.controller import Control
from runtime.line.opcua.limits import BoundedServer, Seldom, bound_decoder
from runtime.line.opcua.nodes import INDEX, LINE
from runtime.line.opcua.sessions import LineServer
from runtime.line.opcua.space import Space
from runtime.line.opcua.vision import result_fields, states
from runtime.line.results import Result
from runtime.versions import release

START_TIMEOUT_S = 180.0  # the standard's own nodes take seconds on a small machine, more on a busy one
STOP_TIMEOUT_S = 30.0
LOOK_S = 0.1  # between two looks at the line for the nodes of machine vision
GRACE_S = 0.2  # for clients to read that the server ends
MOST_TOLD = 1_000  # rejects that wait to become events

log = logging.getLogger("proctor.line.opcua")


class OpcUaServer(Binding):
    """Serves one line until it is closed."""

    def __init__(self, levels: Levels, access: Access) -> None:
        """Raises `InputError` where it cannot listen there. `port` says where it does, if that was 0."""
        quieten()
        bound_decoder()
        self.controls = access.control
        self.control = Control(levels, access.control)
        self.port = access.port
        self._access, self._seldom = access, Seldom()
        self._told: deque[Result | Refusal] = deque(maxlen=MOST_TOLD)
        self._last: Result | None = None
        self._loop = asyncio.new_event_loop()
        self._wake, self._ending = asyncio.Event(), asyncio.Event()
        self._started: Future[None] = Future()
        levels.handshake.listen(self)
        self._thread = threading.Thread(target=self._serve, name=f"opcua {access.host}:{access.port}", daemon=True)
        self._thread.start()
        try:
            self._started.result(START_TIMEOUT_S)
        except (OSError, FutureTimeout) as error:
            self._soon(self._ending.set)  # it may still be starting
            self._thread.join(STOP_TIMEOUT_S)
            raise InputError(
                f"OPC UA cannot listen on {access.host}:{access.port} ({error}); another program may have it, or this "
                "machine has no such address: choose another one, or stop that program"
            ) from error

    def close(self) -> None:
        """Tell the clients, close their sessions and stop listening."""
        self._soon(self._ending.set)
        self._thread.join(STOP_TIMEOUT_S)

    # a `Listener` of the handshake: it neither waits nor raises

    def given(self, result: Result) -> None:
        """See `Listener`."""
        self.control.given(result)
        self._last = result
        self._tell(result)

    def missed(self, refusal: Refusal) -> None:
        """See `Listener`."""
        self._tell(refusal)

    def _tell(self, what: Result | Refusal) -> None:
        self._told.append(what)
        self._soon(self._wake.set)

    def _soon(self, what: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # it is closed: nobody is there to be told
            return

    # in the thread

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(_unanswered)
        try:
            self._loop.run_until_complete(self._run())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)
        finally:
            self._loop.close()

    async def _run(self) -> None:
        server = Server(iserver=LineServer(self.control, self._access, self._seldom))
        try:
            space = await self._start(server)
        except BaseException:
            server.iserver.method_service.stop()
            raise
        self._started.set_result(None)
        pumping = asyncio.create_task(self._pump(server, space))
        await self._ending.wait()
        pumping.cancel()
        try:
            await asyncio.wait_for(_end(server), STOP_TIMEOUT_S / 2)
        except asyncio.TimeoutError:
            log.warning("OPC UA did not end in order within %g s", STOP_TIMEOUT_S / 2)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _start(self, server: Server) -> Space:
        access = self._access
        host = f"[{access.host}]" if ":" in access.host else access.host
        server.set_endpoint(f"opc.tcp://{host}:{access.port}/proctor")
        server._application_uri, server.product_uri = access.application, "urn:proctor"
        server.name, server.manufacturer_name = "Proctor line", "Proctor"
        server.application_type = ua.ApplicationType.Server
        server.iserver.certificate, server.iserver.private_key = access.certificate, access.key
        server.set_security_policy(access.policies)
        await server.init()
        now = datetime.now(timezone.utc)
        await server.set_build_info("urn:proctor", "Proctor", "Proctor line", release(), "", now)
        space = Space(server, self.control)
        await space.build()
        await server._setup_server_nodes()
        await server.iserver.start()
        server.bserver = BoundedServer(server.iserver, access.host, access.port, self._seldom)
        server.bserver.set_policies(server._policies)
        try:
            await server.bserver.start()
        except BaseException:
            await server.iserver.stop()
            raise
        self.port = server.bserver.port
        return space

    async def _pump(self, server: Any, space: Space) -> None:
        """Rejects become events, and the nodes of machine vision follow the line."""
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_S)
            self._wake.clear()
            try:
                while self._told:
                    await server.iserver.share.wait()
                    await self._event(server, space.event(self._told.popleft()))
                values = self.control.look(None).values
                result = self.control.shown if self.controls else self._last
                await space.show(states(values), None if result is None else result_fields(result, values))
            except Exception:  # a fault of ours: the registers are served on
                log.exception("nodes of the line could not be brought up to date")
                await asyncio.sleep(1.0)

    async def _event(self, server: Any, event: Any) -> None:
        if event is None:
            return
        event.EventId = ua.Variant(uuid.uuid4().bytes, ua.VariantType.ByteString)
        for node in (ua.NodeId(LINE, INDEX), ua.NodeId(ua.ObjectIds.Server)):
            event.emitting_node = node
            await server.iserver.subscription_service.tell(event)


def _unanswered(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio would print with a traceback, of a connection that broke off."""
    log.debug("asyncio: %s (%s)", context.get("message"), context.get("exception"))


async def _end(server: Any) -> None:
    """Say that the server ends, then close what is open."""
    server.bserver._server.close()
    state = server.get_node(ua.ObjectIds.Server_ServerStatus_State)
    await state.write_value(ua.ServerState.Shutdown, ua.VariantType.Int32)
    for each in list(server.iserver.subscription_service.subscriptions.values()):
        await each.monitored_item_srv.trigger_statuschange(ua.StatusCode(ua.StatusCodes.BadShutdown))
        each._startup = True
        await each.publish_results()
    await asyncio.sleep(GRACE_S)
    for session in list(server.iserver._external_sessions.values()):
        await session.close_session(True)
    for transport in list(server.iserver.asyncio_transports):
        transport.close()
    await asyncio.sleep(0)
    for transport in list(server.iserver.asyncio_transports):
        transport.abort()
    server.iserver.time_task.cancel()  # it would sleep on for a second
    server.iserver.time_task = None
    await server.stop()


class _Quiet(logging.Handler):
    """asyncua's log, a line each, for whoever looks at this project's log with its details."""

    def emit(self, record: logging.LogRecord) -> None:
        log.debug("asyncua: %s", record.getMessage().partition("\n")[0])


def quieten() -> None:
    """Keep asyncua's log, which any client can fill with tracebacks, off stderr."""
    for name in ("asyncua", "asyncuagds"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        if not any(isinstance(each, _Quiet) for each in logger.handlers):
            logger.addHandler(_Quiet())


def open_server(levels: Levels, asked: str) -> OpcUaServer:
    """``HOST:PORT?…``, see `access_of`. Raises as that and as `OpcUaServer`."""
    return OpcUaServer(levels, access_of(asked))
