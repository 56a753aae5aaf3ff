"""``python -m runtime.records``: what a station recorded of a part, a time or a shift."""

import argparse
import sys
from datetime import datetime, time
from pathlib import Path

from runtime import cli
from runtime.line.results import Code
from runtime.outputs import delivering
from runtime.records.reading import Question, Records, in_words, write_csv

DECISIONS = ("OK", "NG", "NO_DECISION")


def main() -> None:
    arguments = _parser().parse_args()
    question = Question(
        part_id=arguments.part,
        serial=arguments.serial,
        batch=arguments.batch,
        decision=None if arguments.decision is None else Code[arguments.decision],
        since=None if arguments.since is None else arguments.since.timestamp(),
        until=None if arguments.until is None else arguments.until.timestamp(),
    )
    with Records(arguments.folder) as records, delivering():
        if arguments.shifts:
            _print_shifts(records, arguments.shifts, arguments.days)
        elif arguments.csv == "-":
            write_csv(records.find(question, arguments.limit), sys.stdout)
        elif arguments.csv or arguments.parquet:
            _export(records, question, arguments)
        else:
            _print(records, question, arguments.limit or 20)


def _print(records: Records, question: Question, limit: int) -> None:
    counts = records.counts(question)
    for record in records.find(question, limit):
        print("\n".join(in_words(record)))
    more = f", of which the newest {limit} are above" if counts.total() > limit else ""
    print(f"{counts.total():,} records ({', '.join(f'{counts[name]:,} {name}' for name in DECISIONS)}){more}")


def _print_shifts(records: Records, begins: list[time], days: int) -> None:
    for start, counts in records.by_shift(begins, days, datetime.now()):
        total = counts.total()
        rejected = f", {1 - counts['OK'] / total:.2%} rejected" if total else ""
        print(f"{start:%Y-%m-%d %H:%M}  {', '.join(f'{counts[name]:,} {name}' for name in DECISIONS)}{rejected}")


def _export(records: Records, question: Question, arguments: argparse.Namespace) -> None:
    found = records.find(question, arguments.limit)
    if arguments.parquet:
        from runtime.records.parquet import write_parquet  # PyArrow, an extra

        path = arguments.parquet
        count = write_parquet(found, path)
    else:
        path = Path(arguments.csv)
        with open(path, "w", encoding="utf-8", newline="") as out:
            count = write_csv(found, out)
    print(f"{path}: {count:,} records")


def _moment(text: str) -> datetime:
    """An argument type: ISO 8601; without a zone, local time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected 2026-05-31 or 2026-05-31T14:05") from error
    return moment if moment.tzinfo else moment.astimezone()


def _begins(text: str) -> list[time]:
    """An argument type: times of the day at which shifts begin."""
    try:
        return [time.fromisoformat(each) for each in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} names no shifts; expected as in 06:00,14:00,22:00") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=cli.program("runtime.records"), description="Look up what a station recorded, the newest first."
    )
    parser.add_argument("folder", type=cli.some_path, help="that --records of the stream was given")
    parser.add_argument("--part", metavar="ID", help="of this part")
    parser.add_argument("--serial", help="with this serial number")
    parser.add_argument("--batch", help="of this order or batch")
    parser.add_argument("--decision", choices=DECISIONS)
    parser.add_argument(
        "--since", type=_moment, metavar="TIME", help="decided then or later; local time without a zone"
    )
    parser.add_argument("--until", type=_moment, metavar="TIME", help="decided before")
    parser.add_argument("--limit", type=cli.positive, metavar="N", help="most records (20; of an export: all)")
    parser.add_argument("--csv", metavar="FILE", help="write them as CSV; - for stdout")
    parser.add_argument("--parquet", type=cli.some_path, metavar="FILE", help="write them as Parquet (extra: parquet)")
    shifts_help = "count by shifts that begin at these local times, as 06:00,14:00,22:00"
    parser.add_argument("--shifts", type=_begins, metavar="TIMES", help=shifts_help)
    parser.add_argument("--days", type=cli.positive, default=7, help="of --shifts (7)")
    return parser


if __name__ == "__main__":
    cli.run(main)
