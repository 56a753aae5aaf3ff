"""What was recorded, asked: by part, by time, by shift; as rows or CSV."""

import csv
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from typing import IO, Any

from runtime.closing import Closing
from runtime.errors import InputError
from runtime.line.results import Code, Mode
from runtime.printable import printable
from runtime.records.images import FRAME
from runtime.records.marks import Mark
from runtime.records.record import storable
from runtime.records.schema import opened
from runtime.records.store import FILE

COLUMNS = (
    "id", "decided_at", "captured_at", "synchronized", "camera", "part_id", "serial", "batch", "decision", "mode",
    "score", "threshold", "reason", "latency_ms", "frame_id", "recipe", "session", "image", "thumbnail", "details",
    "mark", "marked_by",
)  # fmt: skip

_NAMED = """LEFT JOIN names AS cameras ON camera = cameras.id LEFT JOIN names AS recipes ON recipe = recipes.id
    LEFT JOIN names AS batches ON batch = batches.id"""
_MARKED = "verdicts.id IN (SELECT verdict FROM marks)"
_SELECT = f"""SELECT verdicts.id, decided_ns, captured_ns, synchronized, cameras.text, part_id, serial, batches.text,
    decision, mode, score, threshold, reason, latency_us, frame_id, recipes.text, session,
    (SELECT path FROM images WHERE verdict = verdicts.id AND kind = 0),
    (SELECT path FROM images WHERE verdict = verdicts.id AND kind = 1), details,
    (SELECT mark FROM marks WHERE verdict = verdicts.id ORDER BY marks.id DESC LIMIT 1),
    (SELECT by FROM marks WHERE verdict = verdicts.id ORDER BY marks.id DESC LIMIT 1)
    FROM verdicts {_NAMED}"""


@dataclass(frozen=True)
class Question:
    """Which records are asked for; what is None is not asked. Times are UTC seconds since 1970."""

    part_id: str | None = None
    serial: str | None = None
    batch: str | None = None
    decision: Code | None = None
    since: float | None = None  # decided at or after
    until: float | None = None  # decided before
    rejected: bool = False  # no OK
    marked: bool = False  # somebody said what they really were

    def where(self) -> tuple[str, list[object]]:
        """The condition in SQL, with its values."""
        asked = [
            ("part_id = ?", self.part_id),
            ("serial = ?", self.serial),
            ("batches.text = ?", self.batch),
            ("decision = ?", None if self.decision is None else int(self.decision)),
            ("decided_ns >= ?", None if self.since is None else round(self.since * 1e9)),
            ("decided_ns < ?", None if self.until is None else round(self.until * 1e9)),
        ]
        asked.append(("decision <> ?", int(Code.OK) if self.rejected else None))
        given = [
            (text, storable(value) if isinstance(value, str) else value) for text, value in asked if value is not None
        ]
        conditions = [text for text, _ in given] + ([_MARKED] if self.marked else [])
        return " AND ".join(conditions) or "1", [value for _, value in given]


