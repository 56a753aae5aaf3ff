"""Passwords that a service is reached with: a file of users, with a hash in the place of each password.

::

    anna: scrypt$32768$8$3$9vbn…$kQ3p…

``python -m runtime.passwords`` asks for a password and prints the hash that goes into such a file.
"""

import argparse
import base64
import binascii
import getpass
import hashlib
import hmac
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime import cli
from runtime.errors import InputError
from runtime.station.places import read_document

COST, BLOCKS, PARALLEL = 2**15, 8, 3  # of OWASP's password storage cheat sheet: 32 MiB
COSTS = [2**power for power in range(14, 18)]
SALT_BYTES, HASH_BYTES = 16, 32
LONGEST = 1024  # bytes of a password
MOST_MEMORY = 256 * 2**20
HOW_TO = "make one by python -m runtime.passwords"


@dataclass(frozen=True)
class PasswordHash:
    """What is kept of a password: scrypt (RFC 7914), with its salt and what it took to make it."""

    salt: bytes
    digest: bytes
    cost: int = COST
    blocks: int = BLOCKS
    parallel: int = PARALLEL

    def fits(self, password: str) -> bool:
        """Whether that is the password. Takes a tenth of a second of a core, and tens of MiB."""
        if len(password.encode(errors="surrogatepass")) > LONGEST:
            return False
        found = _scrypt(password, self.salt, self.cost, self.blocks, self.parallel)
        return hmac.compare_digest(found, self.digest)

    def __str__(self) -> str:
        numbers = (str(each) for each in (self.cost, self.blocks, self.parallel))
        return "$".join(["scrypt", *numbers, *(base64.b64encode(each).decode() for each in (self.salt, self.digest))])


NOBODYS = PasswordHash(secrets.token_bytes(SALT_BYTES), secrets.token_bytes(HASH_BYTES))  # of a user who is not there


def hashed(password: str) -> str:
    """A password's hash as files have it. Raises `InputError` for a password that cannot be used."""
    if not password or len(password.encode(errors="surrogatepass")) > LONGEST:
        raise InputError(f"the password has {len(password)} characters; expected 1 to {LONGEST} bytes")
    salt = secrets.token_bytes(SALT_BYTES)
    return str(PasswordHash(salt, _scrypt(password, salt, COST, BLOCKS, PARALLEL)))


def parse_hash(text: str, how_to: str = HOW_TO) -> PasswordHash:
    """The text of a hash. Raises `InputError` for what is none, or is cheaper or dearer than is taken."""
    kind, *rest = text.split("$")
    try:
        if kind != "scrypt":
            raise ValueError(kind)
        cost, blocks, parallel = (int(each) for each in rest[:3])
        salt, digest = (base64.b64decode(each, validate=True) for each in rest[3:])
        is_sound = cost in COSTS and 8 <= blocks <= 32 and 1 <= parallel <= 16 and 128 * blocks * cost < MOST_MEMORY
        if not is_sound or len(digest) != HASH_BYTES or len(salt) < SALT_BYTES:
            raise ValueError(text)
    except (ValueError, binascii.Error) as error:
        raise InputError(f"the password is no hash of this kind; {how_to}") from error
    return PasswordHash(salt, digest, cost, blocks, parallel)


class Users:
    """Who may come in. From any thread; a check takes as long for a user who is not there."""

    def __init__(self, hashes: dict[str, str]) -> None:
        """Names and hashes of `hashed`. Raises `InputError` for what is no such hash."""
        self._hashes = {name: _named(name, text) for name, text in hashes.items()}

    def knows(self, name: str, password: str) -> bool:
        """Whether that is the user's password. Takes tenths of a second, most of them without Python's lock."""
        found = self._hashes.get(name)
        fits = (found or NOBODYS).fits(password)
        return fits and found is not None


def read_users(path: Path) -> Users:
    """The users of a YAML file, a name and a hash each. Raises `InputError` for any other file, as `read_document`."""
    found = read_document(path, "a YAML file of users and hashes").content
    if not isinstance(found, dict) or not found or not all(isinstance(each, str) for each in found.values()):
        raise InputError(f"{path} has no users; expected a name and a hash on each line: {HOW_TO}")
    return Users(found)


def _named(name: str, text: str) -> PasswordHash:
    try:
        return parse_hash(text)
    except InputError as error:
        raise InputError(f"{name!r}: {error}") from error


def _scrypt(password: str, salt: bytes, cost: int, blocks: int, parallel: int) -> bytes:
    data = password.encode(errors="surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=cost, r=blocks, p=parallel, maxmem=MOST_MEMORY, dklen=HASH_BYTES)


def ask_password() -> str:
    """Ask twice on a terminal, read one line otherwise. Raises `InputError` for two passwords."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("password: ", sys.stderr)
    if password != getpass.getpass("once more: ", sys.stderr):
        raise InputError("these were two passwords; nothing was made")
    return password


def main(arguments: Any = None) -> None:
    """Print the hash of a password."""
    argparse.ArgumentParser(prog=cli.program("runtime.passwords"), description="Hash a password.").parse_args(arguments)
    print(hashed(ask_password()))


if __name__ == "__main__":
    cli.run(main)
