"""The topics and messages as they stand in the docs: ``python -m runtime.line --topics``."""

import json

from runtime.publishing.messages import (
    COMMAND_HEAD,
    COMMANDS,
    HEAD,
    PUBLISHED,
    SCHEMA_TOPIC,
    TEXT,
    VERSION,
    Field,
    Message,
    Schema,
)


def message_tables() -> str:
    """All tables in Markdown, with their headings."""
    lines = [
        f"Version {VERSION}. Topics are below `proctor/<site>/<line>/<station>/`.",
        "",
        "| topic | messages | retained |",
        "|---|---|---|",
        *_topics(),
    ]
    lines += ["", "Every message begins with", "", *_table((Field("kind", TEXT, "as below"), *HEAD))]
    for message in PUBLISHED:
        lines += ["", f"**`{message.kind}`**: {message.meaning}.", "", *_table(_own(message, HEAD))]
    lines += ["", "Every command has", "", *_table((Field("command", TEXT, "as below"), *COMMAND_HEAD))]
    for message in COMMANDS.values():
        lines += ["", f"**Command `{message.kind}`**: {message.meaning}.", "", *_table(_own(message, COMMAND_HEAD))]
    return "\n".join(lines)


def _own(message: Message, head: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(each for each in message.fields if each not in head)


def _topics() -> list[str]:
    topics = dict.fromkeys(message.topic for message in PUBLISHED)
    rows = []
    for topic in topics:
        of_it = [message for message in PUBLISHED if message.topic == topic]
        rows.append(_row(topic, ", ".join(f"`{each.kind}`" for each in of_it), of_it[0].retained))
    commands: Message = next(iter(COMMANDS.values()))
    rows.append(_row(SCHEMA_TOPIC, "the JSON schema of all messages", True))
    return [*rows, _row(commands.topic, f"to the station: {', '.join(f'`{name}`' for name in COMMANDS)}", False)]


def _row(topic: str, messages: str, retained: bool) -> str:
    return f"| `{topic}` | {messages} | {'yes' if retained else 'no'} |"


def _table(fields: tuple[Field, ...]) -> list[str]:
    rows = [f"| `{each.name}` | {_kind(each)} | {each.meaning} |" for each in fields]
    return ["| name | type | meaning |", "|---|---|---|", *rows]


def _kind(field: Field) -> str:
    schema, optional = field.schema, "" if field.required else ", may be left out"
    return _type(schema) + optional


def _type(schema: Schema) -> str:
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return ", ".join("null" if each is None else str(each) for each in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    text = " or ".join(kinds)
    if "maxLength" in schema:
        text += f" of {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    if "maximum" in schema:
        text += f" from {schema['minimum']} to {schema['maximum']}"
    return text
