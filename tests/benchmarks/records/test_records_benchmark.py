"""The records' benchmark, small."""

import json
from pathlib import Path

from benchmarks.records.__main__ import main


def test_it_measures_writes_finds_and_bounds(tmp_path: Path) -> None:
    main(["--count", "3000", "--bytes", "100kB", "--folder", str(tmp_path), "--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["lost"] == 0
    assert found["rows_per_second"] > 0
    assert 50 < found["bytes_per_row"] < 1_000
    assert found["bound_bytes"] == 100_000
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]
