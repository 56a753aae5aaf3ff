"""What of a station's folder is backed up: every regular file, records as one snapshot, and what is left out in words.

Left out are hidden files and folders (locks, files that are half written), pictures of the records unless they are
asked for, and what is no file (sockets). A link is refused: what it points at would be missed when it is needed.

Journals of recipes are written before anything else is looked at: whatever they tell of is there then, and what is
sealed or put in force later is not told.
"""

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from runtime.atomic import flush_folder
from runtime.backup.archive import OWNER_WRITES, Archive, ArchiveWriter
from runtime.backup.manifest import OWNER_ALONE, SCHEMA, Manifest, folders_of
from runtime.backup.snapshot import BESIDE, forget_pictures, is_records, is_sqlite, pictures, snapshot
from runtime.backup.staging import staging
from runtime.errors import InputError
from runtime.recipes.store import JOURNAL
from runtime.records.images import FOLDER as PICTURES
from runtime.refused import refused
from runtime.versions import now, release

LEAVE_OUT = "check the disk, or leave it out (--leave-out)"


class Kind(Enum):
    """What a name in the folder stands for."""

    PLAIN = auto()  # a file that is copied as it is
    SQLITE = auto()
    OTHER = auto()  # a socket, a pipe, a device


@dataclass(frozen=True)
class Found:
    """What a folder holds, by names below it."""

    plain: tuple[str, ...]
    databases: tuple[str, ...]  # SQLite files
    records: frozenset[str]  # those of them that are records
    left_out: tuple[str, ...]  # in words


def back_up(folder: Path, out: Path, with_pictures: bool, leave_out: Sequence[Path], key: bytes | None) -> Manifest:
    """Write the files of a station's folder into a backup, which is read back before it is there.

    The line may go on writing. Raises `InputError` for what cannot be read or written; `out` is as it was then.
    """
    folder, out = folder.resolve(), out.resolve()
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the one that holds the station's recipes, records and detectors")
    if out.is_relative_to(folder):
        raise InputError(f"{out} lies in the folder that is backed up; write it elsewhere, best on another disk")
    if not out.parent.is_dir():  # a disk that is not plugged in, perhaps: nothing is made in its place
        raise InputError(f"there is no folder {out.parent}; make it, or mount its disk")
    unwanted = [_below(folder, each) for each in leave_out]
    try:
        with staging(out) as scratch:
            half = scratch / "half"
            with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # it holds passwords
                writer = ArchiveWriter(file)
                _add_journals(writer, folder, unwanted)
                found = _look(folder, with_pictures, unwanted, writer.files)
                manifest = _written(writer, folder, found, with_pictures, scratch, key)
                file.flush()
                os.fsync(file.fileno())
            with Archive(half, key) as archive:
                archive.check()
            half.replace(out)
            flush_folder(out.parent)
    except OSError as error:
        raise InputError(refused(out, "written", error, "choose another place")) from error
    return manifest


def _add_journals(writer: ArchiveWriter, folder: Path, leave_out: list[str]) -> None:
    for name, path in _walk(folder, leave_out, Counter()):
        if Path(name).name == JOURNAL and _kind(name, path) is Kind.PLAIN:
            writer.add(name, path)


def _written(
    writer: ArchiveWriter, folder: Path, found: Found, with_pictures: bool, scratch: Path, key: bytes | None
) -> Manifest:
    for name in found.plain:
        writer.add(name, folder / name)
    for number, name in enumerate(found.databases):
        copy = scratch / f"{number}.sqlite"
        snapshot(folder / name, copy)
        if name in found.records:
            _add_pictures(writer, folder, name, copy, with_pictures)
        writer.add(name, copy)
        copy.unlink()
    manifest = Manifest(
        SCHEMA,
        release(),
        now(),
        str(folder),
        with_pictures,
        found.left_out,
        writer.files,
        {name: _mode(folder / name) for name in folders_of(writer.files)},
    )
    writer.finish(manifest, key)
    return manifest


