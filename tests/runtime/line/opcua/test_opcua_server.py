"""The line over OPC UA, with asyncua's client on the other side."""

import asyncio
import math
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncua", reason="OPC UA IS NOT TESTED here: pip install 'proctor[opcua]'")

from asyncua import ua
from asyncua.common.utils import ServiceError
from opcua_samples import (
    PATIENCE_S,
    Served,
    Told,
    connected,
    look,
    put,
    run,
    served,
    status,
    until,
    verdict_of,
)
from runtime_samples import inspecting

from benchmarks.line.opcua_client import call, node
from runtime.errors import InputError
from runtime.line.handshake import Acquisition, Handshake
from runtime.line.levels import Levels
from runtime.line.opcua.controller import Control
from runtime.line.opcua.nodes import EVENT, EVENT_FIELDS, INDEX, LINE, METHODS, NAMESPACE, TYPES, registers, tables
from runtime.line.opcua.server import open_server
from runtime.line.opcua.sessions import _filter
from runtime.line.opcua.vision import FIELDS, RESULT, STATES
from runtime.line.registers import TO_RUNTIME, words_of
from runtime.line.results import Cause, Code, Mode, Outcome, Part

PAGE = Path(__file__).parents[4] / "runtime" / "line" / "opcua" / "README.md"


@pytest.fixture(scope="module")
def line() -> Iterator[Served]:
    """A line whose parts are inspected."""
    with served() as made, inspecting(made.handshake, verdict_of):
        yield made


def test_parts_by_levels_as_any_polling_controller_does(line: Served) -> None:
    async def program() -> None:
        async with connected(line) as client:
            for part_id in range(1, 41):
                assert set(await put(client, part_id=part_id, serial=f"A-{part_id} ü", trigger=True)) == {"Good"}
                assert (await look(client))["trigger_acknowledge"]
                await put(client, trigger=False)
                while not (seen := await look(client))["results_valid"]:
                    await asyncio.sleep(0.002)
                expected = verdict_of(part_id)
                assert (seen["result_part_id"], seen["result_code"]) == (part_id, expected.code)
                assert seen["result_serial"] == f"A-{part_id} ü"
                assert seen["job_pass"] == (expected.code is Code.OK)
                assert await status(client, "result_code") == "Good"
                await put(client, results_acknowledge=True)
                assert not (await look(client))["results_valid"]
                assert await status(client, "result_code") == "UncertainInitialValue"
                await put(client, results_acknowledge=False)

    run(program())
    assert line.handshake.view(sees=False).missed == 0


def test_parts_by_methods_and_a_trigger_while_the_same_client_waits_for_a_result(line: Served) -> None:
    async def program() -> None:
        async with connected(line) as client:
            empty = await call(client, "NextResult", 0)
            assert (empty["found"], empty["job_pass"], empty["code"]) == (False, False, Code.NONE)
            assert math.isnan(empty["score"])
            for part_id in range(1, 31):
                waiting = asyncio.create_task(call(client, "NextResult", 20_000))
                await asyncio.sleep(0)
                answer = await call(client, "Trigger", part_id, "", "batch 3", 0)
                assert answer["accepted"], answer
                found, expected = await waiting, verdict_of(part_id)
                assert (found["part_id"], found["acquisition_id"]) == (part_id, answer["acquisition_id"])
                assert (found["code"], found["reason"], found["order"]) == (expected.code, expected.reason, "batch 3")
                assert found["job_pass"] == (expected.code is Code.OK)
                assert not (await call(client, "Acknowledge", found["inspection_id"] + 1))["acknowledged"]
                assert (await call(client, "Acknowledge", found["inspection_id"]))["acknowledged"]

    run(program())


def test_a_refused_trigger_says_why(line: Served) -> None:
    async def program() -> None:
        async with connected(line) as client:
            await put(client, set_offline=True)
            answer = await call(client, "Trigger", 7, "", "", 0)
            assert (answer["accepted"], answer["acquisition_id"]) == (False, 0)
            assert (answer["cause"], answer["reason"]) == (Cause.OFFLINE, "set offline")
            assert (await look(client))["missed_acquisition"]
            await put(client, set_offline=False)

    run(program())


