"""NVIDIA Triton: a detector that runs on a server, asked over gRPC.

The recipe comes from the server's configuration of the model, and every answer carries the hash of the recipe that its
graph was made with: see `runtime.served`. Where that is another one than at the start, the frame is not judged. Nothing
stands in for the server: while it is gone, each frame fails with the reason, and gRPC connects again by itself.
"""

import math
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from runtime.engines.base import Output
from runtime.engines.ticketed import TicketedEngine
from runtime.engines.triton_address import TritonAddress, parse_triton
from runtime.errors import DetectorError, EngineError, InputError
from runtime.location import Address
from runtime.opening import TritonOptions
from runtime.printable import printable
from runtime.recipe import Recipe, recipe_from_metadata
from runtime.served import IDENTITY, INPUT, MOST_FRAMES, identity_of, served_outputs, sha256_of

LARGEST_MESSAGE = 2**31 - 1  # bytes: protobuf's own bound
CONFIGURATION_BYTES = 4 << 20  # most of a model's configuration, which holds the recipe
AROUND = 64 << 10  # bytes of a message beside its tensors, at most
FIRST_BACK_OFF_MS, LONGEST_BACK_OFF_MS = 200, 5_000  # between attempts to connect; gRPC lengthens, with some chance
ATTEMPT_MS = 2_000  # that an attempt to connect may take at least
SILENT_MS = 5_000  # what was sent and is not acknowledged for so long ends the connection: the other machine is gone
UNIT = 1e-6  # seconds: of the server's own time-out


