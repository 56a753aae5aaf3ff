"""Who may reach the line over OPC UA: certificates, users, and what is refused."""

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncua", reason="OPC UA IS NOT TESTED here: pip install 'proctor[opcua]'")

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from opcua_samples import PATIENCE_S, Served, run, served

from benchmarks.line.opcua_client import call
from runtime.errors import InputError
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.opcua.server import open_server
from runtime.passwords import hashed

SIGN, ENCRYPT = ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt
PASSWORD = "lüne 4 part"


def certified(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [
        x509.UniformResourceIdentifier(f"urn:test:{name}"),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / f"{name}.pem", folder / f"{name}.key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of a server and two clients, the folder of those that are trusted, and a file of users."""
    made = tmp_path_factory.mktemp("access")
    for name in ("server", "client", "stranger"):
        certified(made, name)
    (made / "trusted").mkdir()
    (made / "trusted" / "client.pem").write_bytes((made / "client.pem").read_bytes())
    (made / "users.yaml").write_text(f"anna: {hashed(PASSWORD)}\n")
    return made


@pytest.fixture(scope="module")
def line(folder: Path) -> Iterator[Served]:
    """A server with a certificate, users, and clients that are trusted."""
    options = (
        f"certificate={folder}/server.pem&key={folder}/server.key.pem&users={folder}/users.yaml&trust={folder}/trusted"
    )
    with served(f"?{options}") as made:
        yield made


async def passes(line: Served, folder: Path, who: str | None, mode: Any, user: str | None, password: str = "") -> bool:
    """Log in and trigger; whether that went well."""
    client = Client(line.url, timeout=PATIENCE_S)
    if who is not None:
        client.application_uri = f"urn:test:{who}"
        await client.set_security(
            SecurityPolicyBasic256Sha256, f"{folder}/{who}.pem", f"{folder}/{who}.key.pem", mode=mode,
            server_certificate=f"{folder}/server.pem",
        )  # fmt: skip
    if user is not None:
        client.set_user(user)
        client.set_password(password)
    async with client:
        answer = await call(client, "Trigger", 1, "", "", 0)
        return bool(answer["accepted"])


@pytest.mark.parametrize("mode", [SIGN, ENCRYPT])
def test_a_user_with_a_trusted_certificate_comes_in(line: Served, folder: Path, mode: Any) -> None:
    line.server._access.wrong.clear()
    assert run(passes(line, folder, "client", mode, "anna", PASSWORD))


@pytest.mark.parametrize(
    ("who", "user", "password", "said"),
    [
        ("client", "anna", "wrong", "BadUserAccessDenied"),
        ("client", "berta", PASSWORD, "BadUserAccessDenied"),
        ("client", None, "", "BadIdentityTokenRejected"),
        ("stranger", "anna", PASSWORD, "BadCertificateUntrusted"),
    ],
)
def test_whoever_may_not_come_in_is_refused(
    line: Served, folder: Path, who: str, user: str | None, password: str, said: str
) -> None:
    line.server._access.wrong.clear()
    with pytest.raises(ua.UaError, match=said):
        run(passes(line, folder, who, ENCRYPT, user, password))


def test_after_a_wrong_password_the_next_one_is_not_even_looked_at(
    line: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.line.opcua.access.AFTER_WRONG_S", 600.0)
    line.server._access.wrong.clear()
    for password in ("wrong", PASSWORD):
        with pytest.raises(ua.UaError, match="BadUserAccessDenied"):
            run(passes(line, folder, "client", ENCRYPT, "anna", password))


def test_nobody_logs_in_without_signature_where_there_is_a_certificate(
    line: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels without security are there, to ask for the endpoints; a session by one is refused."""

    async def program() -> list[Any]:
        client = Client(line.url, timeout=PATIENCE_S)
        client.set_user("anna")
        client.set_password(PASSWORD)
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            endpoints: list[Any] = await client.get_endpoints()
            await client.create_session()
            with pytest.raises(ua.UaError, match="BadSecurityPolicyRejected"):
                await client.activate_session("anna", PASSWORD)
        finally:
            client.disconnect_socket()
        return endpoints

    monkeypatch.setattr(Client, "find_endpoint", staticmethod(lambda endpoints, *_: endpoints[0]))  # it goes on, rudely
    line.server._access.wrong.clear()
    found = run(program())
    assert {(each.SecurityPolicyUri.rpartition("#")[2], each.SecurityMode) for each in found} == {
        ("Basic256Sha256", SIGN),
        ("Basic256Sha256", ENCRYPT),
    }
    assert {token.TokenType for each in found for token in each.UserIdentityTokens} == {ua.UserTokenType.UserName}
    assert {each.Server.ApplicationUri for each in found} == {"urn:test:server"}


def test_insecure_is_said_aloud(folder: Path) -> None:
    options = f"certificate={folder}/server.pem&key={folder}/server.key.pem&insecure=yes"
    with served(f"?{options}") as line:
        assert run(passes(line, folder, None, None, None))


def test_certificates_that_cannot_be_used_are_refused(folder: Path, tmp_path: Path) -> None:
    levels = Levels(Handshake(1.0))
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.pem").write_text("nothing")
    pair = f"certificate={folder}/server.pem&key={folder}/server.key.pem"
    for options, said in (
        (f"certificate={folder}/server.pem&key={folder}/client.key.pem", "is not the key of"),
        (f"certificate={folder}/server.pem&key={folder}/server.pem", "is no key"),
        (f"{pair}&trust={tmp_path}/empty", "has no certificates"),
        (f"{pair}&trust={broken}", "a file that is no certificate"),
    ):
        with pytest.raises(InputError, match=said):
            open_server(levels, f"127.0.0.1:0?{options}")
