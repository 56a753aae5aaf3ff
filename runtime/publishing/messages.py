"""The messages, once: every field with its JSON schema and meaning.

From this table come the schema that is published, the check of commands, and the tables of the docs. New fields are
added at the end; `VERSION` counts up when one is changed or removed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.line.registers import FROM_RUNTIME, WORDS, Register
from runtime.line.results import LARGEST_U32, LONGEST_TEXT, Cause, Code, Mode

VERSION = 1
LONGEST_REASON = 500  # characters
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
U32: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_U32}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 0}
REASON: Schema = {"type": "string", "maxLength": LONGEST_REASON}
# `$` of some validators matches before a last line break, too
PRINTABLE: Schema = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[!-~]+$(?!\n)"}
SHORT_TEXT: Schema = {"type": "string", "maxLength": LONGEST_TEXT, "pattern": r"^[^\u0000-\u001f\u007f]*$(?!\n)"}


def _named(*kinds: type[Code] | type[Cause] | type[Mode], without: tuple[str, ...] = ()) -> Schema:
    return {"enum": [each.name for kind in kinds for each in kind if each.name not in without]}


@dataclass(frozen=True)
class Field:
    """A field of a message."""

    name: str
    schema: Schema
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Message:
    """A kind of message, and the topic that it goes to or comes from."""

    kind: str
    topic: str
    meaning: str
    fields: tuple[Field, ...]
    retained: bool = False
    kind_field: str = "kind"  # which field says the kind

    @property
    def schema(self) -> Schema:
        """What its documents keep to: no other fields, and none missing."""
        first = Field(self.kind_field, {"const": self.kind}, "")
        return {
            "type": "object",
            "properties": {each.name: each.schema for each in (first, *self.fields)},
            "required": [each.name for each in (first, *self.fields) if each.required],
            "additionalProperties": False,
        }


HEAD = (
    Field("version", {"const": VERSION}, "of these messages"),
    Field("site", TEXT, "as in the topic"),
    Field("line", TEXT, "likewise"),
    Field("station", TEXT, "likewise"),
    Field("session_id", {**U32, "minimum": 1}, "another one after each start"),
    Field("at_ms", COUNT, "when it was made, milliseconds since 1970 UTC"),
)
_PART = (
    Field("part_id", TEXT_OR_NULL, "as the controller or the camera has it"),
    Field("serial", TEXT_OR_NULL, "serial number; null where none was given"),
    Field("order", TEXT_OR_NULL, "order or batch, likewise"),
)
_ID = Field("id", PRINTABLE, "of this message; no other has it. The same message may come again, with the same id")
_CAUSE = Field("cause", _named(Cause), "why there is no pass, for a program")
_REASON = Field("reason", REASON, "for a person")

VERDICT = Message(
    "verdict",
    "verdict",
    "what a part got",
    (
        *HEAD,
        _ID,
        Field("replaces", TEXT_OR_NULL, "id of the verdict that this one takes back; null for a first one"),
        Field("inspection_id", {"type": "integer", "minimum": 1}, "rising within a session"),
        Field("acquisition_id", COUNT_OR_NULL, "of the trigger; null in a stream"),
        *_PART,
        Field("code", _named(Code, without=("NONE",)), "the part passes with OK, and in no other case"),
        _CAUSE,
        _REASON,
        Field("score", NUMBER_OR_NULL, "null where nothing was scored"),
        Field("threshold", NUMBER_OR_NULL, "likewise"),
        Field("mode", _named(Mode), "in DRY_RUN no part is told its verdict; in BYPASS and FORCED_… none is inspected"),
        Field("triggered_at_ms", COUNT_OR_NULL, "milliseconds since 1970 UTC; null in free run"),
        Field("captured_at_ms", COUNT_OR_NULL, "null of a line"),
        Field("decided_at_ms", COUNT, "likewise"),
        Field("took_ms", {"type": "number", "minimum": 0}, "from trigger, or in free run capture, to decision"),
        Field("camera", TEXT_OR_NULL, "which one, of a stream with several"),
        Field("frame_id", {"type": ["integer", "null"]}, "of a stream"),
        Field("recipe_sha256", TEXT_OR_NULL, "of the detector's recipe, of a stream"),
    ),
)
REFUSAL = Message(
    "refusal",
    "event",
    "a trigger that was refused: it gets no verdict, and its part is to be rejected",
    (*HEAD, _ID, *_PART, _CAUSE, _REASON),
)
DROPPED = Message(
    "dropped",
    "event",
    "verdicts and refusals that never arrived, or of which it is not known: the queue was full, or nobody takes them",
    (
        *HEAD,
        _ID,
        Field("count", {"type": "integer", "minimum": 1}, "since this was last told"),
        Field("total", {"type": "integer", "minimum": 1}, "of this session"),
    ),
)
STATUS = Message(
    "status",
    "status",
    "that the station is there; its last will says that it is not",
    (
        *HEAD,
        Field("running", BOOLEAN, "false once it was stopped or lost"),
        Field(
            "why",
            {"enum": ["running", "stopped", "lost"]},
            "lost: a last will, whose `at_ms` is when the connection began",
        ),
        Field("started_at_ms", COUNT, "milliseconds since 1970 UTC"),
        Field("period_ms", {"type": "number", "exclusiveMinimum": 0}, "it comes once in so many, and at each change"),
        Field("commands", BOOLEAN, "whether it takes commands"),
        Field("verdicts", COUNT, "verdicts and refusals of this session"),
        Field("waiting", COUNT, "of them, not yet taken by the broker"),
        Field("dropped", COUNT, "of them, dropped"),
        Field("connections", COUNT, "how often the broker was reached in this session: one that counts up was lost"),
    ),
    retained=True,
)


def _register(register: Register) -> Schema:
    if register.kind == "bit":
        return BOOLEAN
    if register.kind == "text":
        return {"type": "string", "maxLength": LONGEST_TEXT}
    if register.kind == "f32":
        return NUMBER_OR_NULL
    return {"type": "integer", "minimum": 0, "maximum": 2 ** (16 * WORDS[register.kind]) - 1}


REGISTERS = Message(
    "registers",
    "registers",
    "the registers from the runtime, of a line: the table of runtime/line/README.md by its names",
    (
        *HEAD,
        Field("verdict", TEXT_OR_NULL, "id of the verdict in the registers of the result, to be acknowledged"),
        Field(
            "registers",
            {
                "type": "object",
                "properties": {each.name: _register(each) for each in FROM_RUNTIME},
                "required": [each.name for each in FROM_RUNTIME],
                "additionalProperties": False,
            },
            "bits as true and false, NaN as null",
        ),
    ),
    retained=True,
)

COMMAND_HEAD = (
    Field("id", PRINTABLE, "yours; the answer has it. Another one for each command: a repeated one is not done again"),
    Field("sent_at_ms", COUNT, "milliseconds since 1970 UTC; a command that is too old is refused"),
)


def _command(kind: str, meaning: str, *fields: Field) -> Message:
    return Message(kind, "command", meaning, (*COMMAND_HEAD, *fields), kind_field="command")


COMMANDS: Mapping[str, Message] = {
    each.kind: each
    for each in (
        _command(
            "trigger",
            "a part stands before the camera",
            Field("part_id", U32, "the controller's own"),
            Field("serial", SHORT_TEXT, f"serial number, {LONGEST_TEXT} bytes of UTF-8 at most", required=False),
            Field("order", SHORT_TEXT, "order or batch, likewise", required=False),
            Field("challenge", _named(Code, without=("NONE", "NO_DECISION")), "of a challenge part", required=False),
        ),
        _command("acknowledge", "the verdict was read", Field("verdict", PRINTABLE, "its id")),
        _command("set_offline", "refuse triggers, or accept them again", Field("offline", BOOLEAN, "whether")),
        _command("mode", "of the triggers that follow", Field("mode", _named(Mode), "as in a verdict")),
        _command(
            "switch_recipe",
            "put a recipe in force",
            Field("recipe", {**SHORT_TEXT, "minLength": 1}, "its name, or with its version as in bottle@3"),
        ),
    )
}
ANSWER = Message(
    "answer",
    "answer",
    "to each command, also to one that is none",
    (
        *HEAD,
        Field("id", {"type": ["string", "null"], "maxLength": 64}, "of the command; null where it has none"),
        Field("command", {"enum": [*COMMANDS, None]}, "null where it is none"),
        Field("done", BOOLEAN, "of a trigger: accepted"),
        Field("cause", _named(Cause), "why not, for a program: of a refused trigger its cause, else BAD_INPUT"),
        _REASON,
        Field("acquisition_id", COUNT_OR_NULL, "of an accepted trigger; its verdict has it, too"),
    ),
)

PUBLISHED = (VERDICT, REFUSAL, DROPPED, STATUS, REGISTERS, ANSWER)
SCHEMA_TOPIC = "schema"


def schema() -> Schema:
    """The JSON schema of all messages, commands apart: those are below ``$defs`` as ``command-…``."""
    definitions = {each.kind: each.schema for each in PUBLISHED}
    definitions |= {f"command-{name}": each.schema for name, each in COMMANDS.items()}
    return {
        "$schema": DIALECT,
        "title": f"Proctor, messages of a station, version {VERSION}",
        "oneOf": [{"$ref": f"#/$defs/{each.kind}"} for each in PUBLISHED],
        "$defs": definitions,
    }
