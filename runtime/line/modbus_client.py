"""A Modbus TCP client: the controller is the server, and the runtime polls it (`runtime.line.polling`)."""

from collections.abc import Sequence
from functools import partial

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from runtime.bounds import check_between
from runtime.errors import InputError, LineError
from runtime.line.address import parse_address
from runtime.line.levels import Levels
from runtime.line.modbus import DEVICE_ID, FROM_RUNTIME_AT, FROM_RUNTIME_WORDS, TO_RUNTIME_AT, TO_RUNTIME_WORDS
from runtime.line.polling import PolledController

REGISTERS = 65_536  # holding registers of a controller
TIMEOUT_S = 1.0  # for the connection and for each answer; no retries: the next period is one


class ModbusPeer:
    """A connection to a controller. See `runtime.line.polling.Peer`."""

    def __init__(self, host: str, port: int, to_runtime_at: int, from_runtime_at: int, device_id: int) -> None:
        self._to, self._from, self._device_id = to_runtime_at, from_runtime_at, device_id
        self._client = ModbusTcpClient(host, port=port, timeout=TIMEOUT_S, retries=0, reconnect_delay=0)
        try:
            connected = self._client.connect()
        except (ModbusException, OSError) as error:
            self._client.close()
            raise LineError(f"it does not answer ({error})") from error
        if not connected:
            self._client.close()
            raise LineError("it does not answer")

    def read(self) -> Sequence[int]:
        """The registers to the runtime. Raises `LineError` where they do not come."""
        try:
            answer = self._client.read_holding_registers(self._to, count=TO_RUNTIME_WORDS, device_id=self._device_id)
        except (ModbusException, OSError) as error:
            raise LineError(f"it is lost ({error})") from error
        if answer.isError() or len(answer.registers) != TO_RUNTIME_WORDS:
            raise LineError(f"registers {self._to} and on cannot be read: {answer}")
        return list(answer.registers)

    def write(self, words: Sequence[int]) -> None:
        """The registers from the runtime. Raises `LineError` where they are not taken."""
        try:
            written = self._client.write_registers(self._from, list(words), device_id=self._device_id)
        except (ModbusException, OSError) as error:
            raise LineError(f"it is lost ({error})") from error
        if written.isError():
            raise LineError(f"registers {self._from} and on cannot be written: {written}")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class ModbusClient(PolledController):
    """Polls one controller until it is closed."""

    def __init__(
        self,
        levels: Levels,
        host: str,
        port: int = 502,
        period_s: float = 0.01,
        to_runtime_at: int = TO_RUNTIME_AT,
        from_runtime_at: int = FROM_RUNTIME_AT,
        device_id: int = DEVICE_ID,
    ) -> None:
        """The addresses say where the two tables of registers begin in the controller's holding registers."""
        connect = partial(ModbusPeer, host, port, to_runtime_at, from_runtime_at, device_id)
        super().__init__(levels, f"{host}:{port}", connect, period_s)


def open_client(levels: Levels, asked: str) -> ModbusClient:
    """``HOST:PORT``, or as in ``HOST:PORT?to=0&from=100&unit=1&period_ms=10``. Raises `InputError`."""
    address = parse_address("modbus-client", asked, 502, ("to", "from", "unit", "period_ms"))
    to_at, from_at = address.take("to", int, TO_RUNTIME_AT), address.take("from", int, FROM_RUNTIME_AT)
    unit = address.take("unit", int, DEVICE_ID)
    check_between("to", to_at, 0, REGISTERS - TO_RUNTIME_WORDS)
    check_between("from", from_at, 0, REGISTERS - FROM_RUNTIME_WORDS)
    check_between("unit", unit, 0, 255)
    if to_at < from_at + FROM_RUNTIME_WORDS and from_at < to_at + TO_RUNTIME_WORDS:
        raise InputError(
            f"to={to_at} and from={from_at} overlap; the registers to the runtime take {TO_RUNTIME_WORDS} words, those "
            f"from it {FROM_RUNTIME_WORDS}"
        )
    period_s = address.take("period_ms", float, 10.0) / 1e3
    return ModbusClient(levels, address.host, address.port, period_s, to_at, from_at, unit)
