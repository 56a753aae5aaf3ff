"""Who may do what on the page: users with a role and a hash of their password, in a YAML file.

::

    anna: {role: engineer, password: "scrypt$32768$8$3$<salt>$<hash>"}

``python -m runtime.web user NAME ROLE`` makes an entry.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from runtime.errors import InputError
from runtime.passwords import NOBODYS, PasswordHash, hashed, parse_hash
from runtime.station.places import read_document

HOW_TO = "make the entry with python -m runtime.web user NAME ROLE"
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 256  # characters
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class Role(IntEnum):
    """Each may do what those before it may."""

    VIEW = 1
    OPERATE = 2  # pause, mark parts
    ENGINEER = 3  # put a threshold in force

    @property
    def word(self) -> str:
        """As files and pages write it."""
        return self.name.lower()


@dataclass(frozen=True)
class User:
    """Somebody who may log in."""

    name: str
    role: Role
    password: PasswordHash = NOBODYS

    def has(self, password: str) -> bool:
        """See `PasswordHash.fits`."""
        return self.password.fits(password)


NOBODY = User("nobody", Role.VIEW)  # with whom a password is compared where no such user exists


def entry(name: str, role: str, password: str) -> str:
    """A user as a line of the YAML file. Raises `InputError` for a name, role or password that cannot be used."""
    if not NAME.fullmatch(name):
        raise InputError(f"the name is {name!r}; expected up to 40 letters, digits, '.', '-' and '_'")
    found = _role(role)
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InputError(
            f"the password has {len(password)} characters; expected {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}"
        )
    return f'{name}: {{role: {found.word}, password: "{hashed(password)}"}}'


def read_users(path: Path) -> dict[str, User]:
    """The users in a file. Raises `InputError`, with the line, for what cannot be used."""
    document = read_document(path, "a YAML file of users")
    content = document.content
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} names no users; make an entry with python -m runtime.web user NAME ROLE")
    found = {}
    for name, values in content.items():
        with document.at(name):
            if not NAME.fullmatch(name) or not isinstance(values, dict) or set(values) != {"role", "password"}:
                raise InputError(f"expected a name with role and password; {HOW_TO}")
            password = parse_hash(str(values["password"]), HOW_TO)
            found[name] = User(name, _role(str(values["role"])), password)
    return found


def _role(text: str) -> Role:
    roles = {role.word: role for role in Role}
    if text not in roles:
        raise InputError(f"the role is {text!r}; expected {', '.join(roles)}")
    return roles[text]
