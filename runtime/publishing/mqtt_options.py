"""What ``--mqtt`` asks for."""

from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

from runtime.bounds import check_between
from runtime.errors import InputError
from runtime.line.address import Address, parse_address
from runtime.publishing.credentials import read_secret
from runtime.publishing.outbox import MOST_QUEUED, QUEUE
from runtime.publishing.place import Place
from runtime.tls import client_context

PORT, TLS_PORT = 1883, 8883
PERIOD_MS = 1_000.0
COMMAND_AGE_MS = 2_000.0
VERSIONS = ("5", "3.1.1")
NAMES = (
    "site", "line", "station", "user", "password_file", "tls", "ca", "certificate", "key", "commands", "queue",
    "period_ms", "command_age_ms", "version",
)  # fmt: skip
EXAMPLE = "broker:1883?site=north&line=3&station=cap"


@dataclass(frozen=True)
class MqttOptions:
    """A broker, and how to talk to it."""

    host: str
    port: int
    place: Place
    user: str | None = None
    password: str | None = None
    tls: SSLContext | None = None
    commands: bool = False
    queue: int = QUEUE
    period_s: float = PERIOD_MS / 1e3  # of status and registers
    command_age_ms: float = COMMAND_AGE_MS  # older ones are refused, and those of the future
    version: str = "5"  # of MQTT

    def __repr__(self) -> str:
        return f"MqttOptions({self.host}:{self.port}, {self.place.path})"


def mqtt_options(asked: str) -> MqttOptions:
    """``HOST:PORT?site=…&line=…&station=…&…``. Raises `InputError` for what cannot be used."""
    if "@" in asked.partition("?")[0]:
        raise InputError("--mqtt takes no user or password before the host; give user=NAME and password_file=FILE")
    address = parse_address("mqtt", asked, 0, NAMES)
    files = {name: address.take(name, Path, None) for name in ("ca", "certificate", "key")}
    wants_tls = address.flag("tls", default=any(files.values()))
    if any(files.values()) and not wants_tls:
        raise InputError("--mqtt has certificates and tls=no; leave one of them out")
    user, password = _login(address)
    period_ms = address.take("period_ms", float, PERIOD_MS)
    check_between("period_ms of --mqtt", period_ms, 10, 60_000)
    command_age_ms = address.take("command_age_ms", float, COMMAND_AGE_MS)
    check_between("command_age_ms of --mqtt", command_age_ms, 1, 60_000)
    queue = address.take("queue", int, QUEUE)
    check_between("queue of --mqtt", queue, 1, MOST_QUEUED)
    version = address.options.get("version", "5")
    if version not in VERSIONS:
        raise InputError(f"version of --mqtt is {version!r}; expected {' or '.join(VERSIONS)}")
    return MqttOptions(
        address.host,
        address.port or (TLS_PORT if wants_tls else PORT),
        place_of("mqtt", address.options, EXAMPLE),
        user,
        password,
        client_context(files["ca"], files["certificate"], files["key"]) if wants_tls else None,
        address.flag("commands"),
        queue,
        period_ms / 1e3,
        command_age_ms,
        version,
    )


def place_of(option: str, options: dict[str, str], example: str) -> Place:
    """The names of the station. Raises `InputError` where one is missing or cannot be."""
    missing = [name for name in ("site", "line", "station") if name not in options]
    if missing:
        raise InputError(f"--{option} does not say {' and '.join(missing)}; as in {example}")
    return Place(options["site"], options["line"], options["station"])


def _login(address: Address) -> tuple[str | None, str | None]:
    user, file = address.options.get("user"), address.options.get("password_file")
    if user is None and file is not None:
        raise InputError("--mqtt has a password_file and no user; give user=NAME, too")
    if user is not None and not user:
        raise InputError("the user of --mqtt is empty; give a name, or leave it out")
    return user, None if file is None else read_secret("password of --mqtt", Path(file))
