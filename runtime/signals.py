"""What a signal to end means to a command: the first one lets it end in order, the next ends it at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopping_on_signals(stop: Callable[[], object], reload: Callable[[], object] | None = None) -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a call of `stop`; the next acts as it did before. For the main
    thread.

    With `reload`, each SIGHUP calls that. Otherwise SIGHUP is ignored once it came: a terminal that hangs up sends it
    twice, from the shell and from the system. It is left alone where it is ignored already, under nohup.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    hang_up = getattr(signal, "SIGHUP", None)  # Windows has none
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        signals.append(hang_up)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, interrupted: FrameType | None) -> None:
        if number == hang_up and reload is not None:
            reload()
            return
        if number == hang_up:
            before[hang_up] = signal.SIG_IGN
        restore()
        stop()

    for number in signals:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