class TritonEngine(TicketedEngine):
    """An `Engine` over one model of a Triton server. Batches under way are answered in any order."""

    def __init__(self, where: TritonAddress, recipe: Recipe, max_batch: int, server: str) -> None:
        """`server` is what it said of itself, in words. Raises `InputError` for certificates that cannot be read."""
        self._where, self._recipe = where, recipe
        self._shapes, self._identity = served_outputs(recipe), identity_of(recipe)
        largest = max(request_bytes(recipe, max_batch), answer_bytes(recipe, max_batch))
        self._client = connect(where, largest)
        self._outputs = [InferRequestedOutput(name) for name in self._shapes]
        super().__init__(self._ask, recipe.size_hw, max_batch, where.slots, f"{server}, {where}")

    def close(self) -> None:
        """See `Engine.close`. What is under way is called off."""
        super().close()
        self._client.close()

    def _ask(self, frames: NDArray[np.uint8]) -> Future[Output]:
        """Send a batch."""
        given = InferInput(INPUT, list(frames.shape), "UINT8")
        given.set_data_from_numpy(frames)  # copies them
        future: Future[Output] = Future()
        timeout_s = self._where.timeout_s
        try:
            self._client.async_infer(
                self._where.model,
                [given],
                partial(self._answered, future, len(frames)),
                self._where.version,
                self._outputs,
                timeout=math.ceil(timeout_s / UNIT),
                client_timeout=timeout_s,
            )
        except (InferenceServerException, ValueError, grpc.RpcError) as error:  # ValueError: of a closed channel
            raise EngineError(f"the frame could not be sent to {self._where}: {_first_line(error)}") from error
        return future

    def _answered(
        self, future: Future[Output], count: int, result: InferResult | None, error: InferenceServerException | None
    ) -> None:
        """Take an answer, in gRPC's own thread."""
        try:
            if error is not None or result is None:
                raise EngineError(refusal(self._where, error)) from error
            future.set_result(self._output(result, count))
        except BaseException as failure:
            future.set_exception(failure)

    def _output(self, result: InferResult, count: int) -> Output:
        arrays = {name: self._tensor(result, name, (count, *shape)) for name, shape in self._shapes.items()}
        answered = arrays.pop(IDENTITY)
        if not (answered == self._identity).all():
            raise EngineError(
                f"{self._where} is now another detector (recipe {sha256_of(answered[0])[:12]}, at the start "
                f"{self._recipe.sha256[:12]}); start again to use it"
            )
        return Output(**arrays)

    def _tensor(self, result: InferResult, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """An output, copied: what gRPC received is read-only."""
        try:
            found = result.as_numpy(name)
        except ValueError as error:  # its bytes are not those of its shape
            raise EngineError(f"{self._where} answered with a damaged {name}: {error}") from error
        sent = (shape, (*shape, 1)) if len(shape) == 1 else (shape,)  # one number a frame comes as [n, 1]
        if found is None or found.dtype != np.float32 or found.shape not in sent:
            answered = "none" if found is None else f"{found.dtype} {list(found.shape)}"
            raise EngineError(f"{self._where} answered with {name} {answered}; expected float32 {list(shape)}")
        return np.array(found.reshape(shape))


def open_triton(address: Address, options: TritonOptions) -> tuple[Recipe, TritonEngine, str]:
    """The opener of `runtime.opening`. A black frame is computed, so that a detector that is open has answered once.

    Raises `InputError` for an address that is none, `EngineError` where the server or the model does not answer,
    `DetectorError` for a model that is no detector, or not the one expected.
    """
    where = parse_triton(address)
    recipe, max_batch, server = describe(where)
    engine = TritonEngine(where, recipe, max_batch, server)
    try:
        engine.result(engine.submit(np.zeros((1, *recipe.size_hw, 3), np.uint8)), where.timeout_s + 1)
    except BaseException:
        engine.close()
        raise
    return recipe, engine, "as the address says"


def describe(where: TritonAddress) -> tuple[Recipe, int, str]:
    """What a server says of a model: the recipe, the most frames of a batch, and the server in words.

    Raises `EngineError` where it does not answer, `DetectorError` for a model that is no detector, or another one.
    """
    client = connect(where, CONFIGURATION_BYTES)
    try:
        server = client.get_server_metadata(client_timeout=where.timeout_s)
        config = client.get_model_config(where.model, where.version, client_timeout=where.timeout_s).config
    except InferenceServerException as error:
        raise EngineError(f"{refusal(where, error)}; check the address, and start the server first") from error
    finally:
        client.close()
    recipe = checked_recipe(where, {name: each.string_value for name, each in config.parameters.items()})
    check_tensors(where, config, recipe)
    most = min(config.max_batch_size or 1, MOST_FRAMES, largest_batch(recipe))
    if most < 1:
        raise EngineError(f"one frame of {where} takes more than {LARGEST_MESSAGE:,} bytes; run the detector here")
    return recipe, most, f"{printable(server.name).capitalize()} {printable(server.version)}"


def checked_recipe(where: TritonAddress, parameters: Mapping[str, str]) -> Recipe:
    """The recipe in a model's parameters. Raises `DetectorError` where there is none, or not the one expected."""
    if "recipe" not in parameters:
        raise DetectorError(
            f"{where} is no detector of Proctor's: its configuration holds no recipe; make it with python -m "
            "export.triton"
        )
    try:
        recipe = recipe_from_metadata(parameters)
    except DetectorError as error:
        raise DetectorError(f"{where}: {error}") from error
    if not recipe.sha256.startswith(where.recipe):
        raise DetectorError(
            f"{where} has the recipe {recipe.sha256[:12]}, the address expects {where.recipe[:12]}; change the "
            "address, or serve the detector that it means"
        )
    return recipe


def check_tensors(where: TritonAddress, config: Any, recipe: Recipe) -> None:
    """Raise `DetectorError` unless a model has the outputs of a served graph, and the hash among them."""
    missing = [name for name in served_outputs(recipe) if name not in {each.name for each in config.output}]
    if missing:
        raise DetectorError(
            f"{where} has no output {', '.join(missing)}, by which an answer says which detector it is of; make it "
            "again with python -m export.triton"
        )


def connect(where: TritonAddress, largest: int) -> InferenceServerClient:
    """A connection that is made when it is first used, for messages of `largest` bytes either way.

    Raises `InputError` for certificates that cannot be read.
    """
    options = [
        ("grpc.max_send_message_length", largest),
        ("grpc.max_receive_message_length", largest),
        ("grpc.initial_reconnect_backoff_ms", FIRST_BACK_OFF_MS),
        ("grpc.min_reconnect_backoff_ms", ATTEMPT_MS),
        ("grpc.max_reconnect_backoff_ms", LONGEST_BACK_OFF_MS),
        # it sets TCP's own time for what is not acknowledged; its pings, which the server may take amiss, never come:
        # a call ends before
        ("grpc.keepalive_time_ms", math.ceil(2e3 * where.timeout_s) + SILENT_MS),
        ("grpc.keepalive_timeout_ms", SILENT_MS),
        ("grpc.enable_http_proxy", 0),  # to where the address says, and nowhere else
        ("grpc.service_config_disable_resolution", 1),
    ]
    return InferenceServerClient(where.target, creds=credentials(where), channel_args=options)


def credentials(where: TritonAddress) -> grpc.ChannelCredentials | None:
    """Of TLS, where the address asks for it. Raises `InputError` for a file that cannot be read."""
    if not where.tls:
        return None
    return grpc.ssl_channel_credentials(*map(_pem, (where.ca, where.key, where.certificate)))


def largest_batch(recipe: Recipe) -> int:
    """Most frames whose messages stay within protobuf's bound."""
    each = max(request_bytes(recipe, 1), answer_bytes(recipe, 1)) - AROUND
    return (LARGEST_MESSAGE - AROUND) // each


def request_bytes(recipe: Recipe, count: int) -> int:
    """Most bytes of a message with `count` frames."""
    return AROUND + count * math.prod(recipe.size_hw) * 3


def answer_bytes(recipe: Recipe, count: int) -> int:
    """Most bytes of the answer to it."""
    values = sum(math.prod(shape) for shape in served_outputs(recipe).values())
    return AROUND + count * values * np.dtype(np.float32).itemsize


def refusal(where: TritonAddress, error: InferenceServerException | None) -> str:
    """Why there is no answer, in words."""
    status, said = ("", "") if error is None else (str(error.status() or ""), _first_line(error))
    if status.endswith("DEADLINE_EXCEEDED"):
        return f"{where} did not answer within {where.timeout_s:g} s"
    if status.endswith("UNAVAILABLE") and "Request timeout expired" in said:
        return f"{where} is overloaded: the frame waited too long for its turn, and was not computed"
    if status.endswith("UNAVAILABLE") and "maximum queue size" in said:
        return f"{where} is overloaded: too many frames wait for their turn, and this one was not computed"
    if status.endswith("UNAVAILABLE"):
        return f"{where} cannot be reached ({said})"
    return f"{where} gave no result: {said or 'no reason was given'}"


def _pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the address of the detector") from error


def _first_line(error: Exception) -> str:
    said = error.message() if isinstance(error, InferenceServerException) else str(error)
    lines = str(said or "").strip().splitlines()
    return printable(lines[0]) if lines else type(error).__name__
