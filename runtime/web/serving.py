"""Where the page is served and to whom: what ``--serve`` says, checked before anything is opened."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from runtime.bounds import check_between
from runtime.errors import InputError
from runtime.line.address import parse_address
from runtime.recipes.store import RecipeStore, file_sha256
from runtime.signing import read_key
from runtime.tls import server_context
from runtime.web.users import read_users

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PORT = 8080
FILES = {"certificate", "key", "users", "token", "recipes", "recipes_key", "parts"}
EXPECTED = "expected PORT, HOST:PORT, or as in 0.0.0.0:8443?certificate=FILE&key=FILE&users=FILE"


@dataclass(frozen=True)
class Serving:
    """How the page is served. Plain values: they are sent to the page's process."""

    host: str
    port: int
    certificate: str | None = None  # PEM
    key: str | None = None  # PEM, of the certificate
    users: str | None = None  # YAML; None: everyone on this machine may look, and nobody may change anything
    token: str | None = None  # a file with the bearer token of /metrics
    hosts: str = ""  # names by which browsers reach the page, by comma, beside addresses
    viewers: int = 8  # that watch at once
    rejects: int = 40  # that the gallery shows
    site: str = ""
    line: str = ""
    station: str = ""
    recipes: str | None = None  # folder of sealed recipes, where a threshold is put in force
    recipes_key: str | None = None  # file with the key of signed recipes
    parts: str | None = None  # folder for pictures of good parts, and what is made of them
    thermal: str | None = None  # folder of thermal zones

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the page."""
        return self.host in LOOPBACK

    @property
    def is_encrypted(self) -> bool:
        """Whether it is served by TLS."""
        return self.certificate is not None

    @property
    def address(self) -> str:
        """For a browser's address line."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.is_encrypted else ''}://{host}:{self.port}/"

    @property
    def labels(self) -> dict[str, str]:
        """Of every metric."""
        return {"site": self.site, "line": self.line, "station": self.station}

    def store(self, hash_of: Callable[[Path], str] = file_sha256) -> RecipeStore | None:
        """The folder of sealed recipes, which hashes files by `hash_of`; None without. Raises `InputError` for a key
        file that cannot be read."""
        if self.recipes is None:
            return None
        key = read_key(None if self.recipes_key is None else Path(self.recipes_key))
        return RecipeStore(Path(self.recipes), key, hash_of)

    def tls(self) -> ssl.SSLContext | None:
        """The context of TLS 1.2 and above; None without. Raises `InputError` for files that are none."""
        if self.certificate is None or self.key is None:
            return None
        return server_context(Path(self.certificate), Path(self.key))


def parse_serving(text: str, thermal: Path | None = None) -> Serving:
    """``[HOST:]PORT?name=value&…``. Raises `InputError` for what cannot be used, and for a page that others could reach
    without TLS or a login."""
    place, mark, query = text.partition("?")
    if place.isdecimal():
        place = f"{LOOPBACK[0]}:{place}"
    known = tuple(each.name for each in fields(Serving) if each.name not in ("host", "port", "thermal"))
    try:
        address = parse_address("serve", f"{place}{mark}{query}", PORT, known)
    except InputError as error:
        raise InputError(f"{error}; {EXPECTED}") from error
    values: dict[str, Any] = dict(address.options)
    for name in FILES & set(values):
        values[name] = str(Path(values[name]).resolve())  # the page's process has another working folder
    for name in ("viewers", "rejects"):
        if name in values:
            values[name] = address.take(name, int, 0)
            check_between(f"{name} of --serve", values[name], 1, 1000)
    serving = Serving(address.host, address.port, **values, thermal=None if thermal is None else str(thermal.resolve()))
    _check(serving)
    return serving


def _check(serving: Serving) -> None:
    if (serving.certificate is None) != (serving.key is None):
        raise InputError("--serve needs certificate=FILE and key=FILE together, both PEM")
    if not serving.is_local and (not serving.is_encrypted or serving.users is None):
        raise InputError(
            f"--serve {serving.host} can be reached from other machines, which takes TLS and a login; give "
            "certificate=FILE, key=FILE and users=FILE, or serve on 127.0.0.1 alone"
        )
    serving.tls()
    if serving.users is not None:
        read_users(Path(serving.users))
    read_key(None if serving.token is None else Path(serving.token))
    read_key(None if serving.recipes_key is None else Path(serving.recipes_key))


def as_document(serving: Serving) -> dict[str, Any]:
    """Plain values, for the page's process."""
    return asdict(serving)


def from_document(document: Mapping[str, Any]) -> Serving:
    """The way back."""
    return Serving(**document)