def test_nodes_of_one_request_take_effect_in_its_order(line: Served) -> None:
    async def program() -> None:
        async with connected(line) as client:
            await put(client, part_id=7)
            await put(client, trigger=True, part_id=8)
            while not (seen := await look(client))["results_valid"]:
                await asyncio.sleep(0.002)
            assert seen["result_part_id"] == 7
            assert await node(client, "ToRuntime.part_id").read_value() == 8
            assert await node(client, "ToRuntime.control").read_value() == 0b11
            assert await put(client, control=0b101) == ["Good"]
            assert not await node(client, "ToRuntime.trigger").read_value()
            await put(client, control=1)

    run(program())


def test_what_does_not_fit_changes_nothing_and_says_so(line: Served) -> None:
    async def program() -> None:
        async with connected(line) as client:
            before = [await node(client, name).read_value() for name in registers() if name.startswith("To")]
            assert await put(
                client,
                part_id=ua.Variant(1, ua.VariantType.Int64),
                trigger=ua.Variant(1, ua.VariantType.UInt16),
                serial="x" * 33,
                order="a\0b",
                mode=6,
                challenge=3,
                control=0b100000,
                encoder=ua.Variant([1, 2], ua.VariantType.UInt32),
            ) == [
                "BadTypeMismatch", "BadTypeMismatch", "BadOutOfRange", "BadOutOfRange", "BadOutOfRange",
                "BadOutOfRange", "BadOutOfRange", "BadTypeMismatch",
            ]  # fmt: skip
            assert before == [await node(client, name).read_value() for name in registers() if name.startswith("To")]
            with pytest.raises(ua.UaStatusCodeError, match="BadNotWritable"):
                await node(client, "FromRuntime.job_pass").write_value(True)
            with pytest.raises(ua.UaStatusCodeError, match="BadInvalidArgument"):
                await call(client, "Trigger", 1, "", "", 3)
            with pytest.raises(ua.UaStatusCodeError, match="BadArgumentsMissing"):
                await node(client, LINE).call_method(ua.NodeId("Line.Trigger", INDEX))
            for other in (ua.ObjectIds.Server_NamespaceArray, ua.ObjectIds.Server_ServiceLevel):
                with pytest.raises(ua.UaStatusCodeError, match="BadNotWritable"):
                    await client.get_node(other).write_value(ua.Variant(1, ua.VariantType.Byte))

    run(program())


def test_a_client_sees_the_nodes_of_the_tables_field_by_field(line: Served) -> None:
    async def program() -> None:
        async with connected(line) as client:
            assert (await client.get_namespace_array())[INDEX] == NAMESPACE
            found = []
            for folder in ("ToRuntime", "FromRuntime"):
                for each in await node(client, folder).get_children():
                    kind = (await each.read_data_type_as_variant_type()).name
                    written = ua.AccessLevel.CurrentWrite in await each.get_access_level()
                    meaning = (await each.read_description()).Text
                    found.append((each.nodeid.Identifier, kind, written, meaning))
            assert found == [
                (name, TYPES[register.kind], table is TO_RUNTIME, register.meaning)
                for name, (table, register) in registers().items()
            ]
            for method in METHODS:
                for side, expected in (("Input", method.takes), ("Output", method.gives)):
                    held = await node(client, f"{LINE}.{method.name}").get_child(f"0:{side}Arguments")
                    arguments = await held.read_value()
                    assert [(each.Name, ua.VariantType(each.DataType.Identifier).name) for each in arguments] == [
                        (each.name, each.type) for each in expected
                    ]
            fields = [(await each.read_browse_name()).Name for each in await node(client, EVENT).get_properties()]
            assert fields == [each.name for each in EVENT_FIELDS]

    run(program())


def test_the_page_has_the_table_of_nodes() -> None:
    assert tables() in PAGE.read_text(), "python -m runtime.line.opcua"


