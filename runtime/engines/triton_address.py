"""``triton://HOST:PORT/MODEL?…``: which detector on which server, and how it is reached."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runtime.bounds import check_between
from runtime.errors import InputError
from runtime.location import Address
from runtime.query import options_in
from runtime.typed import build

PORT = 8001  # Triton's for gRPC
FORM = "triton://HOST:PORT/MODEL?version=…&recipe=…&timeout_s=…&slots=…&tls=…&ca=…&certificate=…&key=…"
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # a folder's name in the repository
LEAST_DIGITS = 12  # of a recipe's hash: no two detectors of a plant have them in common


@dataclass(frozen=True)
class TritonAddress:
    """What an address says."""

    host: str
    port: int
    model: str
    version: str = ""  # a number; "" for the one that the server's policy chooses
    recipe: str = ""  # the first digits of the hash of the recipe that is expected; "" for any
    timeout_s: float = 5.0  # of every call: after it a frame is given up, here and on the server
    slots: int = 2  # batches under way at once
    tls: bool = False
    ca: Path | None = None  # certificates, PEM, that the server's must come from; None: gRPC's own list
    certificate: Path | None = None  # PEM, of this client, where the server asks for one
    key: Path | None = None  # PEM, of that certificate

    def __post_init__(self) -> None:
        if not MODEL.fullmatch(self.model):
            raise InputError(f"the model is {self.model!r}; expected letters, digits, ., - and _")
        if not re.fullmatch(r"([1-9][0-9]{0,18})?", self.version):
            raise InputError(f"version is {self.version!r}; expected a number from 1 on")
        if not re.fullmatch(rf"([0-9a-f]{{{LEAST_DIGITS},64}})?", self.recipe):
            raise InputError(
                f"recipe is {self.recipe!r}; expected {LEAST_DIGITS} to 64 digits of a recipe's hash, as python -m "
                "export.triton prints it"
            )
        check_between("timeout_s", self.timeout_s, 0.01, 600)
        check_between("slots", self.slots, 1, 16)
        if (self.certificate is None) != (self.key is None):
            raise InputError("certificate and key belong together; give both or none")
        if not self.tls and (self.ca or self.certificate):
            raise InputError("ca, certificate and key are of TLS; leave out tls=no, or leave them out")

    @property
    def target(self) -> str:
        """``HOST:PORT``, as gRPC takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.model} at {self.target}"


OPTIONS = tuple(each.name for each in fields(TritonAddress) if each.name not in ("host", "port", "model"))


def parse_triton(address: Address) -> TritonAddress:
    """Raises `InputError` for what is no such address, after it."""
    try:
        parts = urlsplit(address.text)
        host, port = parts.hostname, PORT if parts.port is None else parts.port
    except ValueError as error:  # a port that is none, half an IPv6 address
        raise InputError(f"{address}: {error}; expected {FORM}") from error
    model = unquote(parts.path.strip("/"))
    if not host or not model or parts.fragment or "@" in parts.netloc or address.text.endswith("?"):
        raise InputError(f"the detector is {address}; expected {FORM}")
    options, wrong = options_in(parts.query, OPTIONS)
    if wrong:
        raise InputError(f"{address} has {wrong} among its options; expected {FORM}")
    secure = {"tls": "yes"} if {"ca", "certificate", "key"} & set(options) else {}
    try:
        return build(TritonAddress, {"host": host, "port": port, "model": model} | secure | options)
    except InputError as error:
        raise InputError(f"{address}: {error}") from error
