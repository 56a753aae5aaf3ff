"""The long run of a camera in free run, short: a real driver in a process of its own."""

import json
from pathlib import Path

import pytest

from benchmarks.stream import free_run
from runtime.errors import InputError


def test_a_short_run_is_read_a_hundred_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pypylon", reason="A LONG RUN OF A CAMERA IS NOT TESTED here: pip install pypylon")
    monkeypatch.setenv("PYLON_CAMEMU", "1")
    out = tmp_path / "run.json"
    monkeypatch.setattr(
        "sys.argv", ["x", "--minutes", "0.1", "--fps", "20", "--json", str(out), "--plot", str(tmp_path / "run.svg")]
    )
    free_run.main()
    document = json.loads(out.read_text())
    assert document["summary"]["frames"] == 120
    assert len(document["seen"]["memory"]["frames"]) == 120
    assert document["seen"]["overall_p50_ms"] > 0
    assert min(document["seen"]["memory"]["resident_mib"]) > 60  # the driver's process among it
    assert (tmp_path / "run.svg").stat().st_size > 1_000


def test_a_run_too_short_to_see_a_trend_is_refused() -> None:
    with pytest.raises(InputError, match="to see a trend"):
        free_run.soak("demo", {}, 10)
