"""A YAML file as plain data, with the line on which every key stands, so that an error can say where it is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from runtime.arguments import described
from runtime.errors import InputError, OptionError, ProctorError

Keys = tuple[str, ...]  # the keys that lead to a value, from the top
PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
MOST_BYTES = 2**20  # a line's description has some kilobytes; a video that was given by mistake has more


@dataclass(frozen=True)
class Document:
    """What a YAML file says: mappings with text for keys, lists, texts, numbers, truth values, None."""

    path: Path
    content: Any
    lines: Mapping[Keys, int] = field(default_factory=dict)  # from 1, where a key stands

    def place(self, *keys: str) -> str:
        """Where a key stands, or the nearest above it that stands in the file: ``line.yaml, line 7, cameras.left``."""
        known = next((keys[:end] for end in range(len(keys), 0, -1) if keys[:end] in self.lines), ())
        return f"{self.path}, line {self.lines[known]}, {'.'.join(known)}" if known else str(self.path)

    @contextmanager
    def at(self, *keys: str) -> Iterator[None]:
        """Around what reads the value of a key: the message of whatever `ProctorError` it raises begins with the place.

        An `OptionError`'s place is that of the option.
        """
        try:
            yield
        except ProctorError as error:
            place = self.place(*keys, error.name) if isinstance(error, OptionError) else self.place(*keys)
            kind = InputError if isinstance(error, InputError) else type(error)
            raise kind(f"{place}: {error}") from error


def read_document(path: Path, expected: str = "the YAML description of a line") -> Document:
    """Read a YAML file, which is `expected` in words.

    Raises `InputError` for what is none, and for a key that stands twice in one mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{path} has more than {MOST_BYTES // 2**20} MiB; expected {expected}")
    loader: Any = None
    try:
        loader = yaml.SafeLoader(data)
        node = loader.get_single_node()
        reader = _Reader(path, loader)
        return Document(path, None if node is None else reader.value(node, ()), reader.lines)
    except yaml.YAMLError as error:
        raise InputError(f"{path}{_where(error)} is no YAML ({_cause(error)}); correct it there") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8; expected {expected}") from error
    except RecursionError as error:
        raise InputError(f"{path} has lists or mappings within each other too deep to be read; write fewer") from error
    finally:
        if loader is not None:
            loader.dispose()


class _Reader:
    """Turns nodes into values. A node that aliases repeat is turned once: a small file cannot fill the memory."""

    def __init__(self, path: Path, loader: Any) -> None:
        self.lines: dict[Keys, int] = {}
        self._path, self._loader = path, loader
        self._done: dict[int, Any] = {}
        self._open: set[int] = set()

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        if id(node) in self._open:
            raise InputError(f"{self._path}, line {_line(node)}: an alias repeats what it stands in; write it out")
        if id(node) not in self._done:
            self._open.add(id(node))
            self._done[id(node)] = self._value(node, keys)
            self._open.discard(id(node))
        return self._done[id(node)]

    def _value(self, node: yaml.Node, keys: Keys) -> Any:
        if not isinstance(node, yaml.ScalarNode) and node.tag not in PLAIN_TAGS:
            raise InputError(f"{self._path}, line {_line(node)}: the tag {node.tag} has no meaning here; leave it out")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, keys)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*keys, str(number))) for number, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        """A number, text, time, truth value or None. PyYAML raises whatever Python does for one that cannot be, as for
        the date 2026-02-30."""
        try:
            return self._loader.construct_object(node)
        except (ValueError, ArithmeticError, LookupError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            raise InputError(
                f"{self._path}, line {_line(node)}: {described(node.value)} is no {kind}; put text in quotes, or "
                "correct it"
            ) from error

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError(f"{self._path}, line {_line(key_node)}: a key is no text; expected a name")
            key = str(key_node.value)  # as it is written: on, off, yes, no and 0 are names here
            inner = (*keys, key)
            if key in found:
                raise InputError(
                    f"{self._path}, line {_line(key_node)}: {'.'.join(inner)} stands twice, before on line "
                    f"{self.lines[inner]}; leave one out"
                )
            self.lines[inner] = _line(key_node)
            found[key] = self.value(value_node, inner)
        return found


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1},"


def _cause(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable")
