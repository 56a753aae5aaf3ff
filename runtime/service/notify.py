"""What a service tells systemd (sd_notify(3)): that it is ready, that it is alive, that it ends.

The watchdog is fed by the same rule as the heartbeat that the controller sees: passes of the inference loop, and none
while the line is held. So a loop that hangs is restarted, and so is a line that a self-check holds.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress


class Notifier:
    """Sends to the socket that systemd names in the environment; without one it does nothing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address  # abstract
        self._watchdog_us = environment.get("WATCHDOG_USEC", "")
        self._last: object = None

    def ready(self, status: str) -> None:
        """The service does its work from now on."""
        again = f"\nWATCHDOG_USEC={self._watchdog_us}" if self._watchdog_us else ""
        self._send(f"READY=1\nSTATUS={_one_line(status)}{again}")

    def reloading(self, for_s: float) -> None:
        """It loads something else until `ready`, so many seconds at most, and is watched as long only."""
        longer = f"\nWATCHDOG_USEC={round(for_s * 1e6)}" if self._watchdog_us else ""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}{longer}")

    def status(self, status: str) -> None:
        """What ``systemctl status`` shows."""
        self._send(f"STATUS={_one_line(status)}")

    def alive(self, beat: Callable[[], object]) -> None:
        """Feed the watchdog if what `beat` counts has changed since the last time."""
        if (now := beat()) != self._last:
            self._last = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends in order."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
            out.sendto(text.encode(), self._address)


def _one_line(text: str) -> str:
    return " ".join(text.split())