class Records(Closing):
    """The records of a station, to be read while they are written. For one thread."""

    def __init__(self, folder: Path) -> None:
        """Raises `InputError` where there are none, or they cannot be read."""
        self.folder = folder
        self._connection = opened(folder / FILE, writes=False)

    def close(self) -> None:
        """See `Closing`."""
        self._connection.close()

    def find(self, question: Question, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Records by `COLUMNS`, the newest first."""
        where, values = question.where()
        ending = "" if limit is None else f" LIMIT {limit:d}"
        for row in self._execute(f"{_SELECT} WHERE {where} ORDER BY verdicts.id DESC{ending}", values):
            yield _as_dict(row)

    def picture_of(self, record: int) -> str | None:
        """Where a record's picture lies below the folder; None where there is none any more."""
        row = self._execute("SELECT path FROM images WHERE verdict = ? AND kind = ?", (record, FRAME)).fetchone()
        return None if row is None else str(row[0])

    def counts(self, question: Question) -> Counter[str]:
        """How many records there are of each decision."""
        where, values = question.where()
        rows = self._execute(
            f"SELECT decision, count(*) FROM verdicts {_NAMED} WHERE {where} GROUP BY decision",
            values,
        )
        return Counter({Code(decision).name: count for decision, count in rows})

    def by_shift(self, begins: Sequence[time], days: int, now: datetime) -> list[tuple[datetime, Counter[str]]]:
        """The counts of each shift of the last `days`, the newest first, by the local times at which shifts begin."""
        starts = sorted(
            datetime.combine((now - timedelta(days=back)).date(), begin).astimezone()
            for back in range(days + 1)
            for begin in begins
        )
        ends = [*starts[1:], now.astimezone() + timedelta(seconds=1)]
        found = [
            (start, self.counts(Question(since=start.timestamp(), until=end.timestamp())))
            for start, end in zip(starts, ends, strict=True)
            if start <= now.astimezone()
        ]
        return found[::-1]

    def _execute(self, sql: str, values: Sequence[object]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            raise InputError(f"the records in {self.folder} cannot be read ({error}); restore a copy") from error


def write_csv(records: Iterator[dict[str, Any]], out: IO[str]) -> int:
    """Write records as CSV with a line of names (RFC 4180); how many."""
    writer, count = csv.DictWriter(out, COLUMNS), 0
    writer.writeheader()
    for record in records:
        writer.writerow(record)
        count += 1
    return count


def _as_dict(row: Sequence[Any]) -> dict[str, Any]:
    found = dict(zip(COLUMNS, row, strict=True))
    for name in ("decided_at", "captured_at"):
        found[name] = _as_time(found[name])
    found["decision"], found["mode"] = Code(found["decision"]).name, Mode(found["mode"]).name
    found["synchronized"] = None if found["synchronized"] is None else bool(found["synchronized"])
    found["latency_ms"] = found["latency_ms"] / 1e3
    found["mark"] = Mark(found["mark"]).words if found["mark"] else None
    found["marked_by"] = found["marked_by"] if found["mark"] else None
    return found


def _as_time(nanoseconds: int) -> str:
    """ISO 8601, UTC, to the microsecond."""
    moment = datetime.fromtimestamp(nanoseconds // 10**9, timezone.utc)
    return moment.replace(microsecond=nanoseconds // 1_000 % 1_000_000).isoformat()


def in_words(record: dict[str, Any]) -> list[str]:
    """A record for a person. What a controller gave is shown as `printable` has it."""
    details = json.loads(record["details"] or "{}")
    who = ", ".join(
        f"{name} {record[key]}"
        for name, key in (("part", "part_id"), ("serial", "serial"), ("batch", "batch"), ("camera", "camera"))
        if record[key] is not None
    )
    trusted = {True: "", False: " (clock NOT synchronized)", None: ""}[record["synchronized"]]
    mode = "" if record["mode"] == Mode.RUN.name else f" {record['mode']}"
    lines = [
        f"{record['decided_at']}{trusted}  {record['decision']}{mode}  {who or 'frame ' + str(record['frame_id'])}"
    ]
    score = "nothing was scored" if record["score"] is None else f"score {record['score']:.3f}"
    lines.append(f"  {record['reason'] or score}; threshold {record['threshold']:.3f}, {record['latency_ms']:.1f} ms")
    lines += [
        f"  region of {region['area']:,.0f} pixels at x {region['peak_xy'][0]:.0f}, y {region['peak_xy'][1]:.0f}"
        + (f" in {' and '.join(region['within'])}" if "within" in region else "")
        for region in details.get("regions", [])[:5]
    ]
    if details.get("terms"):
        terms = "; ".join(f"{kind}: {value:.3g}" for kind, value in details["terms"].items())  # names have commas
        lines.append(f"  at its highest: {terms}")
    if record["mark"]:
        lines.append(f"  marked as {record['mark']} by {record['marked_by']}")
    lines += [f"  {kind} {record[kind]}" for kind in ("image", "thumbnail") if record[kind]]
    lines.append(f"  recipe {record['recipe'][:16]}…, record {record['id']} of session {record['session']}")
    return [printable(line) for line in lines]
