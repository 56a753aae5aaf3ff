"""What every command line shares: one sentence for a bad input, a non-zero exit, never a traceback."""

import os
import sys
from collections.abc import Callable

from runtime.errors import ProctorError


def run(main: Callable[[], None]) -> None:
    """Run a command's `main` and exit: 0 when it returns, 2 on a `ProctorError`, 130 on Ctrl-C.

    A reader that closes the pipe early (``| head``) ends the command quietly.
    """
    try:
        main()
        sys.stdout.flush()
    except ProctorError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # Python would report the same again while it closes stdout at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
