"""Text from elsewhere cannot forge a line or drive a terminal."""

import pytest

from runtime.escaped import escaped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("part 7, größer × 2", "part 7, größer × 2"),
        ("a\nOK", r"a\nOK"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\rb\tc\0", r"a\rb\tc\x00"),
        ("abc\u202egnp.exe", r"abc\u202egnp.exe"),
        ("line\u2028line\x85", r"line\u2028line\x85"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, expected: str) -> None:
    assert escaped(text) == expected
