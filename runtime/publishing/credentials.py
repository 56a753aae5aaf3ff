"""Secrets from files: nothing of them is ever in a message or a log."""

from pathlib import Path

from runtime.errors import InputError

LONGEST_SECRET = 4_096  # bytes


def read_secret(what: str, path: Path) -> str:
    """The one line of a file. Raises `InputError`, which does not show it, where there is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the {what} cannot be read from {path} ({error.strerror}); check the path") from error
    try:
        text = data[: LONGEST_SECRET + 1].decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} holds bytes that are no UTF-8; expected the {what} on one line") from error
    if not text or len(data) > LONGEST_SECRET or "\n" in text or "\0" in text:
        raise InputError(
            f"{path} does not hold one line of text; expected the {what}, {LONGEST_SECRET:,} bytes at most"
        )
    return text
