"""A long run of a vendor's driver whose process is killed under way: what is lost, and for how long?

::

    python -m benchmarks.cameras.kills [--frames 1000] [--kills 2] [--camera URI] [--json FILE]

Without ``--camera`` it is the GenTL simulator that the package genicam ships: 400×400 pixels, 20 frames a second. The
driver's process is killed by SIGKILL, evenly over the run.
"""

import argparse
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from runtime import cli
from runtime.atomic import write_atomically
from runtime.cameras.capture import Capture
from runtime.cameras.driver.hosted import Driver
from runtime.cameras.genicam.aravis import aravis_driver
from runtime.cameras.genicam.gentl import gentl_driver
from runtime.cameras.genicam.pylon import pylon_driver
from runtime.cameras.live import LiveSource
from runtime.errors import InputError, SetupError

DRIVERS = {"pylon": pylon_driver, "gentl": gentl_driver, "aravis": aravis_driver}
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Run:
    """What came of a run."""

    frames: int  # whole pictures that were read
    seconds: float
    kills: int
    lost: int  # frames that say that the camera was lost
    other_problems: int
    reconnects: int
    missing: int  # numbers left out between two pictures of one process
    gaps_s: tuple[float, ...]  # from each kill to the next picture
    processes_left: int

    def lines(self) -> list[str]:
        """The figures in words."""
        gaps = ", ".join(f"{gap:.2f} s" for gap in self.gaps_s) or "none"
        return [
            f"{self.frames} pictures in {self.seconds:.1f} s; the driver's process was killed {self.kills} times",
            f"{self.lost} frames 'camera lost', {self.reconnects} reconnects, {self.other_problems} other problems",
            f"{self.missing} pictures missing by the camera's counter, but for those while no process ran",
            f"from each kill to the next picture: {gaps}; {self.processes_left} processes left at the end",
        ]


def run(driver: Driver, frames: int, kills: int) -> Run:
    """Read `frames` whole pictures, and kill the driver `kills` times. Raises `SourceError`."""
    pids: list[int] = []

    def noted() -> Capture:
        capture = driver.open()
        pids.append(capture.pid)
        return capture

    kill_at = [frames * (number + 1) // (kills + 1) for number in range(kills)]
    lost = other = missing = whole = 0
    gaps_s: list[float] = []
    killed_s, last = 0.0, None
    start_s = time.monotonic()
    with LiveSource(driver.name, noted, interrupt=driver.interrupt) as source:
        while whole < frames:
            frame = source.read(PATIENCE_S)
            assert frame is not None  # a camera has no end
            if frame.problem:
                gone = "camera lost" in frame.problem
                lost, other, last = lost + gone, other + (not gone), None if gone else last
                continue
            whole += 1
            if killed_s and last is None:
                gaps_s.append(time.monotonic() - killed_s)
                killed_s = 0.0
            if last is not None and frame.counter is not None:
                missing += max(0, frame.counter - last - 1)
            last = frame.counter
            if whole in kill_at:
                os.kill(pids[-1], signal.SIGKILL)
                killed_s = time.monotonic()
        seconds, reconnects = time.monotonic() - start_s, source.reconnects
    left = sum(Path(f"/proc/{pid}").exists() for pid in pids)
    return Run(whole, seconds, kills, lost, other, reconnects, missing, tuple(gaps_s), left)


def simulator() -> str:
    """The URI of the GenTL simulator. Raises `SetupError` where it is not installed."""
    try:
        import genicam
    except ImportError as error:
        raise SetupError(f"genicam is not installed ({error}); pip install 'proctor[gentl]'") from error
    return f"gentl:{Path(str(genicam.__file__)).with_name('viky.cti')}#VikyTL_DEV_red"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.cameras.kills"), description="Kill a driver's process under way."
    )
    parser.add_argument("--frames", type=cli.positive, default=1000, metavar="N", help="whole pictures (1000)")
    parser.add_argument("--kills", type=cli.positive, default=2, metavar="N", help="evenly over the run (2)")
    parser.add_argument("--camera", metavar="URI", help="pylon:…, gentl:… or aravis:… (default: genicam's simulator)")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    if options.kills >= options.frames:
        raise InputError(f"--kills is {options.kills} of --frames {options.frames}; expected fewer kills than frames")
    uri = options.camera or simulator()
    scheme = uri.partition(":")[0]
    if scheme not in DRIVERS:
        raise InputError(f"--camera is {uri!r}; expected one of {', '.join(f'{name}:…' for name in DRIVERS)}")
    found = run(DRIVERS[scheme](uri), options.frames, options.kills)
    environment = describe_environment()
    shown = uri if options.camera else "the GenTL simulator of the package genicam"
    print("\n".join([shown, *found.lines(), one_line(environment)]))
    if options.json:
        drivers = {name: version(name) for name in ("harvesters", "genicam", "pypylon") if find_spec(name)}
        document = {**asdict(found), "camera": shown, "drivers": drivers, "environment": environment}
        write_atomically(options.json, json.dumps(document, indent=1).encode() + b"\n")


if __name__ == "__main__":
    cli.run(main)
