"""TLS of clients and servers: from 1.2 on, and never a question for a key's password on the terminal."""

import ssl
from pathlib import Path

from runtime.errors import InputError


def client_context(ca: Path | None, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """For a client that checks whom it talks to: by the file `ca`, or by what the system trusts; with a certificate of
    its own where one is given. Raises `InputError` for files that cannot be used."""
    if (certificate is None) != (key is None):
        raise InputError("a client certificate and its key belong together; give both, certificate and key, or none")
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"{ca} holds no certificates in PEM form that could be trusted ({error})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None and key is not None:
        _load(context, certificate, key)
    return context


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For a server. Raises `InputError` for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate, key)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # without a password, which OpenSSL would ask for on the terminal
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"certificate {certificate} and key {key} cannot be used ({error}); give both as PEM files, the key "
            "without a password"
        ) from error
