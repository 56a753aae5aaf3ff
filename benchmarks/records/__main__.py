"""How fast verdicts are recorded, found by part, and how large they are.

::

    python -m benchmarks.records [--count 10000000] [--bytes 100MB] [--folder DIR] [--json FILE]

Writes so many records, one part in 100 a reject with a region, as fast as the store takes them, and looks parts up at
random meanwhile and afterwards. Then a tenth as many into a store that may take `--bytes`, to see
that it keeps to them under load. Beside it the same rows go through SQLite alone, `executemany` in the same batches:
the ratio is what the store costs. No picture is written.
"""

import argparse
import itertools
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.environment import describe_environment, one_line
from benchmarks.options import add_json_option
from runtime import cli
from runtime.atomic import write_atomically
from runtime.line.results import Code
from runtime.records.reading import Question, Records
from runtime.records.record import Record
from runtime.records.retention import Retention
from runtime.records.schema import opened
from runtime.records.store import BATCH_ROWS, FILE, MOST_WAITING, RecordStore
from runtime.sinks.records import parsed
from runtime.verdict import Region

LINE = 10  # parts a second of a fast line, for the ratio
LOOK_UPS = 1_000
BEGAN_NS = 1_700_000_000 * 10**9
REGION = json.dumps({"regions": [asdict(Region(212.0, (101.2, 88.4), (92, 80, 18, 17), (101, 88), 4.61))]})
GOOD = Record(0, "0", 0, 0, 15_000, Code.OK, 0.87, 2.43, None, None, "f" * 64)
BAD = replace(GOOD, decision=Code.NG, score=4.61, reason="score 4.610 above 2.430", details=REGION)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = _parser().parse_args(arguments)
    bound = parsed(f"x?bytes={options.bytes}")[1].bytes
    assert bound is not None
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        document = {
            "count": options.count,
            **_written(folder / "all", options.count),
            **_found(folder / "all", options.count),
            **_bounded(folder / "bounded", max(1, options.count // 10), bound),
            "environment": describe_environment(),
        }
    print(_report(document))
    if options.json:
        write_atomically(options.json, json.dumps(document, indent=1).encode())


def made(count: int) -> Iterator[Record]:
    """Records of a line, one a second."""
    for number in range(count):
        moment_ns = BEGAN_NS + number * 10**9
        kind = BAD if number % 100 == 99 else GOOD
        yield replace(kind, frame_id=number, part_id=f"P{number:010d}", decided_ns=moment_ns, captured_ns=moment_ns)


def _written(folder: Path, count: int) -> dict[str, float]:
    """The store's rate, beside SQLite's own on a hundredth of the rows, in turns."""
    store_s = plain_s = 0.0
    block = max(1, count // 100)
    rows = made(count)
    with RecordStore(folder) as store, closing(_plain(folder.with_name("plain"))) as plain:
        for _ in tqdm(range(0, count, block), "blocks written", disable=None):
            chunk = list(itertools.islice(rows, block))
            began_s = time.monotonic()
            _add(store, chunk)
            store_s += time.monotonic() - began_s
            began_s = time.monotonic()
            _insert(plain, chunk)
            plain_s += time.monotonic() - began_s
        lost = store.lost
    size = (folder / FILE).stat().st_size
    return {
        "rows_per_second": count / store_s,
        "times_a_line": count / store_s / LINE,
        "time_to_plain_sqlite": store_s / plain_s,
        "bytes_per_row": size / count,
        "lost": lost,
    }


def _add(store: RecordStore, chunk: list[Record]) -> None:
    for at, record in enumerate(chunk):
        if at % (MOST_WAITING // 4) == MOST_WAITING // 4 - 1:
            store.settle(600)
        store.add(record)
    store.settle(600)


def _plain(folder: Path) -> sqlite3.Connection:
    return opened(folder / FILE, writes=True)


def _insert(connection: sqlite3.Connection, chunk: list[Record]) -> None:
    for first in range(0, len(chunk), BATCH_ROWS):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO verdicts (session, frame_id, part_id, decided_ns, captured_ns, latency_us, decision, mode,"
            " score, threshold, reason, details) VALUES (1, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
            [
                (
                    each.frame_id, each.part_id, each.decided_ns, each.captured_ns, each.latency_us, each.decision,
                    each.score, each.threshold, each.reason, each.details,
                )
                for each in chunk[first : first + BATCH_ROWS]
            ],
        )  # fmt: skip
        connection.execute("COMMIT")


def _found(folder: Path, count: int) -> dict[str, float]:
    """How long a look-up by part takes, at rest and while somebody writes."""
    rng = random.Random(0)
    found: dict[str, float] = {}
    with Records(folder) as records:
        at_rest = [_look_up(records, rng.randrange(count)) for _ in range(LOOK_UPS)]
        found |= {f"look_up_ms_{name}": value for name, value in _quantiles(at_rest).items()}
        with RecordStore(folder) as store:
            under_load = []
            for number, record in enumerate(made(LOOK_UPS * 20)):
                store.add(replace(record, part_id=None))
                if number % 20 == 0:
                    under_load.append(_look_up(records, rng.randrange(count)))
        found |= {f"look_up_while_writing_ms_{name}": value for name, value in _quantiles(under_load).items()}
    return found


def _look_up(records: Records, number: int) -> float:
    began_s = time.perf_counter()
    (record,) = records.find(Question(part_id=f"P{number:010d}"))
    took_s = time.perf_counter() - began_s
    assert record["frame_id"] == number
    return took_s * 1e3


def _quantiles(values: list[float]) -> dict[str, float]:
    return {name: float(np.quantile(values, share)) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def _bounded(folder: Path, count: int, most: int) -> dict[str, float]:
    """The largest that a store of bounded bytes becomes while it is written to."""
    largest = 0
    with RecordStore(folder, Retention(bytes=most)) as store:
        for number, record in enumerate(made(count)):
            store.add(record)
            if number % (MOST_WAITING // 4) == 0:
                store.settle(600)
                largest = max(largest, (folder / FILE).stat().st_size)
    return {"bound_bytes": most, "largest_bytes": largest, "bounded_rows": count}


def _report(document: dict[str, object]) -> str:
    told = {name: value for name, value in document.items() if name != "environment"}
    lines = [f"{name.replace('_', ' '):<36} {value:>14,.2f}" for name, value in told.items()]
    environment = document["environment"]
    assert isinstance(environment, dict)
    return "\n".join([*lines, one_line(environment)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.records"), description="How fast verdicts are recorded and found."
    )
    parser.add_argument("--count", type=cli.positive, default=10_000_000, help="records (10000000)")
    parser.add_argument("--bytes", default="100MB", help="of the bounded store (100MB)")
    parser.add_argument("--folder", type=cli.some_path, help="on the disk to be measured (the temporary folder)")
    add_json_option(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)
