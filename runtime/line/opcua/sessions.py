"""Sessions and subscriptions of the OPC UA server: each request becomes one look at the line, or one change after the
other.

Registers are not stored: a Read is one moment of the handshake. A subscription looks when it publishes, and at results
only with a Publish request in its hand, so that a result counts as seen when it is on its way to the client; what could
be sent again later is dropped.
"""

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AddressSpace
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession, SessionState
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.ua_binary import struct_from_binary

from runtime.line.handshake import Acquisition
from runtime.line.opcua.access import Access
from runtime.line.opcua.controller import GOOD, Control, Given, Looked, checked_arguments, sees_results
from runtime.line.opcua.limits import MOST_BROWSED, MOST_METHODS, MOST_SESSIONS, Seldom, Share, bound, too_many
from runtime.line.opcua.nodes import INDEX, LINE, METHODS, RESULT_FIELDS, TYPES, Argument, registers
from runtime.line.registers import FROM_RUNTIME
from runtime.line.results import LARGEST_U32, Cause, Code, Part, Result

NODES = registers()
CALLED = {f"{LINE}.{method.name}": method for method in METHODS}
PUBLISHING_MS = (20.0, 60_000.0)
MOST_SUBSCRIPTIONS, MOST_ITEMS, LONGEST_QUEUE = 64, 2_000, 100
MOST_OF_EVENTS = 100  # items
MOST_FILTERED = 400  # operands of a filter's condition, as often as they are looked at; a type has dozens of subtypes
MOST_SELECTED = 100  # fields of an event
LONGEST_WAIT_S = 30.0  # for a result, and for a recipe
LOOK_S = 0.02  # between two looks while somebody waits

NOBODY = User(role=UserRole.Anonymous)


def identifier(node_id: Any) -> str | None:
    """Of a node of this project, else None."""
    is_ours = isinstance(node_id, ua.NodeId) and node_id.NamespaceIndex == INDEX and isinstance(node_id.Identifier, str)
    return node_id.Identifier if is_ours else None


def variant(type_name: str, value: Any) -> ua.Variant:
    """A value of that OPC UA type."""
    return ua.Variant(value, ua.VariantType[type_name])


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def data_value(control: Control, name: str, looked: Looked) -> ua.DataValue:
    """A register's value, with its status and times."""
    table, register = NODES[name]
    is_from = table is FROM_RUNTIME
    value = looked.values[register.name] if is_from else control.written(register.name)
    return ua.DataValue(
        variant(TYPES[register.kind], value),
        ua.StatusCode(getattr(ua.StatusCodes, looked.status(register.name) if is_from else GOOD)),
        _time(looked.made_s(register.name) if is_from else looked.at_s),
        _time(looked.at_s),
    )


class LineServer(InternalServer):  # type: ignore[misc]  # asyncua has types for some of it
    """What all sessions share."""

    def __init__(self, control: Control, access: Access, seldom: Seldom) -> None:
        super().__init__(_LogIn(access, seldom))
        bound(self)
        self.max_monitored_item_queue_size, self.max_unacked_messages_per_subscription = LONGEST_QUEUE, LONGEST_QUEUE
        self.max_subscriptions = MOST_SUBSCRIPTIONS
        self.supported_tokens = tuple(access.tokens)
        self.control, self.access, self.seldom = control, access, seldom
        self.switching = False  # a recipe, for one session
        self.share = Share()
        self._hashing = asyncio.Lock()  # one password at a time: each takes a core for a moment
        self.subscription_service = LineSubscriptions(self.aspace, self)
        self.isession.subscription_service = self.subscription_service

    def create_session(self, name: str, user: User = NOBODY, external: bool = False) -> Any:
        """A session that is not logged in yet. Raises a fault where there are as many as can be."""
        if len(self._external_sessions) >= MOST_SESSIONS:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        return LineSession(self, self.aspace, self.subscription_service, name, user=user, external=external)

    def register_external_session(self, session: Any) -> None:
        """asyncua counts its tokens, so that one could be guessed."""
        session.auth_token = ua.NodeId(secrets.token_bytes(32), 0, ua.NodeIdType.ByteString)
        super().register_external_session(session)

    def left(self, session: Any) -> None:
        """A session is gone, or its connection."""
        if self.control.leave(session.session_id):
            self.seldom.say("the controller of OPC UA is gone, and its parts are forgotten: %s", session.address)

    def register_server(self, server: Any, conf: Any = None) -> None:
        """This is no discovery server."""
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)

    async def check_password(self, session: Any, body: Any) -> None:
        """Of a request to log in: in a thread, since it takes a moment in which other requests are answered."""
        session.known = False
        try:
            token = struct_from_binary(ua.ActivateSessionParameters, body).UserIdentityToken
            if not isinstance(token, ua.UserNameIdentityToken):
                return
            name, password = self.decrypt_user_token(session, token)
        except Exception as error:  # asyncua answers to it
            self.logger.warning("no login: %s", error)
            return
        async with self._hashing:
            session.known = await asyncio.to_thread(self.access.knows, name, password, session.address)

    def decrypt_user_token(self, isession: Any, token: Any) -> tuple[str, str]:
        """Not by RSA 1.5: its errors tell about the key."""
        if token.EncryptionAlgorithm == "http://www.w3.org/2001/04/xmlenc#rsa-1_5":
            raise ServiceError(ua.StatusCodes.BadSecurityPolicyRejected)
        return super().decrypt_user_token(isession, token)  # type: ignore[no-any-return]


