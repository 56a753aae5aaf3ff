"""Text that came with a file or over a network, made fit for a terminal and a log line."""


def escaped(text: str) -> str:
    r"""`text` with every character that does not print as an escape: a line feed as ``\n``, an escape as ``\x1b``.

    Control characters, separators of lines, and marks that turn the direction of what follows are such. So no text can
    pass for a line of its own, colour a terminal or hide a part of itself.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
