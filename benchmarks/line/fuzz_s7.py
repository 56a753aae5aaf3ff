"""Garbage from an S7 controller: ``python -m benchmarks.line.fuzz_s7 [--inputs 1000000] [--seed 0] [--corpus FILE]``.

Areas of random bytes, and areas as a controller writes them with bytes changed and cut, go through what reads them.
Each must be words, which are the same area again, or one sentence. Every tenth goes on into a handshake: no trigger of
an area that cannot be read is accepted. `--corpus` writes a few inputs of each outcome.
"""

import argparse
import random
import re
import time
from collections import Counter

from benchmarks.documents import tell, write_document
from benchmarks.options import add_json_option
from runtime import cli
from runtime.errors import InputError
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.registers import TO_RUNTIME, words_of
from runtime.line.s7_area import area_of, bit_of, size_of, words_of_area

SIZE = size_of(TO_RUNTIME)
OF_EACH = 3  # inputs in the corpus
BASES = 500  # areas as a controller writes them
HANDSHAKE_EVERY = 10
READABLE = "words"
TEXTS = ("", "A-17", "Prüfling 7", "x" * 32, "€" * 10)


def base_area(rng: random.Random) -> bytes:
    """What a controller writes."""
    values: dict[str, object] = {
        "trigger_enable": rng.random() < 0.9,
        "trigger": rng.random() < 0.5,
        "results_acknowledge": rng.random() < 0.5,
        "part_id": rng.getrandbits(32),
        "encoder": rng.getrandbits(32),
        **{name: rng.choice(TEXTS) for name in ("serial", "order", "recipe")},
    }
    return area_of(TO_RUNTIME, words_of(TO_RUNTIME, values))


def some_area(rng: random.Random, bases: list[bytes]) -> bytes:
    """What a controller may have there, or not."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.choice([SIZE, SIZE, SIZE, rng.randrange(2 * SIZE)]))
    data = bytearray(rng.choice(bases))
    for _ in range(rng.randrange(4)):
        data[rng.randrange(SIZE)] = rng.choice([0, 1, 32, 33, 254, 255, rng.randrange(256)])
    if rng.random() < 0.02:
        del data[rng.randrange(SIZE) :]
    return bytes(data)


def words_or_reason(data: bytes) -> list[int] | str:
    """The words of an area, or why it is none, without its numbers. Raises whatever is not meant to be."""
    try:
        words = words_of_area(TO_RUNTIME, data)
    except InputError as error:
        return re.sub(r"\d+", "N", str(error))
    if words_of_area(TO_RUNTIME, area_of(TO_RUNTIME, words)) != words:
        raise AssertionError(f"{data.hex()} is not the same again")
    return words


def outcome_of(data: bytes) -> str:
    """What comes of an area in a handshake, in words. Raises whatever is not meant to be."""
    handshake = Handshake(60.0)
    handshake.ready()
    levels = Levels(handshake)
    found = words_or_reason(data)
    if isinstance(found, str):
        if len(data) == SIZE:
            levels.unreadable(bit_of(TO_RUNTIME, "trigger", data), found)
        if handshake.view().accepted:
            raise AssertionError(f"a trigger of {data.hex()} was accepted")
        return found
    levels.write(found)
    view = handshake.view()
    return f"{view.accepted} accepted, {view.missed} refused, {view.missed_cause.name}"


def measure(inputs: int, seed: int) -> tuple[dict[str, object], list[dict[str, str]]]:
    """What came of so many, and a few of each."""
    rng, outcomes, corpus = random.Random(seed), Counter[str](), list[dict[str, str]]()
    bases, started_s = [base_area(rng) for _ in range(BASES)], time.process_time()
    for number in range(inputs):
        data = some_area(rng, bases)
        if number % HANDSHAKE_EVERY:
            found = words_or_reason(data)
            outcome = found if isinstance(found, str) else READABLE
        else:
            outcome = outcome_of(data)
        outcomes[outcome] += 1
        if outcomes[outcome] <= OF_EACH and outcome != READABLE:
            corpus.append({"area": data.hex(), "outcome": outcome})
    took_s = round(time.process_time() - started_s, 1)
    return {"inputs": inputs, "computed_s": took_s, "outcomes": dict(outcomes)}, corpus


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog=cli.program("benchmarks.line.fuzz_s7"), description="Garbage from an S7 controller."
    )
    parser.add_argument("--inputs", type=cli.positive, default=1_000_000, metavar="N", help="how many (1000000)")
    parser.add_argument("--seed", type=cli.seed, default=0, metavar="N", help="of the garbage (0)")
    parser.add_argument("--corpus", type=cli.some_path, metavar="FILE", help="write a few inputs of each outcome there")
    add_json_option(parser)
    options = parser.parse_args(arguments)
    found, corpus = measure(options.inputs, options.seed)
    tell(found, options.json, {"seed": options.seed})
    if options.corpus:
        write_document(options.corpus, corpus)


if __name__ == "__main__":
    cli.run(main)