class _LogIn:
    """asyncua's user manager."""

    def __init__(self, access: Access, seldom: Seldom) -> None:
        self._access, self._seldom = access, seldom
        self.address, self.known = "?", False  # of the session that logs in now

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        found = self._access.user(username, self.known)
        if found is None:
            self._seldom.say("a login by OPC UA was refused, from %s as %s", self.address, username or "nobody")
        return found


class LineSession(InternalSession):  # type: ignore[misc]
    """One client's session."""

    state: Any
    known = False  # the password of the login under way

    @property
    def address(self) -> str:
        """The client's."""
        return str(self.name[0]) if isinstance(self.name, tuple) else "?"

    @property
    def control(self) -> Control:
        """Of the line."""
        return self.iserver.control  # type: ignore[no-any-return]

    def activate_session(self, params: Any, peer_certificate: bytes | None) -> Any:
        """Log in. A session stays its user's."""
        before = self.user.name if self.state is SessionState.Activated else None
        self.iserver.user_manager.address, self.iserver.user_manager.known = self.address, self.known
        result = super().activate_session(params, peer_certificate)
        if before is not None and before != self.user.name:
            self.state = SessionState.Closed
            self.iserver.left(self)
            raise ServiceError(ua.StatusCodes.BadIdentityChangeNotSupported)
        return result

    async def close_session(self, delete_subs: bool = True) -> None:
        """The client logs out, or was quiet for too long."""
        if self.external:
            self.iserver.left(self)
        await super().close_session(True)

    async def read(self, params: Any) -> list[Any]:
        """All registers as they are at one moment."""
        too_many(len(params.NodesToRead))
        ours = [_register_of(each) for each in params.NodesToRead]
        names = [name for name in ours if name is not None]
        looked = self.control.look(self.session_id, sees_results(names)) if names else None
        return [
            self.iserver.attribute_service.read(ua.ReadParameters(NodesToRead=[each]))[0]
            if name is None or looked is None
            else data_value(self.control, name, looked)
            for each, name in zip(params.NodesToRead, ours, strict=True)
        ]

    async def write(self, params: Any) -> list[Any]:
        """One register after the other, each in force before the next."""
        too_many(len(params.NodesToWrite))
        return [ua.StatusCode(getattr(ua.StatusCodes, self._write(each))) for each in params.NodesToWrite]

    def _write(self, item: Any) -> str:
        name = _register_of(item)
        if name is None:
            return "BadNotWritable"
        value = item.Value
        if (
            item.IndexRange
            or value is None
            or value.Value is None
            or (value.StatusCode and not value.StatusCode.is_good())
        ):
            return "BadWriteNotSupported"
        return self.control.write(self.session_id, name, _given(value.Value))

    async def browse(self, params: Any) -> list[Any]:
        too_many(len(params.NodesToBrowse), MOST_BROWSED)
        return await super().browse(params)  # type: ignore[no-any-return]

    async def translate_browsepaths_to_nodeids(self, params: Any) -> list[Any]:
        too_many(len(params))
        return await super().translate_browsepaths_to_nodeids(params)  # type: ignore[no-any-return]

    async def history_read(self, params: Any) -> list[Any]:
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)

    # methods

    async def call(self, params: Any) -> list[Any]:
        """Methods, one after the other."""
        too_many(len(params), MOST_METHODS)
        return [await self._called(each) for each in params]

    async def _called(self, request: Any) -> Any:
        method = CALLED.get(identifier(request.MethodId) or "")
        if method is None:
            return (await self.iserver.method_service.call([request]))[0]
        result = ua.CallMethodResult()
        status, each, values = checked_arguments(method, [_given(one) for one in request.InputArguments or []])
        result.InputArgumentResults = [ua.StatusCode(getattr(ua.StatusCodes, one)) for one in each]
        if status == GOOD and identifier(request.ObjectId) != LINE:
            status = "BadMethodInvalid"
        if status == GOOD:
            status = self.control.claim(self.session_id) if self.control.allowed else "BadNotExecutable"
        if status == GOOD and method.name == "SwitchRecipe" and self.iserver.switching:
            status = "BadInvalidState"
        if status != GOOD:
            result.StatusCode = ua.StatusCode(getattr(ua.StatusCodes, status))
            return result
        answers: dict[str, Callable[..., Any]] = {
            "Trigger": self._trigger,
            "NextResult": self._next_result,
            "Acknowledge": self._acknowledge,
            "SwitchRecipe": self._switch_recipe,
        }
        given = await answers[method.name](*values)
        result.OutputArguments = [variant(out.type, one) for out, one in zip(method.gives, given, strict=True)]
        return result

    async def _trigger(self, part_id: int, serial: str, order: str, challenge: int) -> tuple[Any, ...]:
        answer = self.control.trigger(Part(part_id, serial, order, Code(challenge)))
        if isinstance(answer, Acquisition):
            return True, answer.acquisition_id, Cause.NONE.value, ""
        return False, 0, answer.cause.value, answer.reason

    async def _next_result(self, timeout_ms: int) -> tuple[Any, ...]:
        until_s = time.monotonic() + min(timeout_ms / 1e3, LONGEST_WAIT_S)
        while (result := self.control.next_result(self.session_id)) is None and time.monotonic() < until_s:
            await asyncio.sleep(LOOK_S)
        if result is None:
            return False, False, *(nothing(each) for each in RESULT_FIELDS)
        fields = fields_of(result)
        return True, result.passes, *(fields[each.name] for each in RESULT_FIELDS)

    async def _acknowledge(self, inspection_id: int) -> tuple[Any, ...]:
        return (self.control.acknowledge(inspection_id),)

    async def _switch_recipe(self, name: str) -> tuple[Any, ...]:
        self.iserver.switching = True
        self.control.switch_recipe(name)
        values = self.control.look(self.session_id, sees=False).values
        until_s, answered = time.monotonic() + LONGEST_WAIT_S, False
        try:
            while not answered and time.monotonic() < until_s and self.control.controls(self.session_id):
                await asyncio.sleep(LOOK_S)
                values = self.control.look(self.session_id, sees=False).values
                answered = values["recipe_acknowledge"] or values["recipe_refused"]
        finally:
            self.iserver.switching = False
            if self.control.controls(self.session_id):
                self.control.switch_recipe(None)
        switched = answered and values["recipe_acknowledge"] and not values["recipe_refused"]
        reason = (
            self.control.handshake.view(sees=False).error_text if answered else f"no answer in {LONGEST_WAIT_S:g} s"
        )
        return switched, values["active_recipe"], values["recipe_version"], "" if switched else reason or "refused"

    # subscriptions

    async def create_subscription(self, params: Any, callback: Any, request_callback: Any = None) -> Any:
        result = await super().create_subscription(params, callback, request_callback)
        if self.external:
            self.subscription_service.subscriptions[result.SubscriptionId].of(self)
        return result

    def _own(self, subscription_id: int) -> bool:
        found = self.subscription_service.subscriptions.get(subscription_id)
        return found is not None and (not self.external or found.session_id == self.session_id)

    def _check_own(self, subscription_id: int) -> None:
        if not self._own(subscription_id):
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)

    async def create_monitored_items(self, params: Any) -> Any:
        too_many(len(params.ItemsToCreate))
        self._check_own(params.SubscriptionId)
        for each in params.ItemsToCreate:
            each.RequestedParameters.Filter = _filter(each.RequestedParameters.Filter)
        return await super().create_monitored_items(params)

    async def modify_monitored_items(self, params: Any) -> Any:
        too_many(len(params.ItemsToModify))
        self._check_own(params.SubscriptionId)
        for each in params.ItemsToModify:
            each.RequestedParameters.Filter = _filter(each.RequestedParameters.Filter)
            size = each.RequestedParameters.QueueSize
            each.RequestedParameters.QueueSize = min(size or LONGEST_QUEUE, LONGEST_QUEUE)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: Any) -> Any:
        self._check_own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: Any) -> Any:
        self._check_own(params.SubscriptionId)
        statuses = await super().set_monitoring_mode(params)
        self.subscription_service.subscriptions[params.SubscriptionId].begin()
        return statuses

    async def set_publishing_mode(self, params: Any) -> Any:
        for each in params.SubscriptionIds:
            self._check_own(each)
        return await super().set_publishing_mode(params)

    def modify_subscription(self, params: Any) -> Any:
        self._check_own(params.SubscriptionId)
        return super().modify_subscription(params)

    async def delete_subscriptions(self, ids: list[int]) -> Any:
        return await super().delete_subscriptions([each if self._own(each) else 0 for each in ids])

    def publish(self, acks: Any = None) -> Any:
        return super().publish([each for each in acks or [] if self._own(each.SubscriptionId)])

    def republish(self, params: Any) -> Any:
        """What tells of registers is told once."""
        self._check_own(params.SubscriptionId)
        message = super().republish(params)
        if not message.NotificationData:
            raise ServiceError(ua.StatusCodes.BadMessageNotAvailable)
        return message

    async def transfer_subscriptions(self, params: Any, callback: Any) -> Any:
        """Nobody takes over another session's."""
        refused = ua.TransferResult()
        refused.StatusCode = ua.StatusCode(ua.StatusCodes.BadUserAccessDenied)
        return [refused for _ in params.SubscriptionIds]


