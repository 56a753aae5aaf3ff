"""The options of ``python -m runtime.line`` in a YAML file, by their names: what a service is started with.

::

    detector: detector.onnx
    camera: pylon:22334455
    camera-set: {ExposureTime: 2000, PixelFormat: Mono8}
    modbus: 0.0.0.0:502
    deadline-ms: 200
    wait-for-camera: true
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runtime.arguments import described
from runtime.errors import InputError
from runtime.station.places import Document, read_document

ENDINGS = (".yaml", ".yml")
POSITIONAL = "detector"


def parse_with_file(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """The command line's arguments; where a YAML file stands in a detector's place, with the options in it, over which
    the command line's own go.

    Raises `InputError` for a file that cannot be read or holds something else; the parser ends the program for options
    that it does not take.
    """
    arguments = parser.parse_args(words)
    file: object = arguments.detector
    if not isinstance(file, Path) or file.suffix.lower() not in ENDINGS:
        return arguments
    rest = list(words)
    rest.remove(str(file) if str(file) in rest else next(word for word in rest if Path(word) == file))
    return parser.parse_args([*_words_in(read_document(file, "a YAML file of options"), parser), *rest])


def _words_in(document: Document, parser: argparse.ArgumentParser) -> Iterator[str]:
    content = document.content
    if not isinstance(content, dict):
        raise InputError(f"{document.path} holds {described(content)}; expected options, as in camera: demo")
    # argparse has no other way to tell which options a parser knows; one that prints and ends is for people
    options = {
        name[2:]: action
        for name, action in parser._option_string_actions.items()
        if name.startswith("--") and action.default != argparse.SUPPRESS
    }
    for name, value in content.items():
        place = document.place(name)
        if name == POSITIONAL:
            yield str(value)
        elif name not in options:
            raise InputError(f"{place}: unknown key {name}; known are {', '.join((POSITIONAL, *sorted(options)))}")
        elif options[name].nargs == 0:
            if not isinstance(value, bool):
                raise InputError(f"{place}: {name} is {described(value)}; expected true or false")
            if value:
                yield f"--{name}"
        else:
            yield from (f"--{name}={text}" for text in _texts(value, f"{place}: {name}"))


def _texts(value: Any, name: str) -> Iterator[str]:
    """A value as the command line has it: a mapping is several of ``NAME=VALUE``, a list several values."""
    if isinstance(value, dict):
        for key, each in value.items():
            said = str(each).lower() if isinstance(each, bool) else each  # as a camera's settings have it
            yield from (f"{key}={text}" for text in _texts(said, f"{name} {key}"))
    elif isinstance(value, list):
        yield from (text for each in value for text in _texts(each, name))
    elif isinstance(value, bool) or value is None:
        raise InputError(f"{name} is {described(value)}; expected a value")
    else:
        yield str(value)
