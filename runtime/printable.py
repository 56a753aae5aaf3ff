"""Text from outside, such as a file's name, as it may be shown: on one line, and as what it is."""

import logging
import unicodedata

LONGEST_STEM = 120  # bytes; most file systems take 255 for a whole name


def printable(text: str) -> str:
    """The text with every character escaped that is none to be seen, as in ``a\\nb`` or ``\\x1b[31m``.

    Such are line breaks, escape codes, marks that turn the direction of writing, and bytes that are no text. In the
    name of a file they could make up a line of a log that nobody wrote. Backslashes stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or unicodedata.category(each) == "Zs" else _escaped(each) for each in text
    )


def file_stem(text: str) -> str:
    """The text as part of a file's name: letters, digits, ``.``, ``-`` and ``_`` in place of all else, 120 bytes."""
    safe = "".join(each if each.isalnum() or each in "._-" else "_" for each in text)
    return safe.encode()[:LONGEST_STEM].decode(errors="ignore")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


class OneLine(logging.Formatter):
    """Each message on one line; a traceback below it keeps its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        return printable(super().formatMessage(record))


def log_on_one_line() -> None:
    """Let what is logged keep to its line where nobody has set logging up; a traceback below it keeps its own."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(OneLine())
