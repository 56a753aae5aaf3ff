"""The register map as it stands in the docs: ``python -m runtime.line --registers``."""

from runtime.line.c_header import c_type
from runtime.line.registers import FROM_RUNTIME, MAP_VERSION, TO_RUNTIME, Register, documented
from runtime.line.wire import TRIGGER

_HEAD = ["| name | type | Modbus | C | meaning |", "|---|---|---|---|---|"]


def register_tables() -> str:
    """Both tables in Markdown, with their headings."""
    to_runtime = documented(TO_RUNTIME, _in_trigger)
    from_runtime = documented(FROM_RUNTIME, c_type)
    lines = [
        f"Version {MAP_VERSION}. Modbus addresses are words from 0, `.n` is a bit of the word.",
        "",
        "To the runtime (in C those of `struct proctor_trigger`; the others are not there):",
        "",
        *_HEAD,
        *to_runtime,
        "",
        "From the runtime (in C `struct proctor_status`; bits are of its word `status`):",
        "",
        *_HEAD,
        *from_runtime,
    ]
    return "\n".join(lines)


def _in_trigger(register: Register) -> str:
    return c_type(register) if register.name in {field.name for field in TRIGGER.fields} else "–"
