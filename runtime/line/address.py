"""Where a protocol listens or connects, and its own options: ``HOST:PORT?name=value&…``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.errors import InputError
from runtime.query import with_options


@dataclass(frozen=True)
class Address:
    """What an option says: ``HOST:PORT?name=value&…``."""

    option: str
    host: str
    port: int
    options: dict[str, str]

    def take(self, name: str, convert: Callable[[str], Any], default: Any) -> Any:
        """An option, converted. Raises `InputError` where it cannot be."""
        if name not in self.options:
            return default
        try:
            return convert(self.options[name])
        except ValueError as error:
            raise InputError(f"{name} is {self.options[name]!r}; expected a number") from error

    def flag(self, name: str, default: bool = False) -> bool:
        """An option that is ``yes`` or ``no``. Raises `InputError` for anything else."""
        value = self.options.get(name)
        if value not in (None, "yes", "no"):
            raise InputError(f"{name} of --{self.option} is {value!r}; expected yes or no")
        return default if value is None else value == "yes"


def parse_address(option: str, text: str, default_port: int, known: tuple[str, ...]) -> Address:
    """Raises `InputError` for what is no address, and for options that are not `known`."""
    more = f", or as in HOST:PORT?{'&'.join(f'{name}=…' for name in known)}" if known else ""
    place, options = with_options(f"--{option}", text, known, f"expected HOST:PORT{more}")
    host, colon, port = place.rpartition(":")
    if not colon and place.isdecimal():
        raise InputError(f"--{option} is {text!r}, a port without a host; expected HOST:PORT, as in 127.0.0.1:{place}")
    if not colon:
        host, port = place, str(default_port)
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise InputError(f"--{option} is {text!r}; expected HOST:PORT{more}")
    return Address(option, host.strip("[]"), int(port), options)
