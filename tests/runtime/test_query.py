"""Options behind an address: each once, and none unseen."""

import pytest

from runtime.errors import InputError
from runtime.query import with_options


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("records", ("records", {})),
        ("records?days=3", ("records", {"days": "3"})),
        ("a b?days=3&bytes=2%20GB", ("a b", {"days": "3", "bytes": "2 GB"})),
        ("plc:502?days=", ("plc:502", {"days": ""})),
        ("?days=1", ("", {"days": "1"})),
    ],
)
def test_a_place_and_its_options(text: str, found: tuple[str, dict[str, str]]) -> None:
    assert with_options("--records", text, ("days", "bytes"), "expected a folder") == found


@pytest.mark.parametrize("text", ["records?", "records?day=3", "records?days=3&days=4", "records?days=3&x", "a?b"])
def test_an_option_that_would_be_ignored_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--records is .*; expected a folder"):
        with_options("--records", text, ("days", "bytes"), "expected a folder")
