"""Verdicts as lines on a terminal and in a file."""

import io

from runtime_samples import fake_detector, grey_frame

from runtime.sinks.lines import Headlines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_count_and_wipes_it_before_each_line() -> None:
    out, terminal = io.StringIO(), Terminal()
    headlines = Headlines(out, terminal)
    with fake_detector() as detector:
        for frame in (grey_frame(0), grey_frame(1, spot=255)):
            headlines.write(frame, detector.inspect(frame))
    headlines.close()
    wipe = "\r\033[K"
    counts = ["1 frames: 1 OK, 0 NG, 0 NO_DECISION", "2 frames: 1 OK, 1 NG, 0 NO_DECISION"]
    assert terminal.getvalue() == wipe + counts[0] + wipe + wipe + counts[1] + wipe
    assert out.getvalue().startswith("NG          frame 1: score 0.992 above 0.500; 1 region")


def test_a_file_gets_no_count() -> None:
    terminal = io.StringIO()
    with fake_detector() as detector:
        Headlines(io.StringIO(), terminal).write(grey_frame(), detector.inspect(grey_frame()))
    assert terminal.getvalue() == ""
