"""Garbage against the parser of MQTT commands: ``python -m benchmarks.line.fuzz_mqtt [--inputs 1000000] [--seed 0]``.

Inputs are commands with changed fields, bytes and lengths. Each must be taken or refused, without any other error, and
be taken only where an independent validator (jsonschema, with the schema as it is published) takes it, and the reverse.
What JSON Schema cannot say is known: the number of bytes, a name that stands twice, text that has no UTF-8.

``--corpus FOLDER`` writes one input of each outcome there. With ``--atheris`` a fuzzer that goes by the parser's own
branches makes the inputs, from those in that folder; it adds there what reaches new ones.
"""

import argparse
import hashlib
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import jsonschema

from benchmarks.documents import tell
from benchmarks.options import add_json_option
from runtime import cli
from runtime.errors import InputError
from runtime.line.results import LONGEST_TEXT
from runtime.publishing import commands
from runtime.publishing.commands import MOST_BYTES, NoCommand, command_of
from runtime.publishing.messages import COMMANDS, DIALECT

VALIDATORS = {  # by command, which is in each schema: all of them as one would take five times as long
    name: jsonschema.Draft202012Validator({"$schema": DIALECT, **each.schema}) for name, each in COMMANDS.items()
}
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 1.0, 1.5, -0.0, 1e300, 1e999, 2**31, 2**32 - 1, 2**32, 2**64, 10**400, [], [1], {},
    {"a": 1}, "", "a", "0", " ", "a\n", "\n", "\0", "\x7f", "é", "ü" * 16, "ü" * 17, "x" * 32, "x" * 33, "x" * 64,
    "x" * 65, "\ud800", "\u2028", "😀" * 8, "OK", "NG", "NONE", "NO_DECISION", "RUN", "BYPASS", "trigger", "mode",
]  # fmt: skip
TAKEN = "taken: "
TEXTS = ("serial", "order", "recipe")  # of registers, which count bytes


def sample(name: str) -> dict[str, Any]:
    """A command of a kind, with all its fields."""
    values = {
        "part_id": 17, "serial": "A-17", "order": "7", "challenge": "NG", "verdict": "0000abcd-1", "offline": True,
        "mode": "BYPASS", "recipe": "bottle@3",
    }  # fmt: skip
    own = {field.name: values[field.name] for field in COMMANDS[name].fields if field.name in values}
    return {"command": name, "id": "c-17", "sent_at_ms": 1_796_000_000_000, **own}


def mutated(seed: int) -> bytes:
    """An input: a command, mostly with something changed."""
    rng = random.Random(seed)
    document = sample(rng.choice(list(COMMANDS)))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        name = rng.choice([*document, "command", "kind", "", "version"])
        if rng.random() < 0.25:
            document.pop(name, None)
        else:
            document[name] = rng.choice(ODD)
    data = json.dumps(document, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")
    if rng.random() < 0.3:
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(changed) or 1)
            changed[at : at + rng.randrange(3)] = rng.choice(
                [b"", b"\0", b'"', b"{", b"}", b"[", b",", b"\\", b"\xff", b"1e"]
            )
        data = bytes(changed)
    if rng.random() < 0.02:
        data += rng.choice([b" " * MOST_BYTES, b"[" * 3_000, data])
    return data


def outcome(data: bytes) -> str:
    """What the parser says of an input, without its values: "taken: …", or the refusal."""
    try:
        return f"{TAKEN}{command_of(data).name}"
    except NoCommand as error:
        return re.sub(r" (has|is) .*;", r" \1 …;", str(error), flags=re.DOTALL)


def agrees(data: bytes) -> bool:
    """Whether an input is a command. Raises `InputError` where the validator says otherwise."""
    is_command, allowed = _parses(data), _allowed(data)
    if is_command != allowed:
        raise InputError(f"the parser says {is_command} and the schema {allowed} of {data!r}")
    return is_command


def _parses(data: bytes) -> bool:
    try:
        command_of(data)
    except NoCommand:
        return False
    return True


def _allowed(data: bytes) -> bool:
    """By Python's own JSON and jsonschema, and what no schema can say."""
    if len(data) > MOST_BYTES:
        return False
    try:
        document = json.loads(data.decode(), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return False
    names = _names_twice(document)
    document = _plain(document)
    command = document.get("command") if isinstance(document, dict) else None
    if names or not isinstance(command, str) or command not in VALIDATORS:
        return False
    if not VALIDATORS[command].is_valid(document):
        return False
    for name in TEXTS:
        try:
            if len(document.get(name, "").encode()) > LONGEST_TEXT:
                return False
        except UnicodeEncodeError:
            return False
    return True


class _Pairs(list[tuple[str, Any]]):
    """An object as it stands in JSON, with names that stand twice."""


def _names_twice(value: Any) -> bool:
    if isinstance(value, _Pairs):
        return len({name for name, _ in value}) < len(value) or any(_names_twice(each) for _, each in value)
    return isinstance(value, list) and any(_names_twice(each) for each in value)


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {name: _plain(each) for name, each in value}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def seeds(count: int, seed: int) -> Iterator[bytes]:
    """So many inputs."""
    for number in range(count):
        yield mutated(seed << 40 | number)


def measure(inputs: int, seed: int) -> tuple[dict[str, object], dict[str, bytes]]:
    """Try so many; counts, and the shortest input of each outcome. Raises `InputError` at the first that is wrong."""
    counts, kept = Counter[str](), dict[str, bytes]()
    began_s = time.monotonic()
    for data in seeds(inputs, seed):
        agrees(data)
        name = outcome(data)
        counts[name] += 1
        if name not in kept or len(data) < len(kept[name]):
            kept[name] = data
    taken = sum(count for name, count in counts.items() if name.startswith(TAKEN))
    found: dict[str, object] = {
        "inputs": inputs,
        "seed": seed,
        "commands": taken,
        "refused": inputs - taken,
        "outcomes": len(counts),
        "other_errors": 0,
        "seconds": round(time.monotonic() - began_s, 1),
    }
    return found, kept


def write_corpus(folder: Path, kept: dict[str, bytes]) -> None:
    """One file for each outcome, named by whether it is a command and by its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in kept.items():
        kind = "command" if name.startswith(TAKEN) else "none"
        (folder / f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)


def run_atheris(inputs: int, folders: Sequence[str]) -> None:
    """Let atheris choose the inputs, from those in `folders`. It ends the process itself."""
    atheris: Any = import_module("atheris")
    for function in vars(commands).values():
        if isinstance(function, FunctionType) and function.__module__ == commands.__name__:
            atheris.instrument_func(function)
    atheris.Setup([sys.argv[0], f"-runs={inputs}", f"-max_len={MOST_BYTES + 100}", *folders], agrees)
    atheris.Fuzz()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.line.fuzz_mqtt"), description="Garbage against the parser of MQTT commands."
    )
    parser.add_argument("--inputs", type=cli.positive, default=1_000_000, metavar="N", help="how many (1,000,000)")
    parser.add_argument("--seed", type=cli.seed, default=0, metavar="N", help="of the inputs (0)")
    parser.add_argument("--corpus", type=cli.some_path, metavar="FOLDER", help="keep one input of each outcome there")
    parser.add_argument("--atheris", action="store_true", help="inputs of the fuzzer atheris (pip install atheris)")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    if options.atheris:
        run_atheris(options.inputs, [str(options.corpus)] if options.corpus else [])
        return
    found, kept = measure(options.inputs, options.seed)
    if options.corpus:
        write_corpus(options.corpus, kept)
    tell(found, options.json)


if __name__ == "__main__":
    cli.run(main)
