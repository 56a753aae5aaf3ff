"""``python -m benchmarks.throughput.served``: a detector on a Triton server beside the same detector here.

    python -m benchmarks.throughput.served detector.onnx triton://HOST:8001/MODEL [--clients 1 2 4 8] [--json FILE]

Both give the same scores, to the tolerance of the detector's precision, or nothing is timed. Then they take turns: the
engine here, and so many clients of the server at once, each with a connection of its own and as many frames under way
as its address says. Only ratios count: where server and clients share a machine, they share its cores, too, and beside
other work a second process gets a larger share of them. The processor's time that a frame takes here hardly depends on
that.
"""

import argparse
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.documents import write_document
from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option, add_threads_option
from benchmarks.throughput.timing import Percentiles
from runtime import cli
from runtime.choice.engines import MOST_COMPARED
from runtime.detector import Detector
from runtime.detector_file import frames_to_compare
from runtime.engine_options import some_location
from runtime.engines.base import Engine
from runtime.errors import EngineError, InputError, ParityError
from runtime.location import Address
from runtime.machine import available_cores
from runtime.parity import Agreement, Scored, agreement_of

LOCAL = 0  # clients: the engine here


@dataclass(frozen=True)
class Row:
    """So many callers at once; frames a second over those of the engine here, and the time that one frame takes."""

    clients: int  # 0: the engine here
    frames: int  # of all turns and clients
    failed: int
    ratio: float  # of frames a second, median over the turns
    lowest: float
    highest: float
    latency: Percentiles  # over the median of the engine here
    processor: float  # time of this process's cores for a frame, over that of the engine here: what a station spends
    frames_per_second: float  # median over the turns


@dataclass(frozen=True)
class Turn:
    """One caller or more, for some seconds."""

    per_second: float
    latencies_s: NDArray[np.float64]
    failed: int
    processor_s: float  # of all cores, in this process


def turn(engines: Sequence[Engine], frames: NDArray[np.uint8], seconds: float) -> Turn:
    """Keep every engine's slots filled for `seconds`, each from a thread of its own."""
    results: list[tuple[list[float], int]] = []
    threads = [
        threading.Thread(target=lambda each=each: results.append(_feed(each, frames, seconds))) for each in engines
    ]
    start, spent = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken, spent = time.perf_counter() - start, time.process_time() - spent
    latencies = np.array([each for found, _ in results for each in found])
    return Turn(len(latencies) / taken, latencies, sum(failed for _, failed in results), spent)


def _feed(engine: Engine, frames: NDArray[np.uint8], seconds: float) -> tuple[list[float], int]:
    """Seconds from submit to result of each frame that was computed, and how many were not."""
    pending: deque[tuple[int, float]] = deque()
    latencies, failed, index = list[float](), 0, 0
    end = time.perf_counter() + seconds
    while pending or time.perf_counter() < end:
        while len(pending) < engine.slots and time.perf_counter() < end:
            pending.append((engine.submit(frames[index % len(frames)][None]), time.perf_counter()))
            index += 1
        if not pending:
            break
        ticket, sent = pending.popleft()
        try:
            engine.result(ticket)
            latencies.append(time.perf_counter() - sent)
        except EngineError:
            failed += 1
    return latencies, failed


def rows_of(turns: dict[int, list[Turn]]) -> list[Row]:
    """What the turns of each number of clients come to."""
    here = [each.per_second for each in turns[LOCAL]]
    median_s = float(np.median(np.concatenate([each.latencies_s for each in turns[LOCAL]])))
    spent_s = _processor_s(turns[LOCAL])
    rows = []
    for clients, taken in turns.items():
        ratios = [each.per_second / reference for each, reference in zip(taken, here, strict=True)]
        latencies = np.concatenate([each.latencies_s for each in taken])
        rows.append(
            Row(
                clients,
                len(latencies),
                sum(each.failed for each in taken),
                float(np.median(ratios)),
                min(ratios),
                max(ratios),
                Percentiles.of(latencies / median_s),
                _processor_s(taken) / spent_s,
                float(np.median([each.per_second for each in taken])),
            )
        )
    return rows


def _processor_s(turns: list[Turn]) -> float:
    """Of a frame."""
    return sum(each.processor_s for each in turns) / sum(len(each.latencies_s) for each in turns)


def compared(detector: Detector, served: Detector, frames: NDArray[np.uint8]) -> Agreement:
    """Whether both compute the same. Raises `InputError` for two detectors, `ParityError` where they do not agree."""
    recipe = detector.recipe
    if served.recipe.sha256 != recipe.sha256:
        raise InputError(
            f"the server has the recipe {served.recipe.sha256[:12]}, the file {recipe.sha256[:12]}; serve the file"
        )
    found = agreement_of(served.engine, recipe, frames, Scored.by(detector.engine, frames))
    if (problem := found.problem("the served detector", "the one here")) is not None:
        raise ParityError(f"{problem}; nothing was timed")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    if not isinstance(options.address, Address):
        raise InputError(f"{options.address} is no address of a served detector; expected triton://HOST:PORT/MODEL")
    threads = options.threads or available_cores()
    with ExitStack() as stack:
        local = stack.enter_context(Detector.open(options.detector, engine="onnxruntime", threads=threads))
        served = [stack.enter_context(Detector.open(str(options.address))) for _ in range(max(options.clients))]
        frames = frames_to_compare(options.detector, local.recipe, MOST_COMPARED)
        found = compared(local, served[0], frames)
        print(found.describe())
        engines = {LOCAL: [local.engine]} | {
            count: [each.engine for each in served[:count]] for count in options.clients
        }
        turns: dict[int, list[Turn]] = {count: [] for count in engines}
        for _ in range(options.turns):
            for count, group in engines.items():
                turns[count].append(turn(group, frames, options.seconds))
        words = served[0].engine.description, local.engine.description
    rows = rows_of(turns)
    for row in rows:
        who = "here" if row.clients == LOCAL else f"{row.clients} clients"
        print(
            f"{who:10} {row.ratio:5.2f} of the frames a second ({row.lowest:.2f} to {row.highest:.2f}), a frame takes "
            f"{row.latency.p50:.2f} ({_tail(row.latency)}) and {row.processor:.3f} of the processor's time, "
            f"{row.frames} frames, {row.failed} failed"
        )
    load = os.getloadavg()[0]  # at the end: what else ran beside it
    environment = describe_environment() | {"threads": threads, "served": words[0], "here": words[1], "load": load}
    print(one_line(environment))
    if options.json:
        document = {"parity": asdict(found), "rows": [asdict(row) for row in rows], "environment": environment}
        write_document(options.json, document)


def _tail(latency: Percentiles) -> str:
    return f"longest {latency.max:.2f}" if latency.p99 is None else f"p99 {latency.p99:.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.throughput.served"),
        description="Time a served detector beside the same detector here.",
    )
    parser.add_argument("detector", type=cli.file, help="detector.onnx")
    parser.add_argument("address", type=some_location, help="triton://HOST:PORT/MODEL, of the same detector")
    clients_help = "at once, each with its own connection (%(default)s)"
    parser.add_argument("--clients", type=cli.positive, nargs="+", default=[1, 2, 4, 8], help=clients_help)
    parser.add_argument("--seconds", type=cli.positive_number, default=5.0, help="of each turn (%(default)s)")
    parser.add_argument("--turns", type=cli.positive, default=5, help="of each (%(default)s)")
    add_threads_option(parser)
    add_json_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)
