"""The address space: objects, variables, methods and the event of one line, made from their tables."""

from datetime import datetime, timezone
from typing import Any

from asyncua import Node, Server, ua
from asyncua.common.events import get_event_obj_from_type_node

from runtime.line.handshake import Refusal
from runtime.line.opcua.controller import Control
from runtime.line.opcua.limits import MOST_BROWSED, MOST_METHODS, MOST_OPERATIONS
from runtime.line.opcua.nodes import (
    EVENT,
    EVENT_FIELDS,
    FROM,
    INDEX,
    LINE,
    METHODS,
    NAMESPACE,
    SEVERITIES,
    TO,
    Argument,
    registers,
)
from runtime.line.opcua.sessions import data_value, fields_of, nothing, variant
from runtime.line.opcua.vision import FIELDS, RESULT, STATES
from runtime.line.registers import TO_RUNTIME
from runtime.line.results import Result

LIMITS = {
    "MaxNodesPerRead": MOST_OPERATIONS,
    "MaxNodesPerWrite": MOST_OPERATIONS,
    "MaxNodesPerBrowse": MOST_BROWSED,
    "MaxNodesPerMethodCall": MOST_METHODS,
    "MaxNodesPerTranslateBrowsePathsToNodeIds": MOST_OPERATIONS,
    "MaxMonitoredItemsPerCall": MOST_OPERATIONS,
}


