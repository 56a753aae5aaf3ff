"""What a backup holds: every file by name, with its size, its permissions and its SHA-256; and the permissions of the
folders that they lie in.

The manifest carries its own hash, which detects accidents. With a key it is signed (HMAC-SHA256): nobody without the
key can make a backup that is accepted by it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import Any

from runtime.bounds import check_between, check_sha256
from runtime.errors import InputError
from runtime.signing import canonical, is_signature, signature
from runtime.typed import build

SCHEMA = 2
EARLIEST = 1  # had no permissions of folders
OWNER_ALONE = 0o700  # a folder of which nothing else is known
ITSELF = "."  # the name of the folder that was backed up, among those below it
SHA256, SIGNATURE = "sha256", "hmac_sha256"
MOST_FILES = 500_000  # all of them are held in memory
MOST_BYTES = 128 * 2**20  # of the manifest
COPY_AGAIN = "copy it again, or take an earlier backup"


@dataclass(frozen=True)
class Kept:
    """One file of a backup."""

    size: int  # bytes
    mode: int  # permissions; nobody but the owner may write, whatever they were
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A backup's description."""

    schema: int
    software: str  # Proctor's version
    at: str  # ISO 8601, UTC
    folder: str  # that was backed up
    pictures: bool  # whether the records' pictures are in it
    left_out: tuple[str, ...]  # what of the folder is not in it, in words
    files: dict[str, tuple[int, int, str]]  # by name below the folder: `Kept`, as a list
    folders: dict[str, int] = field(default_factory=dict)  # permissions by name, of all that hold a file

    def __post_init__(self) -> None:
        if not EARLIEST <= self.schema <= SCHEMA:
            raise InputError(
                f"the backup has schema {self.schema}, and {SCHEMA} is known here; install a later Proctor"
            )
        for name, (size, mode, sha256) in self.files.items():
            check_name(name)
            check_between(f"the size of {name}", size, 0)
            check_between(f"the permissions of {name}", mode, 0, 0o777)
            check_sha256(f"the SHA-256 of {name}", sha256)
        for name, mode in self.folders.items():
            if name != ITSELF:
                check_name(name)
            check_between(f"the permissions of {name}", mode, 0, 0o777)
        for name in self.files:
            above = next((str(each) for each in PurePath(name).parents if str(each) in self.files), None)
            if above is not None:
                raise InputError(f"{above} is a file and holds {name}")

    @property
    def total_bytes(self) -> int:
        """What all files have together."""
        return sum(size for size, _, _ in self.files.values())

    def kept(self, name: str) -> Kept:
        """One of the files."""
        return Kept(*self.files[name])

    def mode_of(self, folder: str) -> int:
        """The permissions of a folder, by its name."""
        return self.folders.get(folder, 0) | OWNER_ALONE

    @property
    def holding(self) -> list[str]:
        """The folders that hold a file, the one that was backed up among them; those that lie in others after these."""
        return folders_of(self.files)

    def to_json(self, key: bytes | None) -> bytes:
        """The document with its hash and, with a key, its signature."""
        document: dict[str, Any] = asdict(self)
        document[SHA256] = hashlib.sha256(canonical(document)).hexdigest()
        if key is not None:
            document[SIGNATURE] = signature(document, key)
        return canonical(document)


def read_manifest(data: bytes, key: bytes | None) -> Manifest:
    """A manifest as `Manifest.to_json` wrote it. Raises `InputError` for one that is damaged, or not signed by the
    key."""
    try:
        document: dict[str, Any] = dict(json.loads(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"the manifest is damaged; {COPY_AGAIN}") from error
    found = document.pop(SIGNATURE, None)
    if key is not None and not is_signature(found, document, key):
        what = "is not signed" if found is None else "is signed with another key, or was changed"
        raise InputError(f"the backup {what}; find out who made it")
    if key is None and found is not None:
        raise InputError("the backup is signed, and no key was given; give --key-file FILE")
    sha256 = document.pop(SHA256, None)
    if sha256 != hashlib.sha256(canonical(document)).hexdigest():
        raise InputError(f"the manifest was changed since it was written; {COPY_AGAIN}")
    return build(Manifest, document)


def folders_of(files: Iterable[str]) -> list[str]:
    """The folders above files, by their names; those that lie in others after these."""
    return sorted({str(folder) for name in files for folder in PurePath(name).parents} | {ITSELF})


def check_name(name: str) -> None:
    """Raise `InputError` for a name that could lead out of the folder that it is unpacked in, or to no file."""
    if (
        any(part in ("", ".", "..") for part in name.split("/"))
        or "\0" in name
        or Path(name).is_absolute()
        or Path(name).drive
    ):
        raise InputError(f"{name!r} is no name of a file below the folder; nothing was unpacked")
