"""The long run of triggers: each is counted, read a hundred times, and drawn."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.plots import save
from benchmarks.stream.triggers import soak
from benchmarks.stream.triggers_plot import draw
from runtime.errors import InputError


def test_a_short_run_is_read_a_hundred_times_and_drawn(tmp_path: Path) -> None:
    summary, seen = soak(200, 0.005)
    assert summary["frames"] == 200
    assert summary["drops"] == 0
    assert seen.memory.frames == tuple(range(2, 201, 2))
    assert all(mib > 10 for mib in seen.memory.resident_mib)
    assert 0 < seen.overall_p50_ms <= seen.overall_p99_ms <= seen.longest_ms
    document = json.loads(json.dumps({"seen": asdict(seen), "growth_mib_per_1000": 0.0}))
    save(draw(document), tmp_path / "soak.svg")
    assert (tmp_path / "soak.svg").stat().st_size > 1000


@pytest.mark.parametrize("document", [{"rows": []}, {"seen": []}, {"seen": {"memory": {"frames": 3}}}])
def test_a_result_of_another_benchmark_is_no_plot(document: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"this is no result of benchmarks\.stream\.triggers"):
        draw(document)


def test_too_few_triggers_are_refused() -> None:
    with pytest.raises(InputError, match="99 triggers would be sent; expected 100 or more"):
        soak(99, 0.001)
