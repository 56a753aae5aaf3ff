"""TensorRT's own messages: its warnings go to the log, its last errors into ours."""

import functools
import logging
from typing import Any

log = logging.getLogger("proctor.tensorrt")

ERRORS_KEPT = 3


def open_logger(trt: Any) -> Any:
    """The process's logger for TensorRT's objects, its errors forgotten.

    TensorRT keeps the first that it is given for all of its objects, so there is one, and it is never freed.
    """
    logger = _logger(trt)
    logger.errors = []
    return logger


@functools.cache
def _logger(trt: Any) -> Any:

    class Messages(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.errors = [*self.errors, message.strip()][-ERRORS_KEPT:]
                log.info("TensorRT: %s", message.strip())  # what it led to is raised, with these words in it
            elif severity == trt.ILogger.Severity.WARNING:
                log.warning("TensorRT: %s", message.strip())

    return Messages()


def reason(logger: Any) -> str:
    """What TensorRT said last, for a sentence of ours."""
    return "; ".join(logger.errors) if logger.errors else "it gave no reason"
