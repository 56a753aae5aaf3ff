"""The register map: every name that a controller sees, once, with its place in each protocol.

A name's Modbus address follows from its place in the table and its type, and so does its field in the C structs and its
OPC UA node. New names are added at the end, and `MAP_VERSION` counts up when one is changed or removed: a controller's
program has these addresses in it. ``python -m runtime.line`` prints the table as it stands in the docs.
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any, Literal

from runtime.errors import InputError
from runtime.line.handshake import State, View
from runtime.line.results import LONGEST_TEXT, Cause, Code, Mode, Result

MAP_VERSION = 1
Kind = Literal["bit", "u16", "u32", "f32", "text"]
WORDS: dict[str, int] = {"u16": 1, "u32": 2, "f32": 2, "text": LONGEST_TEXT // 2}  # of 16 bits


@dataclass(frozen=True)
class Register:
    """One value that controller and runtime share."""

    name: str
    kind: Kind
    meaning: str
    bit: int | None = None  # of the word before, for a bit


def _bits(word: str, meaning: str, bits: Sequence[tuple[str, str]]) -> list[Register]:
    """A word of bits, lowest first, and the bits in it."""
    return [Register(word, "u16", meaning), *(Register(name, "bit", text, at) for at, (name, text) in enumerate(bits))]


def _numbers(kind: type[Any]) -> str:
    return ", ".join(f"{value.value} {value.name}" for value in kind)


TO_RUNTIME = (
    *_bits(
        "control",
        "bits that the controller sets",
        [
            ("trigger_enable", "triggers are accepted"),
            ("trigger", "a part stands before the camera; set until trigger_acknowledge, or until `missed` counts up"),
            ("results_acknowledge", "the result was read; set until results_valid is clear"),
            ("set_offline", "refuse triggers"),
            ("switch_recipe", "put `recipe` in force; set until recipe_acknowledge or recipe_refused"),
        ],
    ),
    Register("part_id", "u32", "of the part that is triggered"),
    Register("mode", "u16", f"of the triggers that follow: {_numbers(Mode)}"),
    Register("challenge", "u16", "verdict that the part must get, as result_code; 0: it is no challenge part"),
    Register("encoder", "u32", "the line's encoder, counts; it may wrap around"),
    Register("serial", "text", "the part's serial number, UTF-8"),
    Register("order", "text", "order or batch, UTF-8"),
    Register("recipe", "text", "to switch to: its name, for the version last in force, or as in bottle@3"),
)

FROM_RUNTIME = (
    Register("map_version", "u16", f"of this table: {MAP_VERSION}"),
    *_bits(
        "status",
        "bits that the runtime sets",
        [
            ("online", "not set offline"),
            ("trigger_ready", "a trigger would be accepted now"),
            ("trigger_acknowledge", "the trigger was accepted; clear it"),
            ("missed_acquisition", "the last trigger was refused: reject the part; set until one is accepted"),
            ("acquiring", "a part must stay before the camera"),
            ("inspecting", "a picture is being judged"),
            ("results_valid", "the registers from result_code on hold a result"),
            ("job_pass", "the part passes; only with results_valid"),
            ("buffer_overrun", "the last trigger was refused since results were not acknowledged"),
            ("bypass", "parts pass uninspected"),
            ("challenge_due", "triggers of challenge parts alone are accepted, whatever trigger_ready says"),
            ("recipe_acknowledge", "the recipe that was asked for is in force; clear switch_recipe"),
            ("recipe_refused", "it is not; no trigger is accepted until a switch succeeds"),
            ("gate_passes", "the part that came to the reject gate last passes"),
        ],
    ),
    Register("state", "u16", _numbers(State)),
    Register("error", "u16", f"why no trigger is accepted: {_numbers(Cause)}"),
    Register("heartbeat", "u16", "counts passes of the inference loop; stands still while the line is held"),
    Register("session_id", "u32", "another one after each start; never 0"),
    Register("acquisition_id", "u32", "of the last accepted trigger; 0 before the first"),
    Register("missed", "u32", "refused triggers of this session"),
    Register("missed_part_id", "u32", "of the last refused trigger"),
    Register("missed_cause", "u16", "why the last refused trigger was refused, as error"),
    Register("too_late", "u32", "answers that came after their part's deadline and were dropped"),
    Register("waiting", "u16", "results that nobody acknowledged"),
    Register("result_code", "u16", f"of the oldest result: {_numbers(Code)}"),
    Register("result_cause", "u16", "why it is no pass, as error"),
    Register("result_mode", "u16", "in which mode it was made, as mode"),
    Register("inspection_id", "u32", "of the result, rising within a session"),
    Register("result_acquisition_id", "u32", "of the result's trigger"),
    Register("result_part_id", "u32", "of the result's part"),
    Register("score", "f32", "NaN where nothing was scored"),
    Register("threshold", "f32", "NaN where nothing was scored"),
    Register("took_ms", "u32", "from trigger to result"),
    Register("result_serial", "text", "of the result's part"),
    Register("result_order", "text", "of the result's part"),
    Register("active_recipe", "text", "in force, by name; empty where the runtime was given a file"),
    Register("recipe_version", "u32", "of active_recipe"),
    Register("gate_count", "u32", "parts that came to the reject gate in this session"),
    Register("gate_part_id", "u32", "of the last of them"),
    Register("gate_history", "u16", "bit n: the part that came n parts before the last one passes"),
)
F32 = 3.4028234663852886e38  # the largest; a threshold may lie beyond


@cache
def addresses(table: tuple[Register, ...]) -> dict[str, int]:
    """The Modbus address of each register of a table, in words from 0; of a bit, that of its word."""
    sizes = [0 if each.kind == "bit" else WORDS[each.kind] for each in table]
    found, ends = {}, list(accumulate(sizes))
    word = 0
    for each, size, end in zip(table, sizes, ends, strict=True):
        word = end - size if each.kind != "bit" else word
        found[each.name] = word
    return found


def as_f32(value: float) -> float:
    """The number, or the nearest that a float of 32 bits can be."""
    return max(-F32, min(value, F32)) if math.isfinite(value) else value


def words_of(table: tuple[Register, ...], values: Mapping[str, object]) -> list[int]:
    """The values of a table, by name, as words of 16 bits. Numbers of 32 bits have their high word first.

    A name without a value is 0.
    """
    words: list[int] = []
    places = addresses(table)
    for each in table:
        value: Any = values.get(each.name, 0)
        if each.kind == "bit":
            assert each.bit is not None
            words[places[each.name]] |= bool(value) << each.bit
        elif each.kind == "text":
            data = str(value or "").encode()[:LONGEST_TEXT].ljust(LONGEST_TEXT, b"\0")
            words += struct.unpack(f">{LONGEST_TEXT // 2}H", data)
        elif each.kind == "f32":
            words += struct.unpack(">2H", struct.pack(">f", as_f32(value)))
        elif each.kind == "u32":
            words += [value >> 16 & 0xFFFF, value & 0xFFFF]
        else:
            words.append(value & 0xFFFF)
    return words


def values_of(table: tuple[Register, ...], words: Sequence[int]) -> dict[str, Any]:
    """What `words_of` made words of. Raises `InputError` for text that is no UTF-8, and for another number of words."""
    expected = sum(WORDS.get(each.kind, 0) for each in table)
    if len(words) != expected:
        raise InputError(f"{len(words)} registers; expected {expected}")
    found: dict[str, Any] = {}
    places = addresses(table)  # once: the cache has to hash the table
    for each in table:
        at = places[each.name]
        if each.kind == "bit":
            found[each.name] = bool(words[at] >> (each.bit or 0) & 1)
        elif each.kind == "text":
            found[each.name] = _text(each.name, struct.pack(f">{LONGEST_TEXT // 2}H", *words[at : at + 16]))
        elif each.kind == "f32":
            (found[each.name],) = struct.unpack(">f", struct.pack(">2H", *words[at : at + 2]))
        elif each.kind == "u32":
            found[each.name] = words[at] << 16 | words[at + 1]
        else:
            found[each.name] = words[at]
    return found


def _text(name: str, data: bytes) -> str:
    try:
        return data.rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise InputError(f"the register {name} holds bytes that are no UTF-8") from error


def status_of(
    view: View, trigger_acknowledge: bool, results_valid: bool, recipe_acknowledge: bool = False
) -> dict[str, object]:
    """What the registers from the runtime hold. Without `results_valid` those of the result are 0."""
    from_view: dict[str, object] = {
        "map_version": MAP_VERSION,
        "online": view.online,
        "trigger_ready": view.trigger_ready,
        "trigger_acknowledge": trigger_acknowledge,
        "missed_acquisition": view.missed_acquisition,
        "acquiring": view.acquiring,
        "inspecting": view.inspecting,
        "buffer_overrun": view.buffer_overrun,
        "bypass": view.mode is Mode.BYPASS,
        "challenge_due": view.challenge_due,
        "state": view.state,
        "error": view.error,
        "heartbeat": view.heartbeat,
        "session_id": view.session_id,
        "acquisition_id": view.acquisition_id,
        "missed": view.missed,
        "missed_part_id": view.missed_part_id,
        "missed_cause": view.missed_cause,
        "too_late": view.too_late,
        "waiting": view.waiting,
        "recipe_acknowledge": recipe_acknowledge,
        "recipe_refused": view.inspected.refused,
        "active_recipe": view.inspected.recipe,
        "recipe_version": view.inspected.version,
        "gate_passes": view.gate.passes,
        "gate_count": view.gate.count,
        "gate_part_id": view.gate.part_id,
        "gate_history": view.gate.history,
    }
    return from_view | (_result(view.result) if results_valid and view.result is not None else {})


def _result(result: Result) -> dict[str, object]:
    not_scored = float("nan")
    return {
        "results_valid": True,
        "job_pass": result.passes,
        "result_code": result.code,
        "result_cause": result.cause,
        "result_mode": result.mode,
        "inspection_id": result.inspection_id,
        "result_acquisition_id": result.acquisition_id,
        "result_part_id": result.part.part_id,
        "score": not_scored if result.score is None else result.score,
        "threshold": not_scored if result.threshold is None else result.threshold,
        "took_ms": min(int(result.took_ms), 2**32 - 1),
        "result_serial": result.part.serial,
        "result_order": result.part.order,
    }


def documented(table: tuple[Register, ...], c_type: Callable[[Register], str]) -> list[str]:
    """The rows of a table of the docs: name, type, Modbus address, C field, meaning."""
    found = addresses(table)
    return [
        f"| `{each.name}` | {each.kind} | {found[each.name]}{'' if each.bit is None else f'.{each.bit}'} "
        f"| `{c_type(each)}` | {each.meaning} |"
        for each in table
    ]
