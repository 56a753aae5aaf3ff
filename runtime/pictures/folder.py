"""The pictures of a folder. What is none of them is named, once for each folder."""

import logging
import os
import stat
from itertools import islice
from pathlib import Path

from runtime.errors import InputError
from runtime.pictures.kinds import SUFFIXES, is_picture

_log = logging.getLogger("proctor.images")
_SHOWN = 5
_SYSTEM = frozenset({"thumbs.db", "desktop.ini"})
_NO_FILES = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_reported: set[str] = set()


def list_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, sorted by name: whatever begins as a picture does, and whatever ends so.

    Files that are neither, pipes, links to nothing and the like are named in one warning, and hidden files and macOS's
    side files are counted there; nothing that is no regular file is opened. Raises `InputError` when there is no folder
    or no image.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder of images ({', '.join(SUFFIXES)})")
    paths, left_out, hidden = [], [], 0
    for path in sorted(folder.iterdir()):
        if is_hidden(path):
            hidden += 1
        elif is_picture(path):
            paths.append(path)
        elif not path.is_dir():
            left_out.append(path)
    _report(folder, left_out, hidden)
    if not paths:
        below = _folders_with_images(folder)
        advice = (
            f"give one of its folders that do: {', '.join(below)}"
            if below
            else f"expected files ending in {', '.join(SUFFIXES)}"
        )
        raise InputError(f"{folder} holds no images; {advice}")
    return paths


def is_hidden(path: Path) -> bool:
    """Whether the operating system put the file there, or hides it: .DS_Store, Thumbs.db, macOS's ._picture.png."""
    return path.name.startswith(".") or path.name.lower() in _SYSTEM


def _report(folder: Path, left_out: list[Path], hidden: int) -> None:
    parts = []
    if left_out:
        named = ", ".join(_shown(path) for path in left_out[:_SHOWN])
        more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
        noun = "file that is no picture" if len(left_out) == 1 else "files that are no pictures"
        parts.append(f"{len(left_out)} {noun} ({named}{more})")
    if hidden:
        parts.append(f"{hidden} hidden {'file' if hidden == 1 else 'files'}")
    line = f"{escaped(str(folder))}: left out {' and '.join(parts)}"
    if parts and line not in _reported:
        _reported.add(line)
        _log.warning("%s", line)


def _shown(path: Path) -> str:
    """The name, and what it is where that is no file that could be opened."""
    try:
        kind = _NO_FILES.get(stat.S_IFMT(path.stat().st_mode), "")
    except OSError:
        kind = "a link to nothing" if path.is_symlink() else "gone"
    if not kind and not os.access(path, os.R_OK):
        kind = "may not be read"
    return escaped(path.name) + (f": {kind}" if kind else "")


def escaped(text: str) -> str:
    """`text` with control characters and the like written out, so that no name can forge a line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _folders_with_images(folder: Path) -> list[str]:
    """Up to five, one level deeper or two."""
    below = sorted(path for pattern in ("*/", "*/*/") for path in folder.glob(pattern) if path.is_dir())
    with_images = (path for path in below if any(is_picture(file) and not is_hidden(file) for file in path.iterdir()))
    return [str(path) for path in islice(with_images, 5)]
