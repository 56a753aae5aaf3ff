"""What the tests of OPC UA share: a line whose parts are inspected, its server, and a client of asyncua."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from asyncua import Client, ua

from benchmarks.line.opcua_client import node
from runtime.line.handshake import Handshake
from runtime.line.levels import Levels
from runtime.line.opcua.nodes import INDEX, TYPES, registers
from runtime.line.opcua.server import OpcUaServer, open_server
from runtime.line.results import Cause, Code, Outcome

PATIENCE_S = 120.0  # for what takes a moment


def verdict_of(part_id: int) -> Outcome:
    """Every third part is bad, and every fifth of the rest cannot be judged."""
    if part_id % 3 == 0:
        return Outcome(Code.NG, Cause.JUDGED, "score 3.0 above 2.0", 3.0, 2.0)
    if part_id % 5 == 0:
        return Outcome(Code.NO_DECISION, Cause.JUDGED, "too dark")
    return Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0)


@dataclass
class Served:
    """A line and its server."""

    handshake: Handshake
    server: OpcUaServer

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.server.port}"


@contextmanager
def served(options: str = "", handshake: Handshake | None = None, levels: Levels | None = None) -> Iterator[Served]:
    """A server on a free port, with the options of its address."""
    handshake = handshake or Handshake(60.0)
    handshake.ready()
    with open_server(levels or Levels(handshake), f"127.0.0.1:0{options}") as server:
        yield Served(handshake, server)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """A client's program, within bounds."""
    return asyncio.run(asyncio.wait_for(work, PATIENCE_S))


async def look(client: Client) -> dict[str, Any]:
    """All registers from the runtime, in one request."""
    names = [name for name in registers() if name.startswith("From")]
    found = await client.uaclient.read_attributes([ua.NodeId(each, INDEX) for each in names], ua.AttributeIds.Value)
    return {name.partition(".")[2]: each.Value.Value for name, each in zip(names, found, strict=True)}


async def status(client: Client, name: str) -> str:
    """Of a register from the runtime."""
    return str((await node(client, f"FromRuntime.{name}").read_data_value(False)).StatusCode.name)


async def put(client: Client, **values: Any) -> list[str]:
    """Write registers in one request, in that order; the names of the statuses."""
    params = ua.WriteParameters()
    for name, value in values.items():
        kind = TYPES[registers()[f"ToRuntime.{name}"][1].kind]
        item = ua.WriteValue()
        item.NodeId, item.AttributeId = ua.NodeId(f"ToRuntime.{name}", INDEX), ua.AttributeIds.Value
        item.Value = ua.DataValue(value if isinstance(value, ua.Variant) else ua.Variant(value, ua.VariantType[kind]))
        params.NodesToWrite.append(item)
    return [each.name for each in await client.uaclient.write(params)]


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[Client]:
    """A client that logs in as nobody."""
    async with Client(served.url, timeout=PATIENCE_S) as client:
        yield client


class Told:
    """What a subscription tells."""

    def __init__(self) -> None:
        self.values: dict[str, list[Any]] = {}
        self.events: list[Any] = []
        self.statuses: list[Any] = []

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.setdefault(node.nodeid.Identifier.partition(".")[2], []).append(value)

    def event_notification(self, event: Any) -> None:
        self.events.append(event)

    def status_change_notification(self, status: Any) -> None:
        self.statuses.append(status)


async def until(true: Any) -> None:
    """Wait for it; the test's own patience bounds that."""
    while not true():
        await asyncio.sleep(0.01)
