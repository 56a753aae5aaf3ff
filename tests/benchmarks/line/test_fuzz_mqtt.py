"""The fuzzer of MQTT commands, small: it counts and keeps what it tried, and notices a parser that takes too much."""

import json
from pathlib import Path

import pytest

from benchmarks.line import fuzz_mqtt
from runtime.errors import InputError
from runtime.publishing.commands import Command

ROOT = Path(__file__).parents[3]


def test_inputs_are_counted_and_one_of_each_outcome_is_kept(tmp_path: Path) -> None:
    corpus, results = tmp_path / "corpus", tmp_path / "results.json"
    fuzz_mqtt.main(["--inputs", "300", "--corpus", str(corpus), "--json", str(results)])
    document = json.loads(results.read_text())
    assert document["commands"] + document["refused"] == document["inputs"] == 300
    assert min(document["commands"], document["refused"]) > 30
    assert len(list(corpus.iterdir())) == document["outcomes"] > 15


def test_a_parser_that_takes_what_the_schema_does_not_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_mqtt, "command_of", lambda data: Command("1", "mode", 0, {}))
    with pytest.raises(InputError, match="the parser says True and the schema False"):
        fuzz_mqtt.measure(50, seed=0)


def test_the_page_has_the_figures_of_the_results() -> None:
    page = (ROOT / "runtime" / "publishing" / "README.md").read_text()
    found = json.loads((ROOT / "benchmarks" / "results" / "line-fuzz-mqtt.json").read_text())
    figures = f"Of {found['inputs']:,} inputs it took {found['commands']:,} and refused {found['refused']:,}"
    assert figures in page
    assert found["other_errors"] == 0
    assert f"the {found['outcomes']} outcomes" in page
    assert len(list((ROOT / "tests" / "runtime" / "publishing" / "commands").iterdir())) == found["outcomes"]