class LineSubscriptions(SubscriptionService):  # type: ignore[misc]
    """All sessions' subscriptions."""

    async def create_subscription(
        self, params: Any, callback: Any, session_id: Any, request_callback: Any = None
    ) -> Any:
        """As asyncua, with subscriptions of this project and an interval that is bounded."""
        if len(self.subscriptions) >= self.iserver.max_subscriptions:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        self._sub_id_counter += 1
        asked_ms = params.RequestedPublishingInterval
        result = ua.CreateSubscriptionResult()
        result.SubscriptionId = self._sub_id_counter
        result.RevisedPublishingInterval = min(max(asked_ms, PUBLISHING_MS[0]), PUBLISHING_MS[1])
        if math.isnan(asked_ms):
            result.RevisedPublishingInterval = PUBLISHING_MS[0]
        result.RevisedLifetimeCount = self._clamp_lifetime_count(params.RequestedLifetimeCount)
        result.RevisedMaxKeepAliveCount = self._clamp_keep_alive_count(params.RequestedMaxKeepAliveCount)
        made = LineSubscription(
            result,
            self.aspace,
            callback,
            session_id,
            request_callback=request_callback,
            delete_callback=lambda: self.subscriptions.pop(result.SubscriptionId, None),
            no_acks_limit=self.iserver.max_unacked_messages_per_subscription,
            max_queue_size=self.iserver.max_monitored_item_queue_size,
            publishing_enabled=params.PublishingEnabled,
        )
        await made.start()
        self.subscriptions[result.SubscriptionId] = made
        return result

    async def create_monitored_items(self, params: Any) -> Any:
        """As asyncua, so many items at most."""
        held = [
            item.filter
            for each in self.subscriptions.values()
            for item in each.monitored_item_srv._monitored_items.values()
        ]
        held += [each.RequestedParameters.Filter for each in params.ItemsToCreate]
        of_events = sum(isinstance(each, ua.EventFilter) for each in held)
        if len(held) > MOST_ITEMS or of_events > MOST_OF_EVENTS:
            raise ServiceError(ua.StatusCodes.BadTooManyMonitoredItems)
        return await super().create_monitored_items(params)

    async def tell(self, event: Any) -> None:
        """An event, to whoever listens; a filter that makes no sense keeps it from nobody else."""
        for each in list(self.subscriptions.values()):
            try:
                await each.monitored_item_srv.trigger_event(event)
            except Exception as error:
                each.logger.warning("an event was not told: %s", error)


