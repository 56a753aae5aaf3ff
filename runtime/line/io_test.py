"""``python -m runtime.line.io_test``: answers a line controller without camera and detector, and shows what it sends.

For commissioning: wiring, addresses and the controller's program are tried before there is anything to inspect.
"""

import argparse
from contextlib import ExitStack

from runtime.cli import program, run, some_path
from runtime.line.bindings import add_binding_options, open_bindings
from runtime.line.handshake import Handshake, Refusal
from runtime.line.inspection_loop import PASS_S
from runtime.line.levels import Levels
from runtime.line.pictures import Pictures
from runtime.line.results import Cause, Code, Mode, Outcome, Result
from runtime.line.serving import serve
from runtime.line.signalled import signalled
from runtime.line.unix_server import UnixServer
from runtime.outputs import say

DEADLINE_S = 5.0
AT_ONCE = 8
FORCED = {"OK": Mode.FORCED_OK, "NG": Mode.FORCED_NG, "NO_DECISION": Mode.FORCED_NO_DECISION}
NO_DETECTOR = Outcome(Code.NO_DECISION, Cause.NOT_READY, "I/O test: there is no detector")


class NoInspection:
    """A loop that beats the handshake's heart and judges nothing: parts in the mode RUN get NO_DECISION."""

    def __init__(self, handshake: Handshake) -> None:
        self._handshake = handshake
        self._stopping = False

    def run(self) -> None:
        """See `Loop`."""
        while not self._stopping:
            self._handshake.beat()
            if (one := self._handshake.take(PASS_S)) is not None:
                self._handshake.acquired(one.acquisition_id)
                self._handshake.finish(one.acquisition_id, NO_DETECTOR)

    def stop(self) -> None:
        """See `Loop`."""
        self._stopping = True


class Shown:
    """A `Listener` that says each result and refusal."""

    def given(self, result: Result) -> None:
        """See `Listener`."""
        part = result.part
        known = [f"{name} {text}" for name, text in (("serial", part.serial), ("order", part.order)) if text]
        say(f"part {' '.join([str(part.part_id), *known])}, mode {result.mode.name}: {result.code.name}")

    def missed(self, refusal: Refusal) -> None:
        """See `Listener`."""
        say(f"part {refusal.part.part_id}: REFUSED, {refusal.cause.name}: {refusal.reason}")


def main() -> None:
    arguments = _parser().parse_args()
    handshake = Handshake(DEADLINE_S, AT_ONCE)
    handshake.set_mode(FORCED[arguments.result])
    handshake.listen(Shown())
    with ExitStack() as opened:
        wait = opened.enter_context(signalled())
        if arguments.socket is not None:
            opened.enter_context(UnixServer(arguments.socket, handshake, Pictures(), arguments.group))
        opened.enter_context(open_bindings(Levels(handshake), vars(arguments)))
        say("I/O test: nothing is inspected; keep parts off the line, or the old system in charge of them")
        serve(handshake, NoInspection(handshake), wait)
        view = handshake.view()
        say(f"{view.accepted} triggers accepted, {view.missed} refused")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("runtime.line.io_test"),
        description="Answer a line controller without camera and detector, and show what it sends. SIGTERM or Ctrl-C "
        "ends it.",
    )
    parser.add_argument("--socket", type=some_path, metavar="PATH", help="Unix socket to serve controllers on")
    parser.add_argument("--group", metavar="NAME", help="whose users may connect to it, too")
    add_binding_options(parser)
    parser.add_argument(
        "--result", choices=tuple(FORCED), default="NO_DECISION",
        help="that parts get until the controller writes its mode (NO_DECISION)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    run(main)
