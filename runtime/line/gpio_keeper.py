"""The process that holds the outputs: ``python -m runtime.line.gpio_keeper CONFIG DESCRIPTOR``, started by the runtime.

It ends each pulse in time whatever the runtime does: infers, hangs, is stopped or is killed. When the runtime is gone,
its end of the socket is closed, and all outputs are driven to their inactive level.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runtime.errors import ProctorError
from runtime.line.gpio_config import read_config
from runtime.line.gpio_lines import OutputLines, driver_of
from runtime.line.gpio_pulses import Pulses

REALTIME_PRIORITY = 20  # of SCHED_FIFO: before all that has none, behind the kernel's interrupts
MOST_BYTES = 4_096
OPEN, FAILED, COUNTS = "open", "failed", "counts"


def main() -> None:
    path, descriptor = Path(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the runtime ends it, by its end
    with socket.socket(fileno=descriptor) as line:
        try:
            config = read_config(path)
            outputs = driver_of(config).open_outputs(config)
        except ProctorError as error:
            _tell(line, FAILED, str(error))
            return
        try:
            _tell(line, OPEN, _become_first())
            keep(line, outputs)
        except ProctorError as error:
            _tell(line, FAILED, str(error))
        finally:
            outputs.close()


def keep(line: socket.socket, outputs: OutputLines) -> None:
    """Do what is asked for until nobody can ask any more. Raises `LineError` where the chip is gone."""
    pulses = Pulses(outputs.set)
    asked: dict[str, Callable[..., None]] = {
        "pulse": pulses.pulse,
        "rest": pulses.rest,
        "take_back": pulses.take_back,
        "level": pulses.level,
    }
    told = dict(pulses.counts)
    gc.disable()  # nothing here refers to itself, and a collection takes milliseconds
    while True:
        next_s = pulses.run(time.monotonic())
        if dict(pulses.counts) != told:
            told = dict(pulses.counts)
            _tell(line, COUNTS, told)
        timeout_s = None if next_s is None else max(0.0, next_s - time.monotonic())
        if not select.select([line], [], [], timeout_s)[0]:
            continue
        message = line.recv(MOST_BYTES)
        if not message:
            return
        what, *arguments = json.loads(message)
        asked[what](*arguments)


def _become_first() -> str:
    """Why there is no real-time priority, or nothing."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    except OSError as error:
        return str(error.strerror)
    return ""


def _tell(line: socket.socket, *message: object) -> None:
    with suppress(OSError):  # nobody is there: the next look ends it
        line.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)


if __name__ == "__main__":
    main()
