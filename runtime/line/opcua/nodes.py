"""The nodes of the OPC UA server, by name: registers, methods, events. Their ids follow from the register map.

This is what the docs and the server are made of; it knows no OPC UA library.
"""

from dataclasses import dataclass

from runtime.line.registers import FROM_RUNTIME, TO_RUNTIME, Register

NAMESPACE = "urn:proctor:line"
INDEX = 2  # of the namespace, as this server has it; a client looks it up by the URI
LINE, TO, FROM = "Line", "ToRuntime", "FromRuntime"
TYPES = {"bit": "Boolean", "u16": "UInt16", "u32": "UInt32", "f32": "Float", "text": "String"}

# what is told of a result: these registers hold one, and the bits say so
_NAMES = [each.name for each in FROM_RUNTIME]
RESULT_VALUES = frozenset(_NAMES[_NAMES.index("result_code") : _NAMES.index("active_recipe")])
RESULTS = RESULT_VALUES | {"status", "results_valid", "job_pass"}


@dataclass(frozen=True)
class Argument:
    """Of a method, in or out."""

    name: str
    type: str  # of OPC UA
    meaning: str


@dataclass(frozen=True)
class Method:
    """A method of the line's object."""

    name: str
    meaning: str
    takes: tuple[Argument, ...]
    gives: tuple[Argument, ...]


_CAUSE = Argument("cause", "UInt16", "why not, as the register error")
_REASON = Argument("reason", "String", "the same in words")
RESULT_FIELDS = (
    Argument("inspection_id", "UInt32", "of the result"),
    Argument("acquisition_id", "UInt32", "of its trigger"),
    Argument("part_id", "UInt32", "of its part"),
    Argument("serial", "String", "of its part"),
    Argument("order", "String", "of its part"),
    Argument("code", "UInt16", "as result_code"),
    Argument("cause", "UInt16", "as result_cause"),
    Argument("reason", "String", "in words"),
    Argument("mode", "UInt16", "as result_mode"),
    Argument("score", "Float", "NaN where nothing was scored"),
    Argument("threshold", "Float", "NaN where nothing was scored"),
    Argument("took_ms", "UInt32", "from trigger to result"),
)

METHODS = (
    Method(
        "Trigger",
        "a part stands before the camera",
        (
            Argument("part_id", "UInt32", "as the register"),
            Argument("serial", "String", "as the register"),
            Argument("order", "String", "as the register"),
            Argument("challenge", "UInt16", "as the register"),
        ),
        (
            Argument("accepted", "Boolean", "whether it gets a result; if not, reject the part"),
            Argument("acquisition_id", "UInt32", "of the accepted trigger, else 0"),
            _CAUSE,
            _REASON,
        ),
    ),
    Method(
        "NextResult",
        "the oldest result that was not acknowledged",
        (Argument("timeout_ms", "UInt32", "how long to wait for one, 30000 at most"),),
        (
            Argument("found", "Boolean", "whether there is one; if not, the rest is 0 and empty"),
            Argument("job_pass", "Boolean", "whether the part passes"),
            *RESULT_FIELDS,
        ),
    ),
    Method(
        "Acknowledge",
        "the result was read; the next one may come",
        (Argument("inspection_id", "UInt32", "of the result"),),
        (Argument("acknowledged", "Boolean", "false where the oldest result is another one, or was not seen"),),
    ),
    Method(
        "SwitchRecipe",
        "put a recipe in force",
        (Argument("name", "String", "as the register recipe"),),
        (
            Argument("switched", "Boolean", "whether it is in force; if not, triggers are refused"),
            Argument("active_recipe", "String", "as the register"),
            Argument("recipe_version", "UInt32", "as the register"),
            _REASON,
        ),
    ),
)

EVENT = "RejectEventType"
EVENT_FIELDS = (*RESULT_FIELDS, Argument("refused", "Boolean", "a trigger was refused, and there is no result"))
SEVERITIES = {"NG": 400, "NO_DECISION": 600, "refused": 700}  # of 1 to 1000


def node_id(table: tuple[Register, ...], register: Register) -> str:
    """The string identifier of a register's node."""
    return f"{TO if table is TO_RUNTIME else FROM}.{register.name}"


def registers() -> dict[str, tuple[tuple[Register, ...], Register]]:
    """Every register and its table, by the identifier of its node."""
    return {node_id(table, each): (table, each) for table in (TO_RUNTIME, FROM_RUNTIME) for each in table}


def tables() -> str:
    """All nodes in Markdown, as they stand in the docs."""
    lines = [f"Namespace `{NAMESPACE}`, index {INDEX} in this server.", "", "| node | type | access |", "|---|---|---|"]
    for name, (table, register) in registers().items():
        access = "read, write" if table is TO_RUNTIME else "read"
        lines.append(f"| `ns={INDEX};s={name}` | {TYPES[register.kind]} | {access} |")
    lines += ["", f"Methods of `ns={INDEX};s={LINE}`:", "", "| method | takes | gives |", "|---|---|---|"]
    for method in METHODS:
        lines.append(f"| `ns={INDEX};s={LINE}.{method.name}` | {_listed(method.takes)} | {_listed(method.gives)} |")
    lines += ["", f"Fields of the event `ns={INDEX};s={EVENT}`, beside those of BaseEventType:", ""]
    lines += ["| field | type | meaning |", "|---|---|---|"]
    lines += [f"| `{each.name}` | {each.type} | {each.meaning} |" for each in EVENT_FIELDS]
    return "\n".join(lines)


def _listed(arguments: tuple[Argument, ...]) -> str:
    return ", ".join(f"{each.name}: {each.type}" for each in arguments)
