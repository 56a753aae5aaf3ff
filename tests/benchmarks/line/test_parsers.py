"""The parsers that face a socket or a file: what a search found is given to them again, and a search finds a fault."""

import json
import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.line.fuzz_parsers import NAMES, Fault, Searched, _note, main, read_corpus, search
from benchmarks.line.parsers import BY_NAME, PARSERS, Parser
from runtime.errors import InputError

pytestmark = pytest.mark.peer

CORPUS = Path(__file__).parent / "corpus"


def test_all_parsers_have_a_corpus_of_some_kilobytes() -> None:
    assert tuple(BY_NAME) == NAMES
    assert sorted(path.stem for path in CORPUS.iterdir()) == sorted(NAMES)
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < 200_000


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_what_a_search_found_makes_no_parser_fail(parser: Parser, tmp_path: Path) -> None:
    inputs = [*parser.seeds(), *read_corpus(CORPUS / f"{parser.name}.txt")]
    assert len(inputs) > 10
    logging.disable(logging.CRITICAL)
    try:
        with ExitStack() as opened:
            parse = parser.open(tmp_path, opened)
            for data in inputs:
                parse(data)
    finally:
        logging.disable(logging.NOTSET)


def test_a_search_tells_what_it_did_keeps_what_it_found_and_ends_at_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("atheris", reason="SEARCHES ARE NOT TESTED here: pip install 'proctor[fuzz]'")
    found = search("seal", 500, tmp_path)
    assert (found.inputs, found.what) == (500, BY_NAME["seal"].what)
    assert found.branches > 20
    assert len(read_corpus(tmp_path / "seal.txt")) > 5
    monkeypatch.setattr("benchmarks.line.fuzz_parsers.MOST_MIB", 1)
    with pytest.raises(Fault, match="seal fails with status"):
        search("seal", 2_000_000, None)  # libFuzzer looks at its memory once a second


def test_figures_of_one_search_are_added_to_those_before(tmp_path: Path) -> None:
    found, path = Searched("words", 100, 2.0, 80, 50), tmp_path / "found.json"
    for name in ("seal", "socket", "seal"):
        _note(path, name, replace(found, peak_mib=70 if path.exists() else 90), {"machine": "a"})
    rows = json.loads(path.read_text())["parsers"]
    assert list(rows) == ["socket", "seal"]
    assert (rows["seal"]["inputs"], rows["seal"]["seconds"], rows["seal"]["peak_mib"]) == (200, 4.0, 90)
    assert rows["socket"]["inputs"] == 100


def test_a_parser_that_is_not_there_is_said() -> None:
    with pytest.raises(InputError, match="there is no parser none; known are socket, client"):
        main(["none"])
