"""The benchmarks of the line, small: they measure all servers, and their garbage leaves the server as it was."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.line import fuzz
from benchmarks.line.__main__ import SERVERS, RoundTrip, lines, main
from runtime.errors import InputError

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler; apt install gcc libc6-dev")
def test_all_servers_are_timed_with_the_same_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--parts", "20", "--size", "64x48", "--json", str(tmp_path / "line.json")])
    document = json.loads((tmp_path / "line.json").read_text())
    assert list(document["round_trips"]) == list(SERVERS)
    assert all(
        each["parts"] == 20 and 0 < each["p50_us"] <= each["p99_us"] for each in document["round_trips"].values()
    )
    assert "times the echo" in capsys.readouterr().out


def test_the_target_is_missed_by_either_figure() -> None:
    def of(p50_us: float, p99_us: float) -> str:
        echo, prepared = RoundTrip(1, 100.0, 200.0, 300.0), RoundTrip(1, 900.0, 900.0, 900.0)
        return lines({"echo": echo, "instant": RoundTrip(1, p50_us, p99_us, p99_us), "prepared": prepared})[-1]

    assert of(200, 500).startswith("instant: within")
    assert of(301, 500).startswith("instant: over")
    assert of(200, 601).startswith("instant: over")


def test_a_compiler_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="apt install gcc"):
        main(["--parts", "1"])


def test_garbage_for_a_moment() -> None:
    found = fuzz.measure(2, seed=1)
    assert isinstance(found["connections"], int)
    assert found["connections"] > 5
    assert isinstance(found["ends"], dict)
    assert {"MEMORY", "PROTOCOL"} <= set(found["ends"])


def test_the_page_has_the_figures_of_the_results() -> None:
    page = (ROOT / "runtime" / "line" / "README.md").read_text()
    found = json.loads((ROOT / "benchmarks" / "results" / "line.json").read_text())
    garbage = json.loads((ROOT / "benchmarks" / "results" / "line-fuzz.json").read_text())
    echo, instant, prepared = (found["round_trips"][kind] for kind in SERVERS)
    for figure in (
        f"{instant['p50_us'] / echo['p50_us']:.2f} times the echo's time",
        f"({instant['p50_us']:.0f} µs of {echo['p50_us']:.0f} µs)",
        f"{instant['p99_us'] / echo['p99_us']:.2f} times at p99",
        f"(load {found['load_at_the_start']})",
        f"make it {prepared['p50_us']:.0f} µs",
        f"{garbage['connections']} connections",
        f"{garbage['good_passes']} good controllers",
    ):
        assert figure in page
    assert {each["parts"] for each in found["round_trips"].values()} == {10_000}
