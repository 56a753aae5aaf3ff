"""A controller that is a client of OPC UA, by asyncua: it calls the methods of the line.

``python -m benchmarks.line.opcua_client PORT`` has one part judged, triggers a second one, prints the token of its
session, and waits to be killed.
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import Any

from asyncua import Client, ua

from runtime.errors import InputError
from runtime.line.opcua.nodes import INDEX, LINE, METHODS
from runtime.line.opcua.server import quieten

PATIENCE_S = 20.0
DENIED = "BadUserAccessDenied"  # another session controls
METHOD = {method.name: method for method in METHODS}


def node(client: Client, name: str) -> Any:
    """By its identifier."""
    return client.get_node(ua.NodeId(name, INDEX))


async def call(client: Client, name: str, *values: Any) -> dict[str, Any]:
    """Call a method of the line; what it gives, by name."""
    takes = METHOD[name].takes
    given = [ua.Variant(value, ua.VariantType[each.type]) for each, value in zip(takes, values, strict=True)]
    found = await node(client, LINE).call_method(ua.NodeId(f"{LINE}.{name}", INDEX), *given)
    found = found if isinstance(found, list) else [found]
    return {each.name: value for each, value in zip(METHOD[name].gives, found, strict=True)}


def url(port: int) -> str:
    """Of a line on this machine."""
    return f"opc.tcp://127.0.0.1:{port}"


async def connect(port: int, patience_s: float) -> Client:
    """A client that is logged in as nobody, once somebody listens. Raises `InputError` where nobody does."""
    until_s = time.monotonic() + patience_s
    while True:
        client = Client(url(port), timeout=PATIENCE_S)
        try:
            await client.connect()
            return client
        except (OSError, ua.UaError, asyncio.TimeoutError) as error:
            if time.monotonic() > until_s:
                raise InputError(f"nobody serves OPC UA at port {port} within {patience_s:g} s ({error!r})") from error
        await asyncio.sleep(0.02)


async def inspected(client: Client, part_id: int) -> dict[str, Any] | None:
    """What `NextResult` gives of a part, acknowledged; None where the trigger was refused. Raises `InputError` where
    there is no result."""
    if not (await trigger(client, part_id))["accepted"]:
        return None
    result = await call(client, "NextResult", round(PATIENCE_S * 1e3))
    if not result["found"] or result["part_id"] != part_id:
        raise InputError(f"part {part_id} has no result: {result}")
    await call(client, "Acknowledge", result["inspection_id"])
    return result


async def trigger(client: Client, part_id: int) -> dict[str, Any]:
    """The answer to the trigger of a part."""
    return await call(client, "Trigger", part_id, "", "", 0)


@dataclass(frozen=True)
class Next:
    """How the next controller found the line."""

    left: bool  # whether there was a result for it, of the one before
    first_pass: int  # the part
    well_s: float  # when that had passed, monotonic clock
    session_is_over: bool  # that of the one before
    counters: dict[str, int]  # of the runtime


async def go_on(port: int, token: str, first_part: int) -> Next:
    """Be the controller after one that is dead, whose session has that token. Raises `InputError` where no part
    passes."""
    quieten()
    until_s, part_id = time.monotonic() + PATIENCE_S, first_part
    client = await connect(port, PATIENCE_S)
    try:
        left = await _controls(client, until_s)
        while (result := await inspected(client, part_id)) is None or not result["job_pass"]:
            if time.monotonic() > until_s:
                raise InputError(f"no part passed within {PATIENCE_S:g} s: {result}")
            part_id += 1
        well_s = time.monotonic()
        names = ("acquisition_id", "missed")
        counters = {name: int(await node(client, f"FromRuntime.{name}").read_value()) for name in names}
        return Next(left, part_id, well_s, await session_is_over(port, token), counters)
    finally:
        await client.disconnect()


async def _controls(client: Client, until_s: float) -> bool:
    """Ask for a result as soon as this session controls the line; whether there is one."""
    while True:
        try:
            return bool((await call(client, "NextResult", 0))["found"])
        except ua.UaStatusCodeError as error:
            if DENIED not in str(error) or time.monotonic() > until_s:
                raise InputError(f"the next client does not control the line: {error}") from error
        await asyncio.sleep(0.005)


async def session_is_over(port: int, token: str) -> bool:
    """Whether nobody can go on with a session, by another connection."""
    client = Client(url(port), timeout=PATIENCE_S)
    await client.connect_sessionless()
    try:
        client.uaclient.session.restore_authentication_token(ua.NodeId.from_string(token))
        await client.uaclient.activate_session(ua.ActivateSessionParameters())
        return False
    except ua.uaerrors.BadSessionIdInvalid:
        return True
    finally:
        client.disconnect_socket()


async def _half(port: int, patience_s: float) -> None:
    client = await connect(port, patience_s)
    await inspected(client, 1)
    await trigger(client, 2)
    print(client.uaclient.session.authentication_token.to_string(), flush=True)
    await asyncio.sleep(3_600.0)


def main() -> None:
    quieten()
    asyncio.run(_half(int(sys.argv[1]), 60.0))


if __name__ == "__main__":
    main()
