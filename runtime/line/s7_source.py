"""The data block as a source that TIA Portal or STEP 7 compiles: ``python -m runtime.line --s7-source tia``."""

from collections.abc import Iterator

from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME
from runtime.line.s7_area import TYPES, S7Layout, Table, members, size_of

DIALECTS = ("tia", "step7")
NAME = "Proctor"


def s7_source(layout: S7Layout, dialect: str) -> str:
    """The source's text. TIA Portal gives a block its number in the block's properties, STEP 7 in its source."""
    return "\n".join([*_head(layout, dialect), "  STRUCT", *_areas(layout), "  END_STRUCT;", "BEGIN", *_tail()])


def _head(layout: S7Layout, dialect: str) -> list[str]:
    if dialect == "step7":
        return [f"DATA_BLOCK DB {layout.db}", f"TITLE = {NAME}, {layout.bytes} bytes", "VERSION : 0.1", ""]
    return [
        f'DATA_BLOCK "{NAME}"',
        "{ S7_Optimized_Access := 'FALSE' }",
        "VERSION : 0.1",
        "NON_RETAIN",
        f"// in its properties: number {layout.db}",
    ]


def _tail() -> list[str]:
    return ["END_DATA_BLOCK", ""]


def _areas(layout: S7Layout) -> Iterator[str]:
    end, reserved = 0, 0
    areas = [
        (layout.to_runtime_at, "to_runtime", "the program writes it", TO_RUNTIME),
        (layout.from_runtime_at, "from_runtime", "the program reads it", FROM_RUNTIME),
    ]
    for at, name, who, table in sorted(areas, key=lambda area: area[0]):
        if at > end:
            reserved += 1
            yield f"    reserved_{reserved} : ARRAY [0 .. {at - end - 1}] OF BYTE;  // {end}.0 for registers to come"
        yield f"    {name} : STRUCT  // {at}.0 {who}"
        yield from _members(table, at)
        yield "    END_STRUCT;"
        end = at + size_of(table)


def _members(table: Table, at: int) -> Iterator[str]:
    for each in members(table):
        place = f"{each.byte + at}.{each.bit or 0}"
        yield f"      {each.register.name} : {TYPES[each.register.kind]};  // {place} {each.register.meaning}"