def test_the_pages_controller_gets_its_pass(line: Served) -> None:
    program = PAGE.read_text().partition("```python\n")[2].partition("```")[0]
    found: dict[str, Any] = {}
    exec(program.replace("127.0.0.1:4840", f"127.0.0.1:{line.server.port}"), found)
    assert (found["passes"], found["reason"]) == (True, "")


def test_no_other_service_is_there(line: Served) -> None:
    async def program() -> None:
        async with connected(line) as client:
            with pytest.raises(ua.UaStatusCodeError, match="BadServiceUnsupported"):
                await node(client, "FromRuntime.score").read_raw_history()
            with pytest.raises(ua.UaStatusCodeError, match=r"BadUserAccessDenied|BadServiceUnsupported"):
                await client.uaclient.register_server(
                    ua.RegisteredServer(ServerUri="urn:x", ServerNames=[ua.LocalizedText("x")])
                )
            assert len(await client.find_servers()) == 1
            added = await client.uaclient.add_nodes([ua.AddNodesItem()])
            assert not added[0].StatusCode.is_good()

    with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
        run(program())


def test_a_filter_that_takes_long_or_refers_to_itself_is_refused() -> None:
    def condition(*operands: Any) -> Any:
        element = ua.ContentFilterElement()
        element.FilterOperator, element.FilterOperands = ua.FilterOperator.And, list(operands)
        return element

    def later(at: int) -> Any:
        return ua.ElementOperand(Index=at)

    chosen = ua.EventFilter()
    chosen.WhereClause.Elements = [condition(later(1), ua.LiteralOperand()), condition(ua.LiteralOperand())]
    assert _filter(chosen) is chosen
    doubling = ua.EventFilter()  # each element is looked at twice by the one before
    doubling.WhereClause.Elements = [*(condition(later(n + 1), later(n + 1)) for n in range(30)), condition()]
    with pytest.raises(ServiceError) as told:
        _filter(doubling)
    assert told.value.code == ua.StatusCodes.BadTooManyOperations
    for at in (0, 5):
        ring = ua.EventFilter()
        ring.WhereClause.Elements = [condition(later(at))]
        with pytest.raises(ServiceError) as told:
            _filter(ring)
        assert told.value.code == ua.StatusCodes.BadFilterElementInvalid


def test_one_session_controls_and_the_others_see_no_result(line: Served) -> None:
    async def program() -> None:
        async with connected(line) as client, connected(line) as other:
            assert (await call(client, "Trigger", 1, "", "", 0))["accepted"]
            while not (seen := await look(other))["waiting"]:
                await asyncio.sleep(0.01)
            assert (seen["waiting"], seen["results_valid"], seen["result_code"]) == (1, False, Code.NONE)
            assert await put(other, part_id=9) == ["BadUserAccessDenied"]
            with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
                await call(other, "NextResult", 0)
            assert (await look(client))["job_pass"]

    run(program())


def test_a_controller_that_is_gone_is_forgotten_and_the_next_one_begins_with_nothing(line: Served) -> None:
    async def program(client_leaves: Any) -> None:
        async with connected(line) as other:
            async with connected(line) as client:
                await put(client, serial="A-1", trigger=True, mode=Mode.RUN)
                while not (await look(client))["results_valid"]:
                    await asyncio.sleep(0.002)
                await client_leaves(client)
            while (await look(other))["waiting"]:
                await asyncio.sleep(0.01)
            assert await node(other, "ToRuntime.trigger").read_value() is False
            assert await node(other, "ToRuntime.serial").read_value() == ""
            assert not (await call(other, "NextResult", 0))["found"]
            assert (await call(other, "Trigger", 1, "", "", 0))["accepted"]

    async def in_order(client: Any) -> None:
        return

    async def torn(client: Any) -> None:
        client.uaclient.protocol.transport.abort()

    run(program(in_order))
    run(program(torn))


