"""Why something could not be measured, in one sentence."""

from runtime.errors import ProctorError


class TimeIsUp(BaseException):
    """The part is asked to end. No Exception: who turns those into errors of an engine must not take it for one."""


def sentence_of(error: BaseException) -> str:
    """Of an error: ours are sentences already; of others the type and the first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, ProctorError):
        return " ".join(lines)
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
