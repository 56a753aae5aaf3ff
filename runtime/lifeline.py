"""Child processes that the kernel ends when their owner dies, whatever both of them are doing.

The owner holds one end of a pipe, the child the other: ``python -m runtime.lifeline DESCRIPTOR NICE MODULE [WORD…]``
ties itself to it and then becomes ``python -m MODULE WORD…``, at a lower priority.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from runtime.priority import lower

F_SETSIG = 10  # of Linux' fcntl.h; Python's module has no name for it
ROOT = Path(__file__).resolve().parents[1]


class Tied:
    """A module at work in a process of its own, which ends with this one. What it prints is to be read from `output`,
    lines of text, stdout and stderr alike. For one thread, but for `end`."""

    def __init__(self, module: str, words: Sequence[str], nice: int) -> None:
        """Starts it. Raises `OSError`."""
        theirs, self._lifeline = os.pipe()
        command = [sys.executable, "-m", "runtime.lifeline", str(theirs), str(nice), module, *words]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=ROOT,  # `-m` looks there first
                pass_fds=(theirs,),
                start_new_session=True,  # Ctrl-C is for the owner
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                text=True,
                errors="replace",
            )
        except OSError:
            os.close(self._lifeline)
            raise
        finally:
            os.close(theirs)
        self._ending = threading.Lock()
        assert self._process.stdout is not None
        self.output = self._process.stdout

    def end(self) -> None:
        """End it, and all that it started, at once. From any thread, more than once."""
        with self._ending:
            if self._process.returncode is None:  # else its number may be another's
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit status, once it has ended; negative by a signal."""
        self.output.close()
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self.end()  # what it started and left behind
        with self._ending:
            status = self._process.wait()
        os.close(self._lifeline)
        return status


def die_with(lifeline: int) -> None:
    """Have the kernel kill this process when the other end of a pipe is closed, as it is when its owner dies.

    PR_SET_PDEATHSIG would do it at the end of the thread that started this process, not at that of its process. It
    outlives `os.execv`, where the descriptor is inherited.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        if not os.read(lifeline, 1):
            os._exit(0)  # it was dead before


def main() -> None:
    lifeline, nice, module, *words = sys.argv[1:]
    die_with(int(lifeline))
    os.set_inheritable(int(lifeline), True)
    lower(int(nice))
    os.execv(sys.executable, [sys.executable, "-m", module, *words])


if __name__ == "__main__":
    main()
