"""Who may reach an OPC UA server: what its address says, certificates, users, and the check of each session."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.crypto.truststore import TrustStore
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from runtime.errors import InputError
from runtime.line.address import parse_address
from runtime.passwords import Users, read_users

LOCALHOST, PORT = "127.0.0.1", 4840
KNOWN = ("control", "certificate", "key", "users", "trust", "anonymous", "insecure")
AFTER_WRONG_S = 1.0  # until the next password from the same address is looked at
MOST_WRONG = 1_000  # addresses that are remembered
RSA_BITS = 2048
SECURE = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt, ua.SecurityPolicyType.Basic256Sha256_Sign]


@dataclass(frozen=True)
class Access:
    """What the option's text says, read and checked."""

    host: str = LOCALHOST
    port: int = PORT
    control: bool = True
    certificate: x509.Certificate | None = None
    key: Any = None
    users: Users | None = None
    trust: TrustStore | None = None
    anonymous: bool = True
    insecure: bool = False  # also without signature and encryption, though there is a certificate
    wrong: dict[str, float] = field(default_factory=dict)  # when an address last gave a wrong password

    @property
    def policies(self) -> list[ua.SecurityPolicyType]:
        """Of the channels."""
        plain = [ua.SecurityPolicyType.NoSecurity] if self.certificate is None or self.insecure else []
        return plain + (SECURE if self.certificate is not None else [])

    @property
    def tokens(self) -> list[type]:
        """How a client may say who it is."""
        return [
            *([ua.AnonymousIdentityToken] if self.anonymous else []),
            *([ua.UserNameIdentityToken] if self.users is not None else []),
        ]

    @property
    def application(self) -> str:
        """The application's URI: that of the certificate, where it has one."""
        return (_uri(self.certificate) if self.certificate else None) or f"urn:{socket.gethostname()}:proctor:line"

    def check_channel(self, policy: Any) -> None:
        """Raises a fault of the service where nobody may log in by a channel of that policy and client certificate.

        Without a policy's signature a certificate is a claim.
        """
        if policy.Mode == ua.MessageSecurityMode.None_:
            if ua.SecurityPolicyType.NoSecurity not in self.policies:
                raise ServiceError(ua.StatusCodes.BadSecurityPolicyRejected)
        elif self.trust is not None and not self.trust.is_trusted(uacrypto.x509_from_der(policy.peer_certificate)):
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    def knows(self, name: str, password: str, address: str) -> bool:
        """Whether that is a user's password, given from that address. Takes tenths of a second."""
        if self.users is None or time.monotonic() - self.wrong.get(address, -AFTER_WRONG_S) < AFTER_WRONG_S:
            return False
        if self.users.knows(name, password):
            return True
        if len(self.wrong) >= MOST_WRONG:
            self.wrong.clear()
        self.wrong[address] = time.monotonic()
        return False

    def user(self, name: str | None, known: bool) -> User | None:
        """Who logs in, by a password that was `known`, or None who may not. Nobody may change nodes."""
        may = known if name is not None else self.anonymous
        return User(role=UserRole.User, name=name or "") if may else None


def access_of(asked: str) -> Access:
    """``HOST:PORT?…`` read and checked. Raises `InputError` for what cannot be, and for what would be open to all."""
    address = parse_address("opcua", asked, PORT, KNOWN)
    certificate, key = (address.take(name, Path, None) for name in ("certificate", "key"))
    users, trust = (address.take(name, Path, None) for name in ("users", "trust"))
    is_local, insecure = _is_local(address.host), address.flag("insecure")
    if (certificate is None) != (key is None):
        raise InputError("OPC UA takes a certificate and its key; give both, or none on this machine alone")
    if certificate is None and trust is not None:
        raise InputError(
            "trust is of the clients' certificates, which come with the server's; give certificate and key"
        )
    if certificate is None and not is_local and not insecure:
        raise InputError(
            f"{address.host} is reached from elsewhere; give certificate=FILE&key=FILE, or insecure=yes for a network "
            "where everybody may control the line"
        )
    pair = (None, None) if certificate is None or key is None else _pair(certificate, key)
    anonymous = address.flag("anonymous", is_local and users is None)
    if not anonymous and users is None:
        raise InputError("nobody could log in; give users=FILE, or anonymous=yes where everybody may")
    return Access(
        address.host,
        address.port,
        control=address.flag("control", True),
        certificate=pair[0],
        key=pair[1],
        users=None if users is None else read_users(users),
        trust=None if trust is None else _trusted(trust),
        anonymous=anonymous,
        insecure=insecure,
    )


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _read(path: Path, what: str, load: Callable[[bytes], Any]) -> Any:
    try:
        return load(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no {what} in PEM or DER form ({error})") from error


def _pair(certificate: Path, key: Path) -> tuple[x509.Certificate, Any]:
    """A certificate and its key. Raises `InputError` for two that are not RSA, or do not belong together."""
    read, read_key = _read(certificate, "certificate", _certificate), _read(key, "key", _key)
    if not isinstance(read_key, rsa.RSAPrivateKey) or read_key.key_size < RSA_BITS:
        raise InputError(f"{key} is no RSA key of {RSA_BITS} bits or more, which Basic256Sha256 takes")
    if read_key.public_key() != read.public_key():
        raise InputError(f"{key} is not the key of {certificate}; give the two that belong together")
    return read, read_key


def _certificate(data: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(data) if b"-----BEGIN" in data else x509.load_der_x509_certificate(data)


def _key(data: bytes) -> Any:
    load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
    return load(data, None)


def _trusted(folder: Path) -> TrustStore:
    """The certificates of a folder, of clients and of authorities. Raises `InputError` where there are none."""
    if not folder.is_dir() or not any(each.suffix in (".pem", ".der") for each in folder.iterdir()):
        raise InputError(f"{folder} has no certificates; expected a folder of *.pem and *.der files that are trusted")
    store = TrustStore([folder], [])
    try:
        asyncio.run(store.load_trust())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} has a file that is no certificate ({error})") from error
    return store


def _uri(certificate: x509.Certificate) -> str | None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), None)
