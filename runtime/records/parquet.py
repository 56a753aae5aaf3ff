"""Records as Parquet, for whoever evaluates years of them. Needs PyArrow, the extra ``parquet``."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from runtime.records.reading import COLUMNS

CHUNK = 10_000  # rows in memory at once
TYPES = {"id": "int64", "frame_id": "int64", "session": "int64", "synchronized": "bool_"} | dict.fromkeys(
    ("score", "threshold", "latency_ms"), "float64"
)
SCHEMA = pyarrow.schema([(name, getattr(pyarrow, TYPES.get(name, "string"))()) for name in COLUMNS])


def write_parquet(records: Iterator[dict[str, Any]], path: Path) -> int:
    """Write records, by `COLUMNS`, as one Parquet file; how many."""
    count = 0
    with pyarrow.parquet.ParquetWriter(path, SCHEMA) as writer:
        while chunk := list(itertools.islice(records, CHUNK)):
            writer.write_table(pyarrow.Table.from_pylist(chunk, SCHEMA))
            count += len(chunk)
    return count
