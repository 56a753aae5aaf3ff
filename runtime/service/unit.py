"""A unit of systemd for ``python -m runtime.line``."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.cli import REFUSED
from runtime.errors import InputError
from runtime.line.gpio_keeper import REALTIME_PRIORITY

WATCHDOG_S = 10  # without a beat of the inference loop
START_S = 300  # to open the detector, on a device that builds its plan first
STOP_S = 60  # for parts under way: twice the deadline and two seconds
RUN = Path("/run")  # empty after each boot
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


@dataclass(frozen=True)
class Unit:
    """What differs from one station to the next."""

    name: str
    command: tuple[str, ...]  # the words behind ``python -m runtime.line``
    folder: Path  # that relative paths are of
    user: str | None = None
    cores: str | None = None  # as CPUAffinity= takes them, such as 0-2
    nice: int = -5
    program: tuple[str, ...] = (sys.executable, "-m", "runtime.line")  # that the command's words are for
    gpio: str | None = None  # configuration of digital outputs, which are driven to their safe level at each end
    gpio_safe: tuple[str, ...] = (sys.executable, "-m", "runtime.line.gpio_safe")  # what drives them, given that
    realtime: int | None = None  # a priority before all that has none
    socket: Path | None = None  # that the line serves; below /run systemd makes its folder at each start

    def __post_init__(self) -> None:
        """Raises `InputError` for what systemd would read otherwise."""
        if not re.fullmatch(NAME, self.name):
            raise InputError(f"the service's name is {self.name!r}; expected letters, digits, '.', '_' and '-'")
        if self.user is not None and not re.fullmatch(NAME, self.user):
            raise InputError(f"the user is {self.user!r}; expected a user's name")
        if self.cores is not None and not re.fullmatch(r"\d+(-\d+)?([ ,]\d+(-\d+)?)*", self.cores):
            raise InputError(f"the cores are {self.cores!r}; expected as in 0-2 or 0,2")
        if self.realtime is not None and not 1 <= self.realtime <= 99:
            raise InputError(f"the real-time priority is {self.realtime}; expected 1 to 99, such as 5")
        if not -20 <= self.nice <= 19:
            raise InputError(f"nice is {self.nice}; expected -20, the highest priority, to 19")

    def text(self) -> str:
        """The unit file."""
        # a user other than root may serve Modbus on its own port, 502
        optional = [f"User={self.user}", "AmbientCapabilities=CAP_NET_BIND_SERVICE"] if self.user else []
        optional += [f"CPUAffinity={self.cores}"] if self.cores else []
        if self.realtime is not None:
            optional += ["CPUSchedulingPolicy=rr", f"CPUSchedulingPriority={self.realtime}"]
        if self.gpio is not None:
            safe = [*self.gpio_safe, self.gpio]
            optional += [f"ExecStopPost={_quoted(safe)}", f"LimitRTPRIO={REALTIME_PRIORITY}"]
        if self.socket is not None and RUN in self.socket.parent.parents:
            optional.append(f"RuntimeDirectory={_quoted([str(self.socket.parent.relative_to(RUN))])}")
        return "\n".join(
            [
                "[Unit]",
                f"Description=Proctor {self.name}",
                "After=network-online.target time-sync.target",
                "Wants=network-online.target",
                "StartLimitIntervalSec=0",
                "",
                "[Service]",
                "Type=notify",
                f"ExecStart={_quoted([*self.program, *self.command])}",
                "ExecReload=/bin/kill -HUP $MAINPID",
                f"WorkingDirectory={_one_line(str(self.folder)).replace('%', '%%')}",  # taken as it is, but for %
                *optional,
                f"Nice={self.nice}",
                # where processes are grouped by session, Nice= counts inside this unit alone: see runtime.priority
                f"ExecStartPost=-+/bin/sh -c 'echo {self.nice} >/proc/$MAINPID/autogroup'",
                f"WatchdogSec={WATCHDOG_S}",
                f"TimeoutStartSec={START_S}",
                f"TimeoutStopSec={STOP_S}",
                "Restart=always",
                "RestartSec=1",
                f"RestartPreventExitStatus={REFUSED}",
                "KillMode=mixed",
                "NoNewPrivileges=yes",
                "ProtectSystem=full",
                "ProtectControlGroups=yes",
                "ProtectKernelModules=yes",
                "",
                "[Install]",
                "WantedBy=multi-user.target",
                "",
            ]
        )


def _quoted(words: Sequence[str]) -> str:
    """Words as systemd takes them apart again."""
    return " ".join(f'"{_escaped(word)}"' if re.search(r"[^\w@%+=:,./-]", word) else _escaped(word) for word in words)


def _one_line(word: str) -> str:
    if re.search(r"[\n\r\0]", word):
        raise InputError(f"{word!r} has a line break, which no unit file can hold; rename it")
    return word


def _escaped(word: str) -> str:
    word = _one_line(word)
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(character, escape)
    return word
