"""What somebody tries against the page, beside the test that tries it: the table of runtime/web/SECURITY.md."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
class Try:
    """A row of the table."""

    what: str
    answer: str
    file: str
    test: str

    @property
    def row(self) -> str:
        """As Markdown."""
        return f"| {self.what} | {self.answer} | `{self.test}` |"


TRIES: list[Try] = []


def tried(what: str, answer: str) -> Callable[[Test], Test]:
    """Of a test: what it tries, and what the page answers."""

    def kept(test: Test) -> Test:
        TRIES.append(Try(what, answer, test.__module__, test.__name__))
        return test

    return kept
