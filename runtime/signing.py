"""Keys and signatures: an HMAC over a JSON document, by a key that lies in a file of its own."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from runtime.errors import InputError

SHORTEST_KEY = 16  # bytes


def signature(document: Mapping[str, object], key: bytes) -> str:
    """HMAC-SHA256 of a document as JSON with sorted keys and no white space."""
    return hmac.new(key, canonical(document), hashlib.sha256).hexdigest()


def is_signature(found: object, document: Mapping[str, object], key: bytes) -> bool:
    """Whether `found` is the document's signature."""
    if not isinstance(found, str):
        return False
    as_bytes = found.encode(errors="surrogatepass")  # JSON can hold what is no text
    return hmac.compare_digest(as_bytes, signature(document, key).encode())


def canonical(document: Mapping[str, object]) -> bytes:
    """A document as JSON with sorted keys and no white space: the same bytes for the same content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def read_key(path: Path | None) -> bytes | None:
    """The key in a file, without white space around it; None without a file. Raises `InputError`."""
    if path is None:
        return None
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise InputError(f"the key file {path} cannot be read ({error.strerror}); check the path") from error
    if len(key) < SHORTEST_KEY:
        raise InputError(
            f"the key in {path} has {len(key)} bytes, {SHORTEST_KEY} or more are needed; "
            "make one with: openssl rand -hex 32"
        )
    return key