class Space:
    """What the server shows of one line. For the thread of the server's loop."""

    def __init__(self, server: Server, control: Control) -> None:
        self._server, self._control = server, control
        self._event: Any = None
        self._shown: dict[str, Any] = {}

    async def build(self) -> None:
        """All nodes. The server has been initialised, and does not serve yet."""
        assert await self._server.register_namespace(NAMESPACE) == INDEX
        await self._limits()
        objects = self._server.get_objects_node()
        line = await objects.add_object(_id(LINE), _name(LINE))
        await self._registers(line)
        for method in METHODS:
            arguments = [[_argument(each) for each in some] for some in (method.takes, method.gives)]
            node = await line.add_method(_id(f"{LINE}.{method.name}"), _name(method.name), _nobody, *arguments)
            await _describe(node, method.meaning)
        await self._events(line)
        await self._vision(line)

    async def _registers(self, line: Node) -> None:
        folders = {name: await line.add_object(_id(name), _name(name)) for name in (TO, FROM)}
        looked = self._control.look(None)
        for name, (table, register) in registers().items():
            parent = folders[TO if table is TO_RUNTIME else FROM]
            value = data_value(self._control, name, looked).Value
            node = await parent.add_variable(_id(name), _name(register.name), value)
            await _describe(node, register.meaning)
            if table is TO_RUNTIME and self._control.allowed:
                await node.set_writable()
            self._server.set_attribute_value_callback(node.nodeid, self._unseen(name))

    def _unseen(self, name: str) -> Any:
        """How a register is read by whoever is no session that controls."""
        return lambda *_: data_value(self._control, name, self._control.look(None))

    async def _events(self, line: Node) -> None:
        base = self._server.get_node(ua.ObjectIds.BaseEventType)
        kind = await base.add_object_type(_id(EVENT), _name(EVENT))
        for each in EVENT_FIELDS:
            value = variant(each.type, nothing(each))
            await _describe(await kind.add_property(_id(f"{EVENT}.{each.name}"), _name(each.name), value), each.meaning)
        self._event = await get_event_obj_from_type_node(kind)
        self._event.SourceNode, self._event.SourceName = line.nodeid, LINE
        for node in (line, self._server.get_node(ua.ObjectIds.Server)):
            await node.set_event_notifier([ua.EventNotifier.SubscribeToEvents])

    async def _vision(self, line: Node) -> None:
        made = {"": line}
        for path in (*STATES, *(f"{RESULT}.{each}" for each in FIELDS)):
            steps = path.split(".")
            for depth in range(1, len(steps)):
                name, parent = ".".join(steps[:depth]), made[".".join(steps[: depth - 1])]
                if name not in made:
                    made[name] = await parent.add_object(_id(name), _name(steps[depth - 1]))
            kind = FIELDS[steps[-1]] if path.startswith(RESULT) else "LocalizedText"
            await made[".".join(steps[:-1])].add_variable(
                _id(path), _name(steps[-1]), variant(kind, _empty(kind)), datatype=ua.NodeId(ua.VariantType[kind].value)
            )

    async def _limits(self) -> None:
        prefix = "Server_ServerCapabilities_OperationLimits_"
        for name, most in LIMITS.items():
            node = self._server.get_node(getattr(ua.ObjectIds, prefix + name))
            await node.write_value(ua.Variant(most, ua.VariantType.UInt32))

    async def show(self, states: tuple[str, str], result: dict[str, Any] | None) -> None:
        """The nodes of machine vision, where they have changed."""
        values: dict[str, Any] = {path: ua.LocalizedText(state) for path, state in zip(STATES, states, strict=True)}
        if result is not None:
            values |= {f"{RESULT}.{name}": value for name, value in result.items()}
            values[f"{RESULT}.CreationTime"] = datetime.fromtimestamp(result["CreationTime"], timezone.utc)
        for path, value in values.items():
            if self._shown.get(path) != value:
                self._shown[path] = value
                kind = FIELDS[path.rpartition(".")[2]] if path.startswith(RESULT) else "LocalizedText"
                now = datetime.now(timezone.utc)
                shown = ua.DataValue(variant(kind, value), ua.StatusCode(ua.StatusCodes.Good), now, now)
                await self._server.iserver.write_attribute_value(_id(path), shown)

    def event(self, told: Result | Refusal) -> Any:
        """A reject as an event, which is the same object each time, or None for a pass."""
        if isinstance(told, Result):
            if told.passes:
                return None
            fields, severity = fields_of(told) | {"refused": False}, SEVERITIES[told.code.name]
            what = told.code.name
        else:
            fields = {each.name: nothing(each) for each in EVENT_FIELDS} | {
                "part_id": told.part.part_id if 0 <= told.part.part_id < 2**32 else 0,
                "serial": told.part.serial,
                "order": told.part.order,
                "cause": told.cause.value,
                "reason": told.reason,
                "refused": True,
            }
            severity, what = SEVERITIES["refused"], "trigger refused"
        event, now = self._event, datetime.now(timezone.utc)
        for name, value in fields.items():
            setattr(event, name, value)
        event.Severity, event.Time, event.ReceiveTime = severity, now, now
        event.Message = ua.LocalizedText(f"part {fields['part_id']}: {what}, {told.cause.name}: {told.reason}")
        return event


def _id(name: str) -> ua.NodeId:
    return ua.NodeId(name, INDEX)


def _name(name: str) -> ua.QualifiedName:
    return ua.QualifiedName(name, INDEX)


def _argument(argument: Argument) -> ua.Argument:
    made = ua.Argument()
    made.Name, made.Description = argument.name, ua.LocalizedText(argument.meaning)
    made.DataType, made.ValueRank = ua.NodeId(ua.VariantType[argument.type].value), -1
    return made


def _empty(kind: str) -> Any:
    epoch = datetime.fromtimestamp(0, timezone.utc)
    return {"Boolean": False, "Int32": 0, "DateTime": epoch, "LocalizedText": ua.LocalizedText("")}.get(kind, "")


async def _describe(node: Node, meaning: str) -> None:
    text = ua.DataValue(ua.Variant(ua.LocalizedText(meaning), ua.VariantType.LocalizedText))
    await node.write_attribute(ua.AttributeIds.Description, text)


async def _nobody(*_: Any) -> Any:
    """Methods are called by sessions, see `LineSession`."""
    return ua.StatusCode(ua.StatusCodes.BadNotExecutable)
