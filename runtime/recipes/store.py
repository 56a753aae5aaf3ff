"""Recipes by name and version, each a folder whose files are sealed.

::

    FOLDER/journal.jsonl             what was done, by whom, when and why; each line holds the hash of the one before
    FOLDER/bottle/0003/seal.json     hashes of the files beside it, who sealed them, when and why
    FOLDER/bottle/0003/detector.onnx
    FOLDER/.lock                     held by whoever writes: the line, the page and the command may at once

A version never changes. A file that was changed is refused until somebody seals it, by name and reason, which makes the
next version. Which version is in force is the journal's last word on it.

A last line without its end that is no document was never written: a power cut came before whoever wrote it was told of
success. It is ignored by readers and cut off by the next writer, which is said. A last line that is whole but for its
end counts, and is held against the chain and the key like any other.

Hashes detect accidents. With a key, seals and journal carry an HMAC: nobody without the key can make either. What a
hash chain cannot show is that its last lines were cut off; copies of the journal elsewhere (records, backups) can.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from runtime.errors import DetectorError, InputError
from runtime.line.results import LONGEST_TEXT
from runtime.lock import LOCK, in_turn
from runtime.outputs import say
from runtime.signing import canonical, is_signature, signature
from runtime.typed import build

JOURNAL, SEAL = "journal.jsonl", "seal.json"
PATIENCE_S = 10.0  # for another writer, who takes milliseconds
SIGNATURE = "hmac_sha256"
SEALED, ACTIVATED = "sealed", "activated"
LONGEST_REASON = 500


@dataclass(frozen=True)
class Seal:
    """What vouches for the files of one version."""

    name: str
    version: int
    files: dict[str, str]  # SHA-256 by file name
    by: str
    reason: str
    at: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    action: str
    name: str
    version: int
    by: str
    reason: str
    at: str  # ISO 8601, UTC
    before: str  # SHA-256 of the line before; empty for the first


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content. Raises `OSError`."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class RecipeStore:
    """The recipes in a folder. From any thread and process: those that change it wait for each other, for
    `PATIENCE_S` at most, and readers wait for nobody. On Windows nothing keeps two that change it apart."""

    def __init__(self, folder: Path, key: bytes | None = None, hash_of: Callable[[Path], str] = file_sha256) -> None:
        """With `key`, what is read must be signed by it, and what is written is. `hash_of` is the SHA-256 of a file,
        for whoever looks often and knows that a file is as it was; raises `OSError`."""
        self.folder, self._key, self._hash_of = folder, key, hash_of
        self._is_torn_told = False

    def seal(self, name: str, files: Sequence[Path], by: str, reason: str) -> Seal:
        """Copy files into the next version of a recipe, and seal it. It is not in force before `activate`.

        Raises `InputError` for names that cannot be used, files that cannot be read and while another one writes;
        nothing is left then.
        """
        _check(name, by, reason)
        if not files:
            raise InputError(
                f"no files were given for the recipe {name}; give detector.onnx, and its plan if there is one"
            )
        if len({path.name for path in files}) < len(files) or any(path.name == SEAL for path in files):
            raise InputError(f"the files of {name} need names of their own, other than {SEAL}")
        half = self.folder / f".{name}-{secrets.token_hex(4)}"
        try:
            half.mkdir(parents=True)
            hashes = {path.name: _copied(path, half / path.name) for path in files}
            with self._writing():  # not before: files are large, and others wait meanwhile
                return self._placed(half, name, hashes, by, reason)
        except OSError as error:
            raise InputError(
                f"{error.filename or self.folder} cannot be used ({error.strerror}); check the path"
            ) from error
        finally:
            shutil.rmtree(half, ignore_errors=True)

    def activate(self, name: str, by: str, reason: str, version: int | None = None) -> Seal:
        """Put a version in force, the newest by default. Raises `InputError` for one that is not there, and what
        `checked` raises."""
        _check(name, by, reason)
        seal = self.find(name, version)
        with self._writing():
            self._note(ACTIVATED, seal.name, seal.version, by, reason)
        return seal

    def roll_back(self, by: str, reason: str) -> Seal:
        """Put in force what was before the one that is. Raises `InputError` where there was none."""
        before = self._before()  # also where the folder cannot be written
        _check(before.name, by, reason)
        with self._writing():
            before = self._before()  # another one may have put something in force meanwhile
            seal = self.find(before.name, before.version)
            self._note(ACTIVATED, seal.name, seal.version, by, reason)
        return seal

    def active(self) -> Seal | None:
        """The version in force, its files checked; None where none was ever activated. Raises what `checked` does."""
        found = self.last_in_force()
        return None if found is None else self.checked(*found)

    def last_in_force(self) -> tuple[str, int] | None:
        """Name and version of what is in force, its files not looked at. Raises what `history` raises."""
        found = self._activated()
        return (found[-1].name, found[-1].version) if found else None

    def released(self, name: str) -> int | None:
        """The version of a recipe that was in force last, which need not be the newest. None where none ever was.
        Raises what `history` raises."""
        return next((each.version for each in reversed(self._activated()) if each.name == name), None)

    def find(self, name: str, version: int | None = None) -> Seal:
        """A version, the newest by default, its files checked. Raises `InputError` for one that is not there, and what
        `checked` raises."""
        versions = self.versions(name) if name in self.names() else []
        if not versions or version not in (None, *versions):
            known = f"it has {', '.join(map(str, versions))}" if versions else f"there are {self._names_in_words()}"
            asked = name if version is None else f"{name} version {version}"
            raise InputError(f"there is no recipe {asked}; {known}")
        return self.checked(name, version or versions[-1])

    def checked(self, name: str, version: int) -> Seal:
        """A version whose files are those that were sealed.

        Raises `DetectorError` for files that are missing, changed or more than were sealed, and a seal that is damaged
        or not signed by the key.
        """
        place = self.path(name, version)
        seal = self._seal(name, version)
        there = {path.name for path in place.iterdir()} - {SEAL}
        for file in sorted(set(seal.files) - there):
            raise DetectorError(f"{place / file} is missing, which {seal.by} sealed on {seal.at[:19]}; {_AGAIN}")
        for file in sorted(there - set(seal.files)):
            raise DetectorError(f"{place / file} was put there since {seal.by} sealed it on {seal.at[:19]}; {_AGAIN}")
        for file, sha256 in seal.files.items():
            if self._hash(place / file) != sha256:
                raise DetectorError(
                    f"{place / file} was changed since {seal.by} sealed it on {seal.at[:19]} ({seal.reason}); {_AGAIN}"
                )
        return seal

    def with_file(self, sha256: str) -> tuple[Seal, str] | None:
        """The version in force where it has a file of this hash, else the newest of the first recipe that has one, its
        files checked, and the file's name in it; None where no version has. Raises what `checked` and `history` raise.
        """
        for name, version in self._likeliest():
            files = self._seal(name, version).files
            file = next((file for file, found in files.items() if found == sha256), None)
            if file is not None:
                return self.checked(name, version), file
        return None

    def path(self, name: str, version: int) -> Path:
        """Where the files of a version lie."""
        return self.folder / name / f"{version:04d}"

    def files(self, seal: Seal) -> list[Path]:
        """Where the files of a version lie, each."""
        return [self.path(seal.name, seal.version) / name for name in seal.files]

    def names(self) -> list[str]:
        """The recipes that there are."""
        with suppress(OSError):
            return sorted(path.name for path in self.folder.iterdir() if path.is_dir() and path.name[0] != ".")
        return []

    def versions(self, name: str) -> list[int]:
        """The versions of a recipe, the oldest first."""
        with suppress(OSError):
            return sorted(int(path.name) for path in (self.folder / name).iterdir() if path.name.isdecimal())
        return []

    def history(self) -> list[Entry]:
        """The journal. Raises `DetectorError` where a line was changed, removed or not signed by the key."""
        whole, torn = self._journal()
        if torn and not self._is_torn_told:
            self._is_torn_told = True
            say(f"warning: {self._torn_in_words(torn)}; the next change of what is in force removes it")
        return self._checked_journal(whole)

    def _journal(self) -> tuple[bytes, bytes]:
        """The journal, and behind it what a power cut left of a line that was never written."""
        path = self.folder / JOURNAL
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return b"", b""
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
        last = data.rfind(b"\n") + 1
        return (data, b"") if _is_document(data[last:]) else (data[:last], data[last:])

    def _torn_in_words(self, torn: bytes) -> str:
        return (
            f"the last {len(torn):,} bytes of {self.folder / JOURNAL} are a line that was never written to its end, "
            "perhaps for a power cut; what it was to say is not in force"
        )

    def _checked_journal(self, data: bytes) -> list[Entry]:
        path = self.folder / JOURNAL
        entries, before = [], ""
        for number, line in enumerate(data.splitlines(), 1):
            entry = self._read(Entry, line, f"line {number} of {path}", _COPY)
            if entry.before != before:
                raise DetectorError(f"{path} was changed: line {number} does not follow the one before; {_COPY}")
            entries.append(entry)
            before = hashlib.sha256(line).hexdigest()
        return entries

    def _sound_journal(self) -> bytes:
        """The journal, each line with its end: a line that was never written is cut off, which is said. For who is
        `_writing`. Raises as `history`, and `InputError` where it cannot be mended."""
        whole, torn = self._journal()
        self._checked_journal(whole)  # one that is not sound is not written to
        ending = b"\n" if whole and not whole.endswith(b"\n") else b""
        if torn or ending:
            path = self.folder / JOURNAL
            try:
                with open(path, "r+b") as journal:
                    journal.truncate(len(whole))
                    journal.seek(len(whole))
                    journal.write(ending)
                    journal.flush()
                    os.fsync(journal.fileno())
            except OSError as error:
                raise InputError(f"{path} cannot be written ({error.strerror}); nothing was changed") from error
        if torn:
            say(f"warning: {self._torn_in_words(torn)}; they were removed")
        return whole + ending

    def _hash(self, path: Path) -> str:
        try:
            return self._hash_of(path)
        except OSError as error:
            raise DetectorError(f"{path} cannot be read ({error.strerror}); {_AGAIN}") from error

    def _activated(self) -> list[Entry]:
        return [entry for entry in self.history() if entry.action == ACTIVATED]

    def _before(self) -> Entry:
        """What was in force before that which is. Raises `InputError` where there was none."""
        found = self._activated()
        if len(found) < 2:
            raise InputError("no recipe was in force before this one; activate one by name")
        now = found[-1]
        before = next((each for each in found[-2::-1] if (each.name, each.version) != (now.name, now.version)), None)
        if before is None:
            raise InputError("no other recipe was ever in force; activate one by name")
        return before

    def _likeliest(self) -> Iterator[tuple[str, int]]:
        """Every version: the one in force, then by recipe, the newest first. Raises what `history` raises."""
        yield from ((entry.name, entry.version) for entry in self._activated()[-1:])
        for name in self.names():
            yield from ((name, version) for version in reversed(self.versions(name)))

    def _writing(self) -> AbstractContextManager[None]:
        """Keep all others from writing, threads of this process among them. Raises as `in_turn`."""
        return in_turn(self.folder / LOCK, self.folder, PATIENCE_S)

    def _placed(self, half: Path, name: str, hashes: dict[str, str], by: str, reason: str) -> Seal:
        """Make the folder `half` the next version. For who is `_writing`. Raises `OSError`, and as `_note`."""
        self._sound_journal()  # one that is not sound has no next version
        version = max(self.versions(name), default=0) + 1
        seal = Seal(name, version, hashes, by, reason, _now())
        _write_durably(half / SEAL, self._signed(asdict(seal)) + b"\n")
        place = self.path(name, version)
        place.parent.mkdir(exist_ok=True)
        half.rename(place)
        try:
            self._note(SEALED, name, version, by, reason)
        except InputError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return seal

    def _seal(self, name: str, version: int) -> Seal:
        path = self.path(name, version) / SEAL
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DetectorError(f"{path} cannot be read ({error.strerror}); {_AGAIN}") from error
        seal: Seal = self._read(Seal, data, str(path), _AGAIN)
        if (seal.name, seal.version) != (name, version):
            raise DetectorError(f"{path} is the seal of {seal.name} {seal.version}; {_AGAIN}")
        return seal

    def _note(self, action: str, name: str, version: int, by: str, reason: str) -> None:
        """Add a line to the journal, durably. For who is `_writing`: of two at once, one would break the chain.

        Raises as `history`, and `InputError` with the journal as it was.
        """
        path, journal_before = self.folder / JOURNAL, self._sound_journal()
        lines = journal_before.splitlines()
        before = hashlib.sha256(lines[-1]).hexdigest() if lines else ""
        entry = Entry(action, name, version, by, reason, _now(), before)
        try:
            with open(path, "ab") as journal:
                journal.write(self._signed(asdict(entry)) + b"\n")
                journal.flush()
                os.fsync(journal.fileno())
        except OSError as error:
            with suppress(OSError):  # half a line would be said to be of a power cut
                os.truncate(path, len(journal_before))
            raise InputError(f"{path} cannot be written ({error.strerror}); nothing was changed") from error

    def _signed(self, document: dict[str, Any]) -> bytes:
        if self._key is not None:
            document = document | {SIGNATURE: signature(document, self._key)}
        return canonical(document)

    def _read(self, kind: type[Any], data: bytes, place: str, remedy: str) -> Any:
        try:
            document: dict[str, Any] = dict(json.loads(data))
            found = document.pop(SIGNATURE, None)
            read = build(kind, document)
        except (ValueError, TypeError, RecursionError, InputError) as error:
            raise DetectorError(f"{place} is damaged; {remedy}") from error
        if self._key is not None and not is_signature(found, document, self._key):
            what = "is not signed" if found is None else "is signed with another key, or was changed"
            raise DetectorError(f"{place} {what}; find out who changed it, then {remedy}")
        if self._key is None and found is not None:
            raise DetectorError(f"{place} is signed, and no key was given; give --key-file FILE")
        return read

    def _names_in_words(self) -> str:
        return ", ".join(self.names()) or "none yet; seal one"


_AGAIN = "seal it again by name and reason (python -m runtime.recipes FOLDER seal), or roll back"
# without its journal nothing can be sealed or rolled back; versions that it does not tell of yet do no harm
_COPY = (
    "put back this file from the last backup of the station (python -m runtime.backup.restore BACKUP.tar NEW_FOLDER "
    "unpacks it)"
)


def _is_document(data: bytes) -> bool:
    """Whether bytes are JSON; a document that was cut off, or zeros in its place, are none."""
    try:
        json.loads(data)
    except RecursionError:  # nothing that this writes, whole or cut off
        return True
    except ValueError:
        return False
    return True


def _check(name: str, by: str, reason: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) or len(name) > LONGEST_TEXT:
        raise InputError(
            f"the recipe's name is {name!r}; expected letters, digits, '.', '_' and '-', {LONGEST_TEXT} at most"
        )
    if not by.strip() or not reason.strip():
        raise InputError("who does it, and why, is written down; give --by NAME and --reason TEXT")
    if max(len(by), len(reason)) > LONGEST_REASON:
        raise InputError(f"name and reason have {LONGEST_REASON} characters each at most")


def _copied(source: Path, target: Path) -> str:
    """The hash of what was copied, which is what was read."""
    data = source.read_bytes()
    _write_durably(target, data)
    return hashlib.sha256(data).hexdigest()


def _write_durably(path: Path, data: bytes) -> None:
    with open(path, "xb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
