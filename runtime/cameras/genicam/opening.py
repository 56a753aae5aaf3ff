"""A camera with a GenICam description as a source: free running, or one frame for each trigger."""

from typing import Protocol

from runtime.cameras.base import HARDWARE, Source
from runtime.cameras.driver.hosted import Driver
from runtime.cameras.genicam.capture import Trigger
from runtime.cameras.live import LiveSource
from runtime.cameras.triggered import TriggeredSource
from runtime.errors import InputError


class DriverOf(Protocol):
    """What knows how to open a kind of camera in a process of its own."""

    def __call__(self, uri: str, settings: dict[str, str] | None = None, trigger: Trigger | None = None) -> Driver:
        """The driver of the camera that `uri` names; `trigger` is what the camera waits for."""


def open_by(
    driver_of: DriverOf,
    uri: str,
    reconnect_limit: int | None = None,
    wait: bool = False,
    accept_size_change: bool = False,
    settings: dict[str, str] | None = None,
    trigger: str | None = None,
    deadline_s: float | None = None,
) -> Source:
    """The camera that `uri` names. Raises `SourceError` when it cannot be opened.

    By a trigger ``software`` or ``external`` this program has it take a picture, by ``hardware`` its own input does.
    """
    if trigger is None:
        driver = driver_of(uri, settings)
        return LiveSource(
            driver.name,
            driver.open,
            reconnect_limit,
            wait=wait,
            accept_size_change=accept_size_change,
            interrupt=driver.interrupt,
        )
    if accept_size_change:
        raise InputError("a triggered camera keeps to the size of its first picture; leave accept_size_change out")
    driver = driver_of(uri, settings, "hardware" if trigger == HARDWARE else "software")
    return TriggeredSource(driver.name, driver.open, trigger, deadline_s, reconnect_limit, wait=wait)
