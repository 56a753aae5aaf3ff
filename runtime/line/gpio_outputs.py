"""The runtime's side of the process that holds the outputs (`runtime.line.gpio_keeper`)."""

import json
import logging
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from runtime.closing import Closing
from runtime.errors import InputError, LineError
from runtime.line import gpio_keeper
from runtime.line.gpio_config import GpioConfig

log = logging.getLogger("proctor.gpio")

ROOT = Path(__file__).parents[2]  # where the package `runtime` lies
OPEN_S, CLOSE_S = 30.0, 3.0
NOT_GIVEN = {  # what is said of a pulse, by what the process counts
    "late": "was due when its time was over",
    "dropped": "was of too many that are to come",
    "taken_back": "was of a part before the gate when the line was held or paused",
}


class KeptOutputs(Closing):
    """Outputs that a process of their own holds. From any thread."""

    def __init__(self, config: GpioConfig) -> None:
        """Raises `InputError` where the outputs cannot be had."""
        self.counts: dict[str, int] = {}
        self._line, keeper = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "runtime.line.gpio_keeper", str(config.path.absolute()), str(keeper.fileno())]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=ROOT,  # `-m` looks there first
                pass_fds=[keeper.fileno()],
                start_new_session=True,  # Ctrl-C is for the runtime
            )
        except OSError as error:
            self._line.close()
            raise InputError(f"the outputs' process cannot be started ({error}); check memory and limits") from error
        finally:
            keeper.close()
        try:
            self._opened()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def pulse(self, name: str, due_s: float, length_s: float, latest_s: float | None, inspected: bool = True) -> None:
        """See `Pulses`. Raises `LineError` where the process is gone, and so below."""
        self._ask("pulse", name, due_s, length_s, latest_s, inspected)

    def rest(self, name: str, due_s: float) -> None:
        """See `Pulses`."""
        self._ask("rest", name, due_s)

    def take_back(self, name: str, uninspected: bool) -> None:
        """See `Pulses`."""
        self._ask("take_back", name, uninspected)

    def level(self, name: str, active: bool) -> None:
        """See `Pulses`."""
        self._ask("level", name, active)

    def check(self) -> None:
        """Take what the process says. Raises `LineError` where it, or its chip, is gone."""
        while select.select([self._line], [], [], 0.0)[0]:
            what, *rest = self._heard()
            if what == gpio_keeper.FAILED:
                raise LineError(str(rest[0]))
            if what == gpio_keeper.COUNTS:
                self._counted(rest[0])

    def close(self) -> None:
        """Have all outputs driven to their inactive level, and the process ended."""
        self._line.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            log.error("the outputs' process did not end and is killed; outputs may stay as they are")
            self._process.kill()
            self._process.wait()

    def _opened(self) -> None:
        if not select.select([self._line], [], [], OPEN_S)[0]:
            raise InputError(f"the outputs' process did not open them within {OPEN_S:g} s; check the chip")
        try:
            what, text = self._heard()
        except LineError as error:
            raise InputError(str(error)) from error
        if what == gpio_keeper.FAILED:
            raise InputError(str(text))
        if text:
            log.warning("pulses have no real-time priority (%s); give the service LimitRTPRIO=, or CAP_SYS_NICE", text)

    def _counted(self, counts: dict[str, int]) -> None:
        for name, said in NOT_GIVEN.items():
            for _ in range(counts[name] - self.counts.get(name, 0)):
                log.error("a pulse %s, and was not given", said)
        self.counts = counts

    def _ask(self, *message: object) -> None:
        try:
            self._line.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)
        except OSError as error:  # gone, or it takes nothing any more
            raise LineError(f"the outputs' process takes nothing ({error})") from error

    def _heard(self) -> list[Any]:
        try:
            message = self._line.recv(gpio_keeper.MOST_BYTES)
        except OSError:
            message = b""
        if not message:
            raise LineError("the outputs' process ended; see what it printed")
        found: list[Any] = json.loads(message)
        return found
