"""What viewers of the live page cost the inspection: time from capture to verdict without any, and with five.

::

    python -m benchmarks.web.viewers [--pairs 12] [--seconds 12] [--rate 8] [--threads 1] [--json FILE]

One stream runs all the time, of rendered parts that are kept in memory, with the packaged detector and the page's
process beside it. Blocks without a viewer and with five take turns, in an order drawn by chance in each pair, so that
both see the same machine. A viewer does what the page does in a browser: it follows the events and fetches each picture
and heat map that they tell of. Viewers run on this machine, too, at the lowest priority, and may miss pictures: which
share of them they fetched is said. On a line they are elsewhere.

The ratio of medians and of 99th percentiles is of all frames of each kind; its interval (95 %) is from pairs drawn with
replacement, 10,000 times.
"""

import argparse
import http.client
import itertools
import json
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from multiprocessing.sharedctypes import Synchronized
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from runtime import cli
from runtime.atomic import write_atomically
from runtime.cameras.base import FreeRun
from runtime.default_detector import DEMO_DETECTOR
from runtime.demo import DemoLine
from runtime.detector import Detector
from runtime.errors import InputError
from runtime.frames import Frame
from runtime.outputs import say
from runtime.pause import Pause
from runtime.pipeline import Pipeline
from runtime.verdict import Verdict
from runtime.web.page import Page
from runtime.web.serving import parse_serving

VIEWERS, PARTS, RESAMPLES = 5, 16, 10_000
SETTLE_S, START_S = 1.0, 60.0
TARGET = 1.05  # of the medians


class Belt(FreeRun):
    """Parts at an even pace, as a camera delivers them."""

    live, drops, lost, reconnects = True, 0, 0, 0

    def __init__(self, images: Sequence[NDArray[np.uint8]], rate: float) -> None:
        self._images, self._period_s = itertools.cycle(images), 1 / rate
        self._due_s, self._numbers = time.monotonic(), itertools.count()

    def read(self, timeout_s: float = 5.0) -> Frame | None:
        """See `Source.read`."""
        self._due_s = max(self._due_s + self._period_s, time.monotonic())
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        number = next(self._numbers)
        return Frame(next(self._images), number, part_id=str(number))

    def close(self) -> None:
        """See `Source.close`."""


@dataclass(frozen=True)
class Cost:
    """Times from capture to verdict, milliseconds, and ratios with viewers over without."""

    pairs: int
    frames_without: int
    frames_with: int
    without_p50_ms: float
    without_p99_ms: float
    with_p50_ms: float
    with_p99_ms: float
    p50_ratio: float
    p50_interval: tuple[float, float]
    p99_ratio: float
    p99_interval: tuple[float, float]
    pictures: int  # that the viewers fetched while frames counted, heat maps apart
    load: tuple[float, float]  # of the machine, before and after: average of a minute

    @property
    def share(self) -> float:
        """Of the pictures that all viewers could have fetched, those that they did."""
        return self.pictures / (VIEWERS * self.frames_with)

    def lines(self) -> list[str]:
        """In words."""
        without, watched = (
            f"{self.without_p50_ms:.1f} and {self.without_p99_ms:.1f}",
            f"{self.with_p50_ms:.1f} and {self.with_p99_ms:.1f}",
        )
        return [
            f"capture to verdict, p50 and p99: without viewers {without} ms, with {VIEWERS} {watched} ms; "
            f"{self.frames_without} and {self.frames_with} frames in {self.pairs} pairs of blocks",
            f"ratio of medians {self.p50_ratio:.3f} (95 %: {self.p50_interval[0]:.3f} to {self.p50_interval[1]:.3f}), "
            f"target {TARGET}; of p99 {self.p99_ratio:.3f} ({self.p99_interval[0]:.3f} to {self.p99_interval[1]:.3f})",
            f"the viewers, at the lowest priority, fetched {self.pictures:,} pictures, {self.share:.2f} of all; "
            f"load of the machine {self.load[0]:.1f}, then {self.load[1]:.1f}",
        ]


def measure(pairs: int, seconds: float, rate: float, threads: int) -> Cost:
    """Run the stream and let viewers come and go."""
    images = [DemoLine(7).part(number).image for number in range(PARTS)]
    times: list[tuple[float, float]] = []  # moment, latency

    def deliver(frame: Frame, verdict: Verdict) -> None:
        page.write(frame, verdict)
        times.append((verdict.decided_s, verdict.latency_ms))

    load, blocks = os.getloadavg()[0], list[dict[bool, Block]]()
    fetched = multiprocessing.get_context("spawn").Value("q", 0)
    belt, pause = Belt(images, rate), Pause()
    with Detector.open(DEMO_DETECTOR, threads=threads) as detector, Page(parse_serving("0")) as page:
        pipeline = Pipeline(belt, detector, deliver, pause=pause)
        page.watch(None, "rendered parts", DEMO_DETECTOR, detector, belt)
        page.start(pause)
        stream = threading.Thread(target=pipeline.run, name="stream")
        stream.start()
        try:
            _wait_for_page(page.address)
            for number in range(pairs):
                order = random.Random(number).sample([True, False], 2)
                blocks.append({watched: _block(page.address, watched, seconds, fetched) for watched in order})
                say(f"pair {number + 1} of {pairs}")
        finally:
            pipeline.stop()
            stream.join()
    found = {
        watched: [
            np.array([ms for at_s, ms in times if block.began_s <= at_s < block.ended_s])
            for block in (each[watched] for each in blocks)
        ]
        for watched in (False, True)
    }
    return _cost(found, sum(each[True].pictures for each in blocks), (load, os.getloadavg()[0]))


