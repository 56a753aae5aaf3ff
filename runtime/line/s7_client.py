"""A client of an S7 controller: the runtime polls two areas of one data block (`runtime.line.polling`).

A controller copies a request's bytes while its program runs, so that no request is one moment. Two rules take its
place: a trigger or a switch of the recipe that is new is read once more, since the part's registers, or the recipe's
name, were written before it was set; and bits of the status fall before anything else is written, and rise after it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from snap7.client import Client
from snap7.error import S7ProtocolError

from runtime.bounds import check_between
from runtime.errors import InputError, LineError
from runtime.line.levels import Levels, PartlyRead
from runtime.line.polling import PolledController, Unreadable
from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME
from runtime.line.results import LONGEST_TEXT
from runtime.line.s7_area import PORT, S7Layout, area_of, bit_of, members, parse_s7, size_of, words_of_area

ANSWER_S = 1.0  # for each answer; the library itself waits 5 s for a connection
S7_BASIC = 3  # kind of connection: those for programming devices and panels stay free
STATUS_AT = next(each.byte for each in members(FROM_RUNTIME) if each.register.name == "online")
STATUS = slice(STATUS_AT, STATUS_AT + 2)
WITH_OTHERS = ("trigger", "switch_recipe")  # what else is written is of them, and was written before
NO_TEXT = bytes((LONGEST_TEXT, LONGEST_TEXT)) + b"\xff" * LONGEST_TEXT  # of a STRING's lengths, and no UTF-8


class S7Peer:
    """A connection to a controller. See `runtime.line.polling.Peer`."""

    def __init__(self, host: str, port: int, rack: int, slot: int, layout: S7Layout) -> None:
        """Raises `LineError` where there is no connection, and `InputError` where its data block cannot be used."""
        self._layout = layout
        self._levels: set[str] = set()  # that were set when they were read last
        self._client = Client()
        self._client.set_connection_type(S7_BASIC)
        with _lost("it does not answer"):
            self._client.connect(host, rack, slot, port)
        connection = self._client.connection
        if connection is not None and connection.socket is not None:
            connection.socket.settimeout(ANSWER_S)
        try:
            self._get(layout.to_runtime_at, size_of(TO_RUNTIME))
            self._status = self._get(layout.from_runtime_at, size_of(FROM_RUNTIME))[STATUS]
            self._put(STATUS_AT, self._status)
        except BaseException:
            self.close()
            raise

    def read(self) -> Sequence[int] | Unreadable:
        """The area to the runtime. Raises `LineError`."""
        data = self._area()
        known = self._levels
        while new := _levels_in(data) - known:  # at most once for each
            known, data = known | new, self._area()
        self._levels = _levels_in(data)
        try:
            return words_of_area(TO_RUNTIME, data)
        except InputError as error:
            if len(data) != size_of(TO_RUNTIME):
                return Unreadable("trigger" in self._levels, str(error))
            return PartlyRead(words_of_area(TO_RUNTIME, _with_marked_texts(data)), str(error))

    def write(self, words: Sequence[int]) -> None:
        """The area from the runtime. Raises `LineError`."""
        area = area_of(FROM_RUNTIME, words)
        status = area[STATUS]
        staying = bytes(before & after for before, after in zip(self._status, status, strict=True))
        if staying != self._status:
            self._put(STATUS_AT, staying)
        self._put(0, area[: STATUS.start] + staying + area[STATUS.stop :])
        if status != staying:
            self._put(STATUS_AT, status)
        self._status = status

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._client.disconnect()

    def _area(self) -> bytes:
        return self._get(self._layout.to_runtime_at, size_of(TO_RUNTIME))

    def _get(self, at: int, size: int) -> bytes:
        with _lost("it is lost"), self._usable("read"):
            return bytes(self._client.db_read(self._layout.db, at, size))

    def _put(self, at: int, data: bytes) -> None:
        with _lost("it is lost"), self._usable("written"):
            self._client.db_write(self._layout.db, self._layout.from_runtime_at + at, bytearray(data))

    @contextmanager
    def _usable(self, what: str) -> Iterator[None]:
        try:
            yield
        except S7ProtocolError as error:  # it answers, and refuses
            raise InputError(
                f"DB{self._layout.db} cannot be {what} ({error}); it has to be there with {self._layout.bytes} bytes "
                "or more, without optimized block access and write protection, and PUT/GET has to be permitted: print "
                "it by --s7-source"
            ) from error


def _levels_in(data: bytes) -> set[str]:
    return {name for name in WITH_OTHERS if bit_of(TO_RUNTIME, name, data)}


def _with_marked_texts(data: bytes) -> bytes:
    """The area with bytes that are no text in the place of each text that is none: all else in it can be used."""
    area = bytearray(data)
    for each in members(TO_RUNTIME):
        if each.register.kind == "text":
            own = slice(each.byte, each.byte + size_of((each.register,)))
            try:
                words_of_area((each.register,), data[own])
            except InputError:
                area[own] = NO_TEXT
    return bytes(area)


@contextmanager
def _lost(what: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the library's own, the system's, and what it makes of garbage
        raise LineError(f"{what} ({error})") from error


def open_client(levels: Levels, asked: str) -> PolledController:
    """``HOST:PORT``, or as in ``HOST:PORT?rack=0&slot=1&db=100&to=0&from=200&period_ms=20``.

    A controller that is not there is waited for. Raises `InputError` where one is there and its data block is not.
    """
    address, layout = parse_s7(asked)
    rack, slot = address.take("rack", int, 0), address.take("slot", int, 1)
    check_between("rack", rack, 0, 7)
    check_between("slot", slot, 0, 31)
    connect: Callable[[], S7Peer] = partial(S7Peer, address.host, address.port or PORT, rack, slot, layout)
    with suppress(LineError):
        connect().close()
    return PolledController(
        levels, f"{address.host}:{address.port}", connect, address.take("period_ms", float, 20.0) / 1e3
    )
