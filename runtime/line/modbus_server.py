"""A Modbus TCP server in front of the handshake: the controller is the client, and polls.

Registers to the runtime begin at address 0, those from it at 100 and are read-only. Each read is one moment of the
handshake, each write takes effect as a whole before it is answered.

A connection that broke may have taken an answer with it, and the controller tells nobody that it is the one of before.
So a new connection begins as one of the runtime's to a controller does (`runtime.line.polling`): what it reads first is
a result that nobody saw, unless a connection over which a controller writes has gone on after it read that. Another
reader, a panel as it connects, so takes nothing back from a controller that has its answer. And a trigger that still
stands in the first write of the controller's bits, and is of another part now, is refused.
"""

import asyncio
import ssl
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout  # before Python 3.11 another one than the builtin
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer, ModbusTlsServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from runtime.errors import InputError
from runtime.line.address import parse_address
from runtime.line.bindings import Binding
from runtime.line.levels import Levels
from runtime.line.modbus import FROM_RUNTIME_AT, FROM_RUNTIME_WORDS, TO_RUNTIME_AT, TO_RUNTIME_WORDS
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, addresses
from runtime.tls import server_context

START_TIMEOUT_S = 10.0
_OF_RESULTS = addresses(FROM_RUNTIME)
# that tell of a result: the bits in the status, and those from the result's code up to the recipe
RESULT_ADDRESSES = (
    FROM_RUNTIME_AT + _OF_RESULTS["status"],
    *range(FROM_RUNTIME_AT + _OF_RESULTS["result_code"], FROM_RUNTIME_AT + _OF_RESULTS["active_recipe"]),
)
CONTROL_ADDRESS = TO_RUNTIME_AT + addresses(TO_RUNTIME)["control"]
LOCALHOST, PORT = "127.0.0.1", 502
OF_WORDS = (3, 4, 6, 16, 22, 23)  # function codes of whole registers; of bits there are none here


class _Connection(ServerRequestHandler):  # type: ignore[misc]  # pymodbus has no types that are followed here
    """One connection, and what went over it. Each request knows its own."""

    controls = False  # the controller's bits were written
    looked = False  # at the registers of a result
    shown: int | None = None  # inspection id of the result in the last answer

    async def handle_request(self) -> None:
        """What pymodbus calls for each request, in a task of its own."""
        _ASKING.set(self)
        await super().handle_request()


_ASKING: ContextVar[_Connection] = ContextVar("asking")


class _TcpServer(ModbusTcpServer):  # type: ignore[misc]
    def callback_new_connection(self) -> _Connection:
        return _Connection(self, self.trace_packet, self.trace_pdu, self.trace_connect)


class _TlsServer(ModbusTlsServer):  # type: ignore[misc]
    callback_new_connection = _TcpServer.callback_new_connection


class ModbusServer(Binding):
    """Serves one handshake's registers, in a thread of its own, until it is closed."""

    def __init__(
        self,
        levels: Levels,
        host: str = LOCALHOST,
        port: int = PORT,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """`port` 0 takes any; `port` then says which. With `certificate` and `key`, PEM files, it speaks TLS.

        Raises `InputError` where it cannot listen there, or the certificate cannot be used.
        """
        self._levels, self._tls = levels, _context(certificate, key)
        self.host, self.port = host, port
        self._loop = asyncio.new_event_loop()
        self._started: Future[None] = Future()
        self._server: Any = None
        self._arrived: int | None = None  # inspection id of the result that the controller has, for certain
        self._thread = threading.Thread(target=self._serve, name=f"modbus {host}:{port}", daemon=True)
        self._thread.start()
        try:
            self._started.result(START_TIMEOUT_S)
        except (RuntimeError, OSError, FutureTimeout) as error:
            self._thread.join(START_TIMEOUT_S)
            raise InputError(
                f"Modbus cannot listen on {host}:{port} ({error}); another program may have it, ports below 1024 need "
                "root: choose another one, or stop that program"
            ) from error

    def close(self) -> None:
        """Close all connections and stop listening."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop)
        self._thread.join(START_TIMEOUT_S)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)
        finally:
            self._loop.close()

    async def _run(self) -> None:
        device = SimDevice(
            id=0,  # any: over TCP controllers write 0, 1 or 255
            simdata=[
                SimData(TO_RUNTIME_AT, values=[0] * TO_RUNTIME_WORDS, datatype=DataType.REGISTERS),
                SimData(FROM_RUNTIME_AT, values=[0] * FROM_RUNTIME_WORDS, datatype=DataType.REGISTERS, readonly=True),
            ],
            action=self._accessed,
        )
        make = partial(_TlsServer, sslctx=self._tls) if self._tls is not None else _TcpServer
        # over TLS, too, with the header of Modbus TCP, as the protocol's own specification has it
        self._server = make(device, framer=FramerType.SOCKET, address=(self.host, self.port))
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]
        self._started.set_result(None)
        await self._server.serving
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _accessed(
        self,
        function_code: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """What pymodbus calls before each access, of registers that begin at `start`; why there is none, or None."""
        if function_code not in OF_WORDS:  # pymodbus would take a coil for a bit of the register of that number
            return ExcCodes.ILLEGAL_FUNCTION
        asking = _ASKING.get()
        writes = written is not None and address <= CONTROL_ADDRESS < address + count
        is_first = writes and not asking.controls
        asking.controls = asking.controls or writes
        if asking.controls and asking.shown is not None:  # it goes on, so it has the answer before
            self._arrived = asking.shown
        asking.shown = None
        if written is None:
            # whoever reads the heartbeat alone, or registers of its own, has not seen the result
            sees = any(address <= each < address + count for each in RESULT_ADDRESSES)
            at = FROM_RUNTIME_AT - start
            registers[at : at + FROM_RUNTIME_WORDS] = self._look(asking) if sees else self._levels.read(sees=False)
            return None
        words = registers[TO_RUNTIME_AT - start : TO_RUNTIME_AT - start + TO_RUNTIME_WORDS]
        words[address - TO_RUNTIME_AT : address - TO_RUNTIME_AT + count] = [int(word) for word in written]
        if is_first:
            self._levels.write_anew(words)
        else:
            self._levels.write(words)
        return None

    def _look(self, asking: _Connection) -> list[int]:
        """The registers from the runtime, seen over a connection."""
        if not asking.looked and self._levels.shown != self._arrived:
            self._levels.handshake.unsee()
        asking.looked = True
        words = self._levels.read()
        asking.shown = self._levels.shown
        return words


def _context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise InputError("TLS takes a certificate and its key; give both, or none for plain Modbus TCP")
    return server_context(certificate, key)


def open_server(levels: Levels, asked: str) -> ModbusServer:
    """``HOST:PORT``, or ``HOST:PORT?certificate=FILE&key=FILE``. Raises as `ModbusServer`."""
    address = parse_address("modbus", asked, PORT, ("certificate", "key"))
    certificate, key = (address.take(name, Path, None) for name in ("certificate", "key"))
    return ModbusServer(levels, address.host, address.port, certificate, key)