@dataclass(frozen=True)
class Block:
    """From when to when frames count, and the pictures that viewers fetched meanwhile."""

    began_s: float
    ended_s: float
    pictures: int


def _block(address: str, watched: bool, seconds: float, fetched: "Synchronized[int]") -> Block:
    """One block."""
    process = None
    if watched:
        process = multiprocessing.get_context("spawn").Process(target=view, args=(address, VIEWERS, fetched))
        process.start()
        before, until_s = fetched.value, time.monotonic() + START_S
        while fetched.value < before + VIEWERS:
            if time.monotonic() > until_s:
                process.kill()
                raise InputError(f"no picture came within {START_S:g} s; the machine is too busy to measure anything")
            time.sleep(0.05)
    time.sleep(SETTLE_S)
    began_s, before = time.monotonic(), fetched.value
    time.sleep(seconds)
    ended_s, pictures = time.monotonic(), fetched.value - before
    if process is not None:
        process.kill()
        process.join()
        time.sleep(SETTLE_S)
    return Block(began_s, ended_s, pictures)


def _wait_for_page(address: str) -> None:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=5)) as connection,
        ):
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise InputError(f"the page did not answer within {START_S:g} s; see what it says above")


def view(address: str, viewers: int, fetched: "Synchronized[int]") -> None:
    """Watch the page as so many browsers do, until this process is killed."""
    os.nice(19)
    place = urlsplit(address).netloc
    threads = [threading.Thread(target=_view, args=(place, fetched)) for _ in range(viewers)]
    for thread in threads:
        thread.start()


def _view(place: str, fetched: "Synchronized[int]") -> None:
    events = http.client.HTTPConnection(place, timeout=30)
    pictures = http.client.HTTPConnection(place, timeout=30)
    events.request("GET", "/api/events")
    answer = events.getresponse()
    while line := answer.readline():
        for camera, each in json.loads(line)["pictures"].items():
            for kind in ("jpg", "png"):
                pictures.request("GET", f"/api/cameras/{quote(camera)}/{each['number']}.{kind}")
                pictures.getresponse().read()
            with fetched.get_lock():
                fetched.value += 1


def _cost(found: dict[bool, list[NDArray[np.float64]]], pictures: int, load: tuple[float, float]) -> Cost:
    pairs = len(found[True])
    random_pairs = np.random.default_rng(0).integers(0, pairs, (RESAMPLES, pairs))
    ratios = np.array(
        [_ratios([found[False][at] for at in each], [found[True][at] for at in each]) for each in random_pairs]
    )
    intervals = np.quantile(ratios, (0.025, 0.975), axis=0)
    without, watched = (np.concatenate(found[kind]) for kind in (False, True))
    p50, p99 = _ratios(found[False], found[True])
    low, high = intervals
    return Cost(
        pairs=pairs,
        frames_without=len(without),
        frames_with=len(watched),
        without_p50_ms=float(np.quantile(without, 0.5)),
        without_p99_ms=float(np.quantile(without, 0.99)),
        with_p50_ms=float(np.quantile(watched, 0.5)),
        with_p99_ms=float(np.quantile(watched, 0.99)),
        p50_ratio=p50,
        p50_interval=(float(low[0]), float(high[0])),
        p99_ratio=p99,
        p99_interval=(float(low[1]), float(high[1])),
        pictures=pictures,
        load=load,
    )


def _ratios(without: list[NDArray[np.float64]], watched: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Of medians, and of 99th percentiles."""
    both = np.concatenate(without), np.concatenate(watched)
    (without_p50, without_p99), (watched_p50, watched_p99) = (np.quantile(each, (0.5, 0.99)) for each in both)
    return float(watched_p50 / without_p50), float(watched_p99 / without_p99)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog=cli.program("benchmarks.web.viewers"), description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=cli.positive, default=12, help="of blocks (12)")
    parser.add_argument("--seconds", type=cli.positive_number, default=12.0, help="of a block (12)")
    parser.add_argument("--rate", type=cli.positive_number, default=8.0, help="parts a second (8)")
    parser.add_argument("--threads", type=cli.positive, default=1, help="of the inference (1)")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    cost = measure(options.pairs, options.seconds, options.rate, options.threads)
    environment = describe_environment()
    print("\n".join([*cost.lines(), one_line(environment)]))
    if options.json:
        settings = {"rate": options.rate, "threads": options.threads, "seconds": options.seconds}
        document = {"environment": environment, "settings": {**settings, "viewers": VIEWERS}}
        document["cost"] = asdict(cost) | {"share_of_pictures": cost.share}
        write_atomically(options.json, json.dumps(document, indent=2).encode() + b"\n")


if __name__ == "__main__":
    cli.run(main)
