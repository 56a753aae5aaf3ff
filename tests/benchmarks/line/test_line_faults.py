"""What breaks on a line, each made once: what the part gets, what is counted, and that the line goes on."""

import json
from pathlib import Path

import pytest

from benchmarks.line.faults import FAULTS, Fault, main

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[3]
# what the controller is told of the parts that meet the fault, and the counters that tell of it
EXPECTED: dict[str, tuple[tuple[str, ...], dict[str, int]]] = {
    "engine error": (("NO_DECISION ENGINE",), {"missed": 0, "too_late": 0}),
    "deadline missed": (("NO_DECISION LATE",), {}),
    "frozen frame": (("OK NONE", "NO_DECISION JUDGED", "OK NONE"), {"missed": 0}),
    "camera gone": (("NO_DECISION NO_FRAME",), {"missed": 0}),
    "client dead": (("no result",), {"missed": 0}),
    "disk full": (("NG JUDGED", "OK NONE"), {"records_behind": 20, "records": 21}),
    "killed": (("no result",), {"acquisition_id": 1, "missed": 0}),
    "clock": (("NG JUDGED", "OK NONE"), {"records": 7}),
    "PLC gone, a client": (("NO_DECISION LATE",), {"missed": 0}),
    "PLC gone, a server": (("NO_DECISION LATE",), {"missed": 0}),
    "S7 gone": (("NO_DECISION LATE",), {"missed": 0}),
    "OPC UA client dead": (("no result",), {"missed": 0}),
    "killed amid a pulse": (("PASS, cut short",), {"active": 0}),
    # the first part's, and the newest ten of those that came meanwhile
    "broker gone": (("NG JUDGED", "OK NONE"), {"arrived": 11, "missing": 7}),
    "broker of commands gone": (("OK NONE", "OK NONE"), {"missed": 0}),
    "receiver gone": (("NG JUDGED", "OK NONE"), {"arrived": 18, "missing": 0}),
    "Triton gone": (("NO_DECISION ENGINE", "REFUSED HELD"), {"too_late": 0}),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_part_gets_no_pass_and_the_line_goes_on(fault: Fault, tmp_path: Path) -> None:
    seen = fault.make(tmp_path)
    parts, counters = EXPECTED[fault.name]
    # a camera that is found to be gone after its part's deadline
    assert seen.parts == parts or (fault.name == "camera gone" and seen.parts == ("NO_DECISION LATE",))
    assert {name: seen.counters[name] for name in counters} == counters
    assert fault.name != "deadline missed" or seen.counters["too_late"] >= 1  # one more for each that met the hang
    assert fault.name != "broker gone" or seen.counters["dropped"] >= seen.counters["missing"]
    assert seen.recovery_s > 0


def test_every_fault_is_expected_and_one_that_cannot_be_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(EXPECTED) == [fault.name for fault in FAULTS]
    monkeypatch.setenv("PATH", str(tmp_path))
    main(["camera gone", "--json", str(tmp_path / "faults.json")])
    document = json.loads((tmp_path / "faults.json").read_text())
    assert "there is no arv-fake-gv-camera-0.8; " in document["faults"]["camera gone"]["not_made"]
    assert "NOT MADE" in capsys.readouterr().out


def test_the_page_has_the_times_of_the_results() -> None:
    page = (ROOT / "runtime" / "line" / "README.md").read_text()
    table = page.partition("## What breaks")[2].partition("\n## ")[0]
    faults = json.loads((ROOT / "benchmarks" / "results" / "line-faults.json").read_text())["faults"]
    assert list(faults) == list(EXPECTED)
    for name, row in faults.items():
        seconds = row["recovery_s"]
        assert f"{seconds:.3f} s" in table or f"{seconds:.1f} s" in table, name
        assert tuple(row["parts"]) == EXPECTED[name][0]