class LineSubscription(InternalSubscription):  # type: ignore[misc]
    """One subscription, which looks at the registers when it publishes."""

    _session: LineSession | None = None
    _seen_version: tuple[int, int] | None = None
    _seen: Looked | None = None  # with the result that was sent

    def __init__(self, data: Any, aspace: AddressSpace, callback: Any, session_id: Any, **options: Any) -> None:
        super().__init__(data, aspace, callback, session_id, **options)
        self._sent: dict[int, tuple[Any, ...]] = {}

    def begin(self) -> None:
        """Tell everything anew."""
        self._sent, self._seen_version = {}, None

    def of(self, session: LineSession) -> None:
        """Whose it is."""
        self._session = session

    async def publish_results(self, requestdata: Any = None) -> bool:
        """With a Publish request in hand the result is looked at, where one may be new; else all but that."""
        if self._session is None or not self._publishing_enabled:
            return bool(await super().publish_results(requestdata))
        await self._session.iserver.share.wait()
        control, items = self._session.control, self._registers()
        controls, version = control.controls(self._session.session_id), control.version
        if not controls:
            self._seen = None
        if controls and version != self._seen_version and sees_results([name for _, name in items]):
            requestdata = requestdata or self.pub_request_callback(self.data.SubscriptionId)
            if requestdata is None:
                self._publish_cycles_count += 1
                return False
            self._seen_version, self._seen = version, control.look(self._session.session_id)
            await self._sample(items, self._seen)
            self._startup = True  # the request is in hand: answer it, be it with nothing
        else:
            await self._sample(items, control.look(None).with_result_of(self._seen))
        return bool(await super().publish_results(requestdata))

    def _pop_publish_result(self) -> Any:
        result = super()._pop_publish_result()
        message = result.NotificationMessage
        if any(isinstance(each, ua.DataChangeNotification) for each in message.NotificationData):
            self._not_acknowledged_results.pop(message.SequenceNumber, None)
            result.AvailableSequenceNumbers = list(self._not_acknowledged_results)
        return result

    def _registers(self) -> list[tuple[Any, str]]:
        """The monitored items that are registers' values, with their nodes."""
        items = self.monitored_item_srv._monitored_items.values()
        named = ((each, _register_of(each.read_value_id)) for each in items if each.callback_handle is not None)
        return [(each, name) for each, name in named if name is not None]

    async def _sample(self, items: list[tuple[Any, str]], looked: Looked) -> None:
        assert self._session is not None
        if len(self._sent) > len(items):
            self._sent = {each.monitored_item_id: self._sent.get(each.monitored_item_id, ()) for each, _ in items}
        for each, name in items:
            value = data_value(self._session.control, name, looked)
            was = self._sent.get(each.monitored_item_id)
            now = (value.StatusCode, "NaN" if value.Value.Value != value.Value.Value else value.Value.Value)
            if was != now:
                self._sent[each.monitored_item_id] = now
                await self.monitored_item_srv.datachange_callback(each.callback_handle, value)