class Clock:
    """That a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def clocked() -> Iterator[tuple[Served, Clock]]:
    """A line whose parts a test judges, by a clock that it sets; a part has a second."""
    clock = Clock()
    with served(handshake=Handshake(1.0, clock=clock)) as made:
        yield made, clock


def test_a_subscription_sees_a_result_when_it_publishes_and_no_pass_comes_after_its_deadline(
    clocked: tuple[Served, Clock],
) -> None:
    line, clock = clocked

    async def program() -> None:
        told = Told()
        async with connected(line) as client:
            watched = [node(client, f"FromRuntime.{name}") for name in ("waiting", "result_code", "job_pass", "status")]
            subscription = await client.create_subscription(20, told)
            await subscription.subscribe_data_change(watched)
            for publishing, code in ((True, Code.OK), (False, Code.NO_DECISION)):
                await subscription.set_publishing_mode(publishing)
                answer = await call(client, "Trigger", 1, "", "", 0)
                result = line.handshake.finish(answer["acquisition_id"], verdict_of(1))
                assert result is not None
                if not publishing:
                    await asyncio.sleep(0.3)  # nothing is published, so nobody has seen it
                    clock.now_s += 60
                    await subscription.set_publishing_mode(True)
                await until(lambda code=code: told.values["result_code"][-1] == code)
                await until(lambda: told.values["waiting"][-1] == 1)
                assert told.values["job_pass"][-1] == (code is Code.OK)
                assert bool(told.values["status"][-1] & 1 << 7) == (code is Code.OK)
                assert (await call(client, "Acknowledge", result.inspection_id))["acknowledged"]
                await until(lambda: told.values["waiting"][-1] == 0)
                await until(lambda: told.values["result_code"][-1] == 0)
            assert told.values["job_pass"] == [False, True, False]

    run(program())


def test_who_reads_other_registers_has_not_seen_the_result(clocked: tuple[Served, Clock]) -> None:
    line, clock = clocked

    async def program() -> None:
        async with connected(line) as client:
            answer = await call(client, "Trigger", 1, "", "", 0)
            assert line.handshake.finish(answer["acquisition_id"], verdict_of(1)) is not None
            for name in ("heartbeat", "waiting", "session_id", "trigger_ready"):
                await node(client, f"FromRuntime.{name}").read_value()
            await node(client, "ToRuntime.part_id").read_value()
            clock.now_s += 60
            seen = await look(client)
            assert (seen["result_code"], seen["result_cause"]) == (Code.NO_DECISION, Cause.LATE)
            assert not seen["job_pass"]

    run(program())


def test_events_tell_of_rejects_and_refused_triggers_with_all_their_fields(line: Served) -> None:
    async def program() -> None:
        told = Told()
        async with connected(line) as client:
            subscription = await client.create_subscription(20, told)
            await subscription.subscribe_events(ua.ObjectIds.Server, ua.NodeId(EVENT, INDEX))
            for part_id in (1, 3, 5):
                assert (await call(client, "Trigger", part_id, f"S{part_id}", "batch", 0))["accepted"]
                found = await call(client, "NextResult", 20_000)
                await call(client, "Acknowledge", found["inspection_id"])
            await put(client, set_offline=True)
            await call(client, "Trigger", 9, "S9", "batch", 0)
            await put(client, set_offline=False)
            await until(lambda: len(told.events) == 3)
            await asyncio.sleep(0.2)
        ng, undecided, refused = told.events
        assert [each.Severity for each in told.events] == [400, 600, 700]
        assert [(each.part_id, each.serial, each.order) for each in told.events] == [
            (3, "S3", "batch"), (5, "S5", "batch"), (9, "S9", "batch"),
        ]  # fmt: skip
        assert [(each.code, each.cause, each.refused) for each in told.events] == [
            (Code.NG, Cause.JUDGED, False), (Code.NO_DECISION, Cause.JUDGED, False), (0, Cause.OFFLINE, True),
        ]  # fmt: skip
        assert (ng.score, ng.threshold, ng.reason) == (3.0, 2.0, "score 3.0 above 2.0")
        assert math.isnan(undecided.score)
        assert refused.Message.Text == "part 9: trigger refused, OFFLINE: set offline"
        assert (ng.SourceName, ng.EventType) == (LINE, ua.NodeId(EVENT, INDEX))

    run(program())


def test_an_observer_of_the_same_line_is_told_and_cannot_act() -> None:
    async def program(line: Served) -> None:
        told = Told()
        async with connected(line) as client:
            subscription = await client.create_subscription(20, told)
            await subscription.subscribe_events(node(client, LINE), ua.NodeId(EVENT, INDEX))
            assert await put(client, trigger=True) == ["BadNotWritable"]
            with pytest.raises(ua.UaStatusCodeError, match="BadNotExecutable"):
                await call(client, "Trigger", 1, "", "", 0)
            written = await node(client, "ToRuntime.trigger").get_access_level()
            assert ua.AccessLevel.CurrentWrite not in written
            levels.write(words_of(TO_RUNTIME, {"trigger_enable": True, "trigger": True, "part_id": 3}))
            await until(lambda: told.events)
            await until(lambda: told.events[0].part_id == 3)
            seen = await look(client)
            assert (seen["waiting"], seen["results_valid"]) == (1, False)
            content = node(client, f"{RESULT}.ResultContent")
            while '"code": "NG"' not in await content.read_value():
                await asyncio.sleep(0.01)

    handshake = Handshake(60.0)
    levels = Levels(handshake)
    with served("?control=no", handshake, levels) as line, inspecting(handshake, verdict_of):
        assert not line.server.controls
        run(program(line))


def test_states_and_the_last_result_have_the_names_of_machine_vision(line: Served) -> None:
    async def program() -> None:
        async with connected(line) as client:
            machine, mode = (node(client, each) for each in STATES)
            await call(client, "Trigger", 3, "S3", "batch", 0)
            found = await call(client, "NextResult", 20_000)
            result = {each: node(client, f"{RESULT}.{each}") for each in FIELDS}
            session = line.handshake.session_id
            while await result["ResultId"].read_value() != f"{session}-{found['inspection_id']}":
                await asyncio.sleep(0.01)
            seen = {name: await each.read_value() for name, each in result.items()}
            assert (seen["MeasId"], seen["PartId"], seen["JobId"]) == (
                f"{session}-{found['acquisition_id']}", "S3", "batch",
            )  # fmt: skip
            assert (seen["ResultState"], seen["IsPartial"], seen["IsSimulated"]) == (1, False, False)
            assert abs(seen["CreationTime"].timestamp() - time.time()) < 60
            for change, expected in (
                (lambda: None, ("Operational", "Ready")),
                (lambda: line.handshake.hold(Cause.HELD, "a test"), ("Error", "")),
                (line.handshake.release, ("Operational", "Ready")),
                (lambda: line.handshake.not_ready(Cause.NOT_READY, "warming up"), ("Preoperational", "")),
            ):
                change()
                while ((await machine.read_value()).Text, (await mode.read_value()).Text) != expected:
                    await asyncio.sleep(0.01)
            assert await status(client, "heartbeat") == "UncertainLastUsableValue"
            line.handshake.ready()

    run(program())


class Switching(Levels):
    """Stands for a runtime that has one recipe beside the present one, and answers at once."""

    def write(self, words: Sequence[int]) -> None:
        super().write(words)
        asked = self.handshake.asked_recipe
        if asked == "bottle@3":
            self.handshake.set_recipe("bottle", 3, asked)
            self.handshake.ready()
        elif asked is not None:
            self.handshake.refuse_recipe(asked, "refused")


def test_a_result_that_waits_is_there_after_any_number_of_parts_of_a_dry_run() -> None:
    handshake = Handshake(60.0)
    control: Any = Control(Levels(handshake))
    handshake.listen(control)
    handshake.ready()
    control.claim("a controller")
    for number in range(1, 40):
        assert isinstance(handshake.trigger(Part(number)), Acquisition)
        handshake.finish(number, Outcome(Code.OK, Cause.NONE, "score 1.0 within 2.0", 1.0, 2.0))
        handshake.set_mode(Mode.DRY_RUN)
    found = control.look("a controller").result
    assert found is not None
    assert found.part == Part(1)


def test_a_recipe_is_switched_by_a_method_and_by_levels() -> None:
    async def program(line: Served) -> None:
        async with connected(line) as client:
            done = await call(client, "SwitchRecipe", "bottle@3")
            assert (done["switched"], done["recipe_version"], done["reason"]) == (True, 3, "")
            assert not (await look(client))["recipe_acknowledge"]  # the question was taken back
            refused = await call(client, "SwitchRecipe", "cap")
            assert (refused["switched"], refused["reason"]) == (False, "refused")
            await put(client, recipe="bottle@3", switch_recipe=True)
            assert (await look(client))["recipe_acknowledge"]
            await put(client, switch_recipe=False)
            with pytest.raises(ua.UaStatusCodeError, match="BadInvalidArgument"):
                await call(client, "SwitchRecipe", "x" * 33)

    handshake = Handshake(60.0)
    with served(handshake=handshake, levels=Switching(handshake)) as line:
        run(program(line))


def test_what_a_client_sends_or_does_not_read_ends_its_connection_alone(line: Served) -> None:
    port = line.server.port
    for garbage in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 1_000,
        b"HELF\xff\xff\xff\xff" + b"x" * 70_000,
        b"MSGF\x08\0\0\0",
    ):
        with socket.create_connection(("127.0.0.1", port), 5) as rude:
            rude.sendall(garbage)
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as rude:  # more than any message may have
        rude.sendall(b"HELF\xff\xff\xff\x7f")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            rude.sendall(b"x" * 65_536 * 1_000)

    async def program() -> None:
        async with connected(line) as client:
            nulls = ua.Variant([None], ua.VariantType.Null)
            assert await put(client, serial=nulls) in (["BadTypeMismatch"], ["BadWriteNotSupported"])
            with pytest.raises(ua.UaStatusCodeError, match="BadTooManyOperations"):
                await client.uaclient.read_attributes([ua.NodeId("Line", 2)] * 1_001, ua.AttributeIds.NodeClass)
            subscription = await client.create_subscription(0.001, Told())
            assert subscription.parameters.RequestedPublishingInterval == 20
            assert (await call(client, "Trigger", 1, "", "", 0))["accepted"]

    run(program())


def test_a_port_in_use_and_addresses_that_are_none_are_told_in_one_sentence(line: Served) -> None:
    levels = Levels(Handshake(1.0))
    with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{line.server.port}"):
        open_server(levels, f"127.0.0.1:{line.server.port}")
    for asked, said in (
        ("127.0.0.1:4840?controls=no", "expected HOST:PORT"),
        ("127.0.0.1:4840?control=perhaps", "expected yes or no"),
        ("0.0.0.0:4840", "is reached from elsewhere"),
        ("127.0.0.1:4840?certificate=a.pem", "a certificate and its key"),
        ("127.0.0.1:4840?trust=folder", "give certificate and key"),
        ("127.0.0.1:4840?anonymous=no", "nobody could log in"),
        ("127.0.0.1:4840?users=absent.yaml", "absent.yaml cannot be read"),
        ("127.0.0.1:4840?certificate=absent.pem&key=absent.key", "absent.pem is no certificate"),
    ):
        with pytest.raises(InputError, match=said):
            open_server(levels, asked)


def test_the_end_is_told_to_whoever_listens() -> None:
    async def program() -> None:
        told = Told()
        with served() as line:
            client_of = connected(line)
            client = await client_of.__aenter__()
            subscription = await client.create_subscription(20, told)
            await subscription.subscribe_data_change(node(client, "FromRuntime.online"))
            await until(lambda: told.values)
            await asyncio.to_thread(line.server.close)
            await until(lambda: told.statuses)
            client.uaclient.disconnect_socket()
        assert told.statuses[0].Status.name == "BadShutdown"

    run(program())
