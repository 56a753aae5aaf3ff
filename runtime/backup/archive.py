"""A backup as a file: a plain tar, which any tool opens, whose last member is the manifest.

What is read back is what is written, and nothing else: regular files below `PREFIX` with the names and sizes of the
manifest. Headers are read one by one here, since `tarfile` follows extended headers before anybody can look at them:
their sizes are whatever a file says.
"""

import hashlib
import os
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runtime.backup.manifest import COPY_AGAIN, MOST_BYTES, MOST_FILES, Manifest, check_name, read_manifest
from runtime.closing import Closing
from runtime.errors import InputError
from runtime.printable import printable
from runtime.refused import refused

PREFIX, MANIFEST = "station/", "MANIFEST.json"
BLOCK = tarfile.BLOCKSIZE
CHUNK = 2**20
LONGEST_NAME = 4096 + len(PREFIX) + 1  # bytes; Linux has no longer path, and a zero ends it
TRIES, PAUSE_S = 5, 0.2  # to read a file that does not change meanwhile
OWNER_WRITES = 0o755  # nobody else does, whatever was allowed


class ArchiveWriter:
    """Writes files into a backup, each as it was at one moment."""

    def __init__(self, out: IO[bytes]) -> None:
        """`out` is a file that can be cut."""
        self.files: dict[str, tuple[int, int, str]] = {}
        self._out = out

    def add(self, name: str, path: Path) -> bool:
        """Add a file by its name below the folder; whether it was still there.

        Raises `InputError` for one that cannot be read, and for one that changes each time that it is.
        """
        check_name(name)
        if len(self.files) == MOST_FILES:
            raise InputError(f"there are more than {MOST_FILES:,} files; leave some out (--leave-out FOLDER)")
        begin = self._out.tell()
        for _ in range(TRIES):
            try:
                source = path.open("rb")
            except FileNotFoundError:
                return False
            except OSError as error:
                raise InputError(refused(path, "read", error, "check the disk, or leave it out")) from error
            with source:
                found = self._copied(name, path, source)
            if found is not None:
                self.files[name] = found
                return True
            self._out.seek(begin)
            self._out.truncate()
            time.sleep(PAUSE_S)
        raise InputError(f"{path} changes while it is read; back up when nobody writes to it, or leave it out")

    def finish(self, manifest: Manifest, key: bytes | None) -> None:
        """Write the manifest, and end the archive."""
        data = manifest.to_json(key)
        if len(data) > MOST_BYTES:
            raise InputError("the names of the files are too long for one manifest; leave some out")
        self._begin(MANIFEST, len(data), 0o600, time.time())
        self._out.write(data)
        self._end(len(data))
        self._out.write(bytes(2 * BLOCK))

    def _copied(self, name: str, path: Path, source: IO[bytes]) -> tuple[int, int, str] | None:
        """What the manifest says of a file that was copied; None where it changed meanwhile."""
        before, sha256 = os.fstat(source.fileno()), hashlib.sha256()
        left, mode = before.st_size, before.st_mode & OWNER_WRITES | 0o600
        self._begin(PREFIX + name, left, mode, before.st_mtime)
        while left and (chunk := _read(source, path, left)):
            sha256.update(chunk)
            self._out.write(chunk)
            left -= len(chunk)
        after = os.fstat(source.fileno())
        if left or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            return None
        self._end(after.st_size)
        return after.st_size, mode, sha256.hexdigest()

    def _begin(self, name: str, size: int, mode: int, mtime: float) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, mode, int(mtime)
        self._out.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))

    def _end(self, size: int) -> None:
        self._out.write(bytes(-size % BLOCK))


@dataclass(frozen=True)
class _Member:
    name: str
    offset: int  # of its first byte
    size: int  # bytes


