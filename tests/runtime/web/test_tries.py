"""The table of runtime/web/SECURITY.md is what the tests try, no more and no less."""

from pathlib import Path

import test_good_parts
import test_guard
import test_page_description
from tries import TRIES

PAGE = Path(__file__).parents[3] / "runtime" / "web" / "SECURITY.md"


def test_the_table_is_what_is_tried() -> None:
    head, *rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    assert head == "| what was tried | what the page answers | test |"
    tried = [
        each.row
        for module in (test_guard, test_good_parts, test_page_description)
        for each in TRIES
        if each.file == module.__name__
    ]
    assert len(tried) == len(TRIES)
    assert rows == ["|---|---|---|", *tried]
