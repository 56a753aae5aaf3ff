"""What `benchmarks.stream.startup` starts: the stream up to its first verdict, with a clock between its steps.

``python -m benchmarks.stream.startup_probe STARTED [options of runtime.stream]``; STARTED is the monotonic clock when
the process was started. What runs is `runtime.stream.main` itself, whose steps are wrapped to note when they end. The
last line of stdout is one JSON object: seconds by phase, as the wall clock and as processor time of all threads.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

PHASES = ("python", "imports", "onnxruntime", "file", "session", "camera", "inference", "verdict")


class Marks:
    """When each phase ended first; phases follow each other."""

    def __init__(self, started_s: float) -> None:
        self._last_s, self._last_cpu_s = started_s, 0.0
        self.wall_s: dict[str, float] = {}
        self.cpu_s: dict[str, float] = {}

    def end(self, phase: str) -> None:
        """The phase ends here, unless it has ended before."""
        if phase in self.wall_s:
            return
        now_s, cpu_s = time.monotonic(), time.process_time()
        self.wall_s[phase], self.cpu_s[phase] = now_s - self._last_s, cpu_s - self._last_cpu_s
        self._last_s, self._last_cpu_s = now_s, cpu_s

    def around(self, function: Callable[..., Any], before: str | None = None, after: str | None = None) -> Any:
        """The function, ending the phase `before` when it is called and the phase `after` when it returns."""

        def wrapped(*arguments: Any, **options: Any) -> Any:
            if before:
                self.end(before)
            result = function(*arguments, **options)
            if after:
                self.end(after)
            return result

        return wrapped


def main() -> None:
    marks = Marks(float(sys.argv.pop(1)))
    marks.end("python")
    from runtime import stream
    from runtime.sinks import lines

    marks.end("imports")
    from runtime.engines import onnxruntime_engine

    marks.end("onnxruntime")
    wrapped: Any
    for wrapped, name, before, after in (
        (onnxruntime_engine, "read_detector", None, "file"),
        (stream, "open_detector", None, "session"),
        (onnxruntime_engine.OnnxRuntimeEngine, "_run", "camera", "inference"),  # the first frame is there
        (lines.JsonLines, "write", None, "verdict"),
    ):
        setattr(wrapped, name, marks.around(getattr(wrapped, name), before, after))
    stream.main()
    print(json.dumps({"wall_s": marks.wall_s, "cpu_s": marks.cpu_s}))


if __name__ == "__main__":
    main()
