"""A command's bytes, checked: JSON of a stated size that keeps to the schema of `messages`, and nothing else."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.errors import InputError
from runtime.line.results import LONGEST_TEXT
from runtime.publishing.messages import COMMANDS, Field, Schema

MOST_BYTES = 4_096
SHOWN = 40  # characters of a value that is refused


@dataclass(frozen=True)
class Command:
    """What a controller asks for."""

    id: str
    name: str  # one of `COMMANDS`
    sent_at_ms: int
    values: Mapping[str, Any]  # its own fields, as far as they were given


class NoCommand(InputError):
    """Bytes that are no command; with the id and the name that they have nevertheless, for the answer."""

    def __init__(self, message: str, id: str | None = None, name: str | None = None) -> None:
        super().__init__(message)
        self.id, self.name = id, name


def command_of(data: bytes) -> Command:
    """The command in `data`. Raises `NoCommand` for anything else, whatever it is."""
    if len(data) > MOST_BYTES:
        raise NoCommand(f"the command has {len(data):,} bytes; expected {MOST_BYTES:,} at most")
    try:
        document = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except NoCommand:
        raise
    except (ValueError, RecursionError) as error:  # also of bytes that are no UTF-8, and of numbers without end
        raise NoCommand("the command is no JSON in UTF-8") from error
    if not isinstance(document, dict):
        raise NoCommand(f"the command is {_shown(document)}; expected an object")
    id_field = COMMANDS["trigger"].fields[0]
    id = document.get("id") if _problem(id_field, document.get("id")) is None else None
    name = document.get("command")
    if not isinstance(name, str) or name not in COMMANDS:
        raise NoCommand(f"command is {_shown(name)}; expected one of {', '.join(COMMANDS)}", id)
    problem = _problem_of(COMMANDS[name].fields, {key: each for key, each in document.items() if key != "command"})
    if problem is not None:
        raise NoCommand(problem, id, name)
    values: dict[str, Any] = {key: int(each) if isinstance(each, float) else each for key, each in document.items()}
    sent_at_ms = values.pop("sent_at_ms")
    return Command(values.pop("id"), values.pop("command"), sent_at_ms, values)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NoCommand("the command says a name twice; expected each name once")
    return found


def _no_number(text: str) -> float:
    raise NoCommand(f"the command has {text}, which is no JSON")


def _problem_of(fields: tuple[Field, ...], document: Mapping[str, Any]) -> str | None:
    """What is wrong with a document's fields, in words, or None."""
    known = {each.name: each for each in fields}
    for name in document:
        if name not in known:
            return f"the command has {_shown(name)}; expected {', '.join(known)}"
    for field in fields:
        if field.name not in document:
            if field.required:
                return f"the command has no {field.name}; {field.meaning}".rstrip("; ")
            continue
        problem = _problem(field, document[field.name])
        if problem is not None:
            return problem
    return None


def _problem(field: Field, value: Any) -> str | None:
    """What a value is that its field's schema does not allow, or None. Of JSON Schema, what these schemas use."""
    schema = field.schema
    if "enum" in schema:
        right, expected = isinstance(value, str) and value in schema["enum"], f"one of {', '.join(schema['enum'])}"
    elif schema["type"] == "boolean":
        right, expected = isinstance(value, bool), "true or false"
    elif schema["type"] == "integer":
        right, expected = (
            _is_whole(value, schema),
            f"a whole number from {schema['minimum']}" + (f" to {schema['maximum']}" if "maximum" in schema else ""),
        )
    else:
        shortest = schema.get("minLength", 0)
        right, expected = _is_text(value, schema), f"text of {shortest} to {schema['maxLength']} characters that print"
    return None if right else f"{field.name} is {_shown(value)}; expected {expected}"


def _is_whole(value: Any, schema: Schema) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not value.is_integer():
        return False
    return bool(schema["minimum"] <= value <= schema.get("maximum", value))


def _is_text(value: Any, schema: Schema) -> bool:
    if not isinstance(value, str) or not re.search(schema["pattern"], value):
        return False
    try:
        size = len(value.encode())
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False
    if schema["maxLength"] == LONGEST_TEXT and size > LONGEST_TEXT:  # a register's: bytes, not characters
        return False
    return bool(schema.get("minLength", 0) <= len(value) <= schema["maxLength"])


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