class Archive(Closing):
    """A backup that was opened: its headers and its manifest agree."""

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        """Raises `InputError` for a file that is no backup, is damaged, cut off or not signed by the key, and for one
        that holds anything but the manifest's files."""
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise InputError(refused(path, "read", error, "check the path")) from error
        try:
            self.manifest = self._opened(key)
        except OSError as error:
            self._file.close()
            raise InputError(refused(path, "read", error, COPY_AGAIN)) from error
        except InputError as error:
            self._file.close()
            raise InputError(f"{path}: {error}") from error

    def close(self) -> None:
        """See `Closing`."""
        self._file.close()

    def check(self) -> None:
        """Raise `InputError` where a file's content is not the one that was written."""
        for name in self.manifest.files:
            self._copy(name, None)

    def unpack(self, into: Path) -> None:
        """Write all files below a folder, which has the permissions of the one that was backed up then. Raises what
        `check` does."""
        for name in self.manifest.files:
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                self._copy(name, out)
            path.chmod(self.manifest.kept(name).mode)
        for folder in self.manifest.holding:
            (into / folder).chmod(self.manifest.mode_of(folder))

    def _copy(self, name: str, out: IO[bytes] | None) -> None:
        kept, left = self.manifest.kept(name), self.manifest.kept(name).size
        sha256 = hashlib.sha256()
        self._file.seek(self._offsets[name])
        while left and (chunk := _read(self._file, self.path, left)):
            sha256.update(chunk)
            left -= len(chunk)
            if out is not None:
                out.write(chunk)
        if left or sha256.hexdigest() != kept.sha256:
            raise InputError(f"{self.path}: {printable(name)} was damaged since it was backed up; {COPY_AGAIN}")

    def _opened(self, key: bytes | None) -> Manifest:
        *files, last = self._members()
        if last.name != MANIFEST:
            raise InputError(f"its last member is {printable(last.name)}; expected {MANIFEST} of proctor backup")
        if last.size > MOST_BYTES:
            raise InputError(f"its manifest has {last.size:,} bytes, more than any; {COPY_AGAIN}")
        self._file.seek(last.offset)
        manifest = read_manifest(self._file.read(last.size), key)
        self._offsets: dict[str, int] = {}
        for member in files:
            name = member.name.removeprefix(PREFIX)
            if name == member.name or name not in manifest.files:
                raise InputError(f"it holds {printable(member.name)}, which its manifest does not name; {COPY_AGAIN}")
            if name in self._offsets:
                raise InputError(f"it holds {printable(name)} twice; {COPY_AGAIN}")
            if member.size != manifest.kept(name).size:
                raise InputError(
                    f"{printable(name)} has {member.size:,} bytes, and {manifest.kept(name).size:,} by the manifest; "
                    f"{COPY_AGAIN}"
                )
            self._offsets[name] = member.offset
        for name in manifest.files:
            if name not in self._offsets:
                raise InputError(f"{printable(name)} is missing; {COPY_AGAIN}")
        return manifest

    def _members(self) -> list[_Member]:
        found = list(_read_members(self._file, os.fstat(self._file.fileno()).st_size))
        if not found:
            raise InputError("it is empty; expected a backup as proctor backup writes it")
        return found


def _read(source: IO[bytes], path: Path, left: int) -> bytes:
    """A piece of the bytes that are left. Raises `InputError`: an `OSError` would pass for one of whoever writes."""
    try:
        return source.read(min(left, CHUNK))
    except OSError as error:
        raise InputError(refused(path, "read", error, COPY_AGAIN)) from error


def _read_members(file: IO[bytes], end: int) -> Iterator[_Member]:
    """The members of a tar by their headers. Raises `InputError` for anything but regular files that lie in it.

    Their names may be anything: it is the manifest that says which are taken.
    """
    count = position = 0
    long_name: str | None = None
    while True:
        file.seek(position)
        try:
            info = tarfile.TarInfo.frombuf(file.read(BLOCK), "utf-8", "surrogateescape")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # a block of zeros, which ends an archive
            return
        except tarfile.HeaderError as error:
            what = "is no tar" if position == 0 else f"is damaged or cut off at byte {position:,}"
            raise InputError(f"it {what}; expected a backup as proctor backup writes it; {COPY_AGAIN}") from error
        position += BLOCK
        if not 0 <= info.size <= end - position:
            raise InputError(f"{printable(info.name)} is cut off; {COPY_AGAIN}")
        if info.type == tarfile.GNUTYPE_LONGNAME and info.size <= LONGEST_NAME and long_name is None:
            long_name = file.read(info.size).rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield _Member(info.name if long_name is None else long_name, position, info.size)
            long_name = None
            count += 1
        else:
            raise InputError(
                f"{printable(info.name)} is no regular file (type {info.type!r} of tar); links, devices and folders "
                "are in no backup; nothing was unpacked"
            )
        if count > MOST_FILES + 1:
            raise InputError(f"it holds more than {MOST_FILES:,} files; nothing was unpacked")
        position += -(-info.size // BLOCK) * BLOCK