def _mode(folder: Path) -> int:
    """A folder's permissions. One that is gone by now, as folders of old pictures go, is its owner's alone."""
    try:
        return folder.stat().st_mode & OWNER_WRITES | OWNER_ALONE
    except FileNotFoundError:
        return OWNER_ALONE


def _add_pictures(writer: ArchiveWriter, folder: Path, name: str, copy: Path, wanted: bool) -> None:
    """The pictures that a snapshot names, and are still there; it names no others afterwards."""
    place = Path(name).parent
    there = {path for path in pictures(copy) if wanted and writer.add(str(place / path), folder / place / path)}
    forget_pictures(copy, lambda path: path not in there)


def _look(folder: Path, with_pictures: bool, leave_out: list[str], journals: Collection[str]) -> Found:
    plain, databases, records, left = list[str](), list[str](), set[str](), Counter[str]()
    for name, path in _walk(folder, leave_out, left):
        kind = _kind(name, path)
        if kind is Kind.OTHER:
            left["sockets and other things that are no files"] += 1
        elif kind is Kind.SQLITE:
            databases.append(name)
            if is_records(path):
                records.add(name)
        elif kind is Kind.PLAIN and Path(name).name == JOURNAL:
            left["journals that were begun meanwhile"] += name not in journals
        elif kind is Kind.PLAIN:
            plain.append(name)
    beside = {f"{name}{ending}" for name in databases for ending in BESIDE}
    drawers = tuple(f"{Path(name).parent / PICTURES}/" for name in records)
    kept = [name for name in plain if name not in beside and not name.startswith(drawers)]
    if not with_pictures:
        left["pictures of the records"] += sum(name.startswith(drawers) for name in plain)
    if not kept and not databases and not journals:
        raise InputError(f"{folder} holds nothing to back up; give the folder of the station's recipes and records")
    words = [*(f"{name} (as asked)" for name in leave_out), *(f"{n:,} {what}" for what, n in left.items() if n)]
    return Found(tuple(sorted(kept)), tuple(databases), frozenset(records), tuple(words))


def _walk(folder: Path, leave_out: list[str], left: Counter[str]) -> Iterator[tuple[str, Path]]:
    """Everything below a folder that is no folder, with its name there; links are not followed."""

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # the line removes folders of old pictures
            raise InputError(refused(error.filename, "read", error, LEAVE_OUT)) from error

    for place, folders, files in os.walk(folder, onerror=fail):
        relative = Path(place).relative_to(folder)
        hidden = [name for name in files if name.startswith(".")]
        left["hidden files"] += len(hidden)
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in sorted({*files, *links} - {*hidden}):
            if str(relative / name) not in leave_out:
                yield str(relative / name), Path(place) / name
        wanted = sorted(name for name in folders if str(relative / name) not in leave_out)
        folders[:] = [name for name in wanted if not name.startswith(".")]
        left["hidden folders"] += len(wanted) - len(folders)


def _kind(name: str, path: Path) -> Kind | None:
    """What there is of that name; None where it is gone: a line that runs removes old pictures and SQLite's logs.

    Raises `InputError` for a link, and for a file that cannot be read.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise InputError(f"{path} is a link; put the file itself there, or leave it out (--leave-out {name})")
        if not stat.S_ISREG(mode):
            return Kind.OTHER
        return Kind.SQLITE if is_sqlite(path) else Kind.PLAIN
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(refused(path, "read", error, LEAVE_OUT)) from error


def _below(folder: Path, path: Path) -> str:
    """A path, below a folder or as it stands, by its name below the folder. Raises `InputError`."""
    name = os.path.relpath(folder / path, folder)
    if name == "." or name.startswith("..") or not os.path.lexists(folder / name):
        raise InputError(f"there is no {path} in {folder} to leave out; give a file or folder below it")
    return name
