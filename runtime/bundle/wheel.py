"""One wheel: what it is called, what it needs, what its licence is said to be, and the texts that it carries."""

import email
import hashlib
import re
import zipfile
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runtime.errors import InputError

NOT_STATED = "not stated"
TEXT = re.compile(r"licen[cs]e|copying|copyright|notice", re.IGNORECASE)  # in the name of a file
CODE = (".py", ".pyc", ".pyi", ".so", ".h", ".c")
LONGEST_STATEMENT = 100  # characters: some packages have the whole text where its name belongs
_CLASSIFIER = "License :: "


@dataclass(frozen=True)
class Wheel:
    """A wheel file, as `read_wheel` found it."""

    path: Path
    name: str  # as pip compares it
    version: str
    sha256: str
    licence: str  # an SPDX expression, or as the package says it, or NOT_STATED
    is_expression: bool  # whether the package states it as an SPDX expression (PEP 639)
    texts: tuple[str, ...]  # members that are licence texts and notices
    parts: tuple[str, ...]  # members that are lists of what the wheel has inside (PEP 770)
    needs: tuple[Requirement, ...] = field(repr=False)
    extras: tuple[str, ...]
    summary: str


def read_wheel(path: Path) -> Wheel:
    """Read a wheel. Raises `InputError` for a file that is none."""
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]  # folders have members of their own
            info = next(name for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            metadata = email.message_from_bytes(archive.read(info))
        found = canonicalize_name(metadata["Name"]), str(metadata["Version"])
        needs = tuple(Requirement(text) for text in metadata.get_all("Requires-Dist", []))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except (zipfile.BadZipFile, StopIteration, TypeError, ValueError) as error:
        raise InputError(f"{path} is no wheel, or a damaged one; give a file that pip wheel made") from error
    licence, is_expression = _licence(metadata)
    drawer = PurePosixPath(info).parent
    return Wheel(
        path,
        found[0],
        found[1],
        hashlib.sha256(data).hexdigest(),
        licence,
        is_expression,
        tuple(name for name in names if _is_text(PurePosixPath(name), drawer)),
        tuple(name for name in names if PurePosixPath(name).parent == drawer / "sboms"),
        needs,
        tuple(metadata.get_all("Provides-Extra", [])),
        str(metadata.get("Summary", "")).strip(),
    )


def _is_text(member: PurePosixPath, drawer: PurePosixPath) -> bool:
    if member.suffix in CODE or ".." in member.parts or member.is_absolute():
        return False
    return drawer / "licenses" in member.parents or TEXT.search(member.name) is not None


def _licence(metadata: Message) -> tuple[str, bool]:
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression).strip(), True
    stated = str(metadata.get("License", "")).strip()
    if stated and "\n" not in stated and len(stated) <= LONGEST_STATEMENT:
        return stated, False
    classified = [each for each in metadata.get_all("Classifier", []) if each.startswith(_CLASSIFIER)]
    return ", ".join(each.rpartition(" :: ")[2] for each in classified) or NOT_STATED, False