def fields_of(result: Result) -> dict[str, Any]:
    """A result as methods and events tell it."""
    return {
        "inspection_id": result.inspection_id,
        "acquisition_id": result.acquisition_id,
        "part_id": result.part.part_id,
        "serial": result.part.serial,
        "order": result.part.order,
        "code": result.code.value,
        "cause": result.cause.value,
        "reason": result.reason,
        "mode": result.mode.value,
        "score": math.nan if result.score is None else result.score,
        "threshold": math.nan if result.threshold is None else result.threshold,
        "took_ms": min(int(result.took_ms), LARGEST_U32),
    }


def nothing(argument: Argument) -> Any:
    """What stands where there is nothing to tell."""
    return {"Boolean": False, "String": "", "Float": math.nan}.get(argument.type, 0)


def _register_of(item: Any) -> str | None:
    """The node's identifier where the item is a register's value."""
    name = identifier(item.NodeId)
    return name if name in NODES and item.AttributeId == ua.AttributeIds.Value else None


def _given(value: ua.Variant) -> Given:
    return Given(value.VariantType.name, value.Value, bool(value.is_array))


def _filter(given: Any) -> Any:
    """A filter that may be used. Raises a fault for one that takes long, or that is none of those that are known."""
    if given is None or (isinstance(given, ua.ExtensionObject) and given.TypeId.is_null()):
        return None
    if isinstance(given, ua.EventFilter):
        if len(given.SelectClauses) <= MOST_SELECTED and _looks(given.WhereClause.Elements) <= MOST_FILTERED:
            return given
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)
    if not isinstance(given, ua.DataChangeFilter):
        raise ServiceError(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
    return given


def _looks(elements: list[Any]) -> int:
    """How many operands a condition looks at, where each element may stand for others. Raises a fault for a ring."""
    found: dict[int, int] = {}
    for at in reversed(range(len(elements))):
        later = [each.Index for each in elements[at].FilterOperands if isinstance(each, ua.ElementOperand)]
        if not all(at < each < len(elements) for each in later):
            raise ServiceError(ua.StatusCodes.BadFilterElementInvalid)
        found[at] = min(len(elements[at].FilterOperands) + sum(found[each] for each in later), MOST_FILTERED + 1)
    return found.get(0, 0)
