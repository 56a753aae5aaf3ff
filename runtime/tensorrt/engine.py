"""A TensorRT plan as an `Engine`: two slots over one stream of work, and a second stream for uploads."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines.base import TICKETS, Output, check_frames
from runtime.errors import DetectorError, EngineError, ResultTimeout
from runtime.recipe import Recipe
from runtime.tensorrt.builder import INPUT
from runtime.tensorrt.cuda import Cuda, Graph, Memory, Stream, what_helps
from runtime.tensorrt.library import AGAIN, share_profile, version
from runtime.tensorrt.messages import open_logger, reason
from runtime.tensorrt.sidecar import Tensor

log = logging.getLogger("proctor.tensorrt")

SLOTS = 2
POLL_S = 1e-4  # CUDA has no wait with a time limit


class TensorRtEngine:
    """An `Engine` over a deserialized plan. Results of a slot are copied, so that they belong to the caller.

    Each slot has pinned buffers and an execution context of its own. A frame's upload runs in a stream beside the one
    that works, so that it overlaps the frame before; an event keeps the order. On a GPU that shares the CPU's memory
    nothing is copied: the buffers are mapped. Where the binding can, a slot's work is captured into a CUDA graph after
    one plain launch at that batch size; where the capture fails, plain launches go on, and the log says so.
    """

    def __init__(
        self, trt: Any, cuda: Cuda, plan: bytes, recipe: Recipe, outputs: Mapping[str, tuple[int, ...]] | None = None
    ) -> None:
        """Takes `cuda` over and closes it. `plan` must be vouched for: deserializing it can run code. `outputs` are the
        graph's by name, each with its shape behind the number of frames; None: those of `recipe`.

        Raises `EngineError` when TensorRT refuses it, `DetectorError` when it is not the plan of `recipe`.
        """
        self.slots = SLOTS
        self._cuda, self._size_hw = cuda, recipe.size_hw
        self._under_way: dict[int, _Slot] = {}
        self._broken: str | None = None
        self._closed = False
        self._graphs = cuda.has_graphs
        self._free: list[_Slot] = []
        self._logger = open_logger(trt)
        try:
            with cuda.current():
                self._runtime = trt.Runtime(self._logger)
                self._engine = self._runtime.deserialize_cuda_engine(plan)
                if self._engine is None:
                    raise EngineError(f"TensorRT refused the plan: {reason(self._logger)}; {AGAIN}")
                self.tensors = tensors_of(trt, self._engine)
                check_tensors(self.tensors, recipe, outputs)
                self.max_batch = largest_batch(self._engine)
                work, uploads = cuda.stream(), cuda.stream()
                self._free = [self._slot(work, uploads) for _ in range(SLOTS)]
        except BaseException:
            self.close()
            raise
        self._library = f"TensorRT {version(trt)}"

    @property
    def description(self) -> str:
        """Library, device and binding, in words."""
        gpu = self._cuda.device
        how = "CUDA graphs" if self._graphs else "plain launches"
        memory = "mapped memory" if gpu.integrated else "pinned memory"
        return f"{self._library}, {gpu.name}, {self._cuda.description}, {how}, {memory}"

    def submit(self, frames: NDArray[np.uint8]) -> int:
        """See `Engine.submit`."""
        if self._closed:
            raise EngineError("the engine is closed; open the detector again")
        if self._broken:
            raise EngineError(f"the GPU failed before ({self._broken}); {what_helps(self._broken)}")
        check_frames(frames, self._size_hw, self.max_batch)
        if not self._free:
            raise EngineError(f"all {SLOTS} slots are under way; take a result first")
        slot = self._free[0]
        try:
            with self._cuda.current():
                slot.start(frames, self._launch)
        except EngineError as error:
            self._broken = str(error)
            raise
        self._free.remove(slot)
        ticket = next(TICKETS)
        self._under_way[ticket] = slot
        return ticket

    def result(self, ticket: int, timeout_s: float = 30.0) -> Output:
        """See `Engine.result`."""
        slot = self._under_way.get(ticket)
        if slot is None:
            raise EngineError(f"ticket {ticket} is unknown; each result can be taken once")
        deadline_s = time.monotonic() + timeout_s
        try:
            with self._cuda.current():
                while not slot.is_done():
                    if time.monotonic() >= deadline_s:
                        raise ResultTimeout(f"no result within {timeout_s:g} s; the GPU is too slow or overloaded")
                    time.sleep(POLL_S)
                output = slot.output()
        except ResultTimeout:
            raise
        except EngineError as error:
            self._broken = str(error)
            self._retire(ticket)
            raise
        self._retire(ticket)
        return output

    def close(self) -> None:
        """See `Engine.close`."""
        if self._closed:
            return
        self._closed = True
        for slot in self._under_way.values():
            try:
                with self._cuda.current():
                    self._cuda.synchronize(slot.work)
            except EngineError as error:
                log.warning("while closing: %s", error)
        # from the inside out: contexts, engine, then the streams and the memory that they use
        self._under_way.clear()
        self._free = []
        self._engine = self._runtime = None
        self._cuda.close()

    def _retire(self, ticket: int) -> None:
        self._free.append(self._under_way.pop(ticket))

    def _slot(self, work: Stream, uploads: Stream) -> "_Slot":
        context = self._engine.create_execution_context()
        if context is None:
            raise EngineError(
                f"TensorRT could not make an execution context: {reason(self._logger)}; free GPU memory, or build with "
                "a smaller --max-batch"
            )
        share_profile(context, work.address)
        return _Slot(self._cuda, context, self.tensors, self.max_batch, work, uploads)

    def _launch(self, slot: "_Slot") -> None:
        """A slot's work, as a graph where that is possible."""
        if self._graphs and slot.graph is None and slot.is_warm:
            try:
                slot.graph = self._cuda.capture(slot.work, lambda: self._enqueue(slot))
            except EngineError as error:
                self._graphs = False
                log.warning("no CUDA graph could be captured (%s); the plan runs by plain launches", error)
        if self._graphs and slot.graph is not None:
            self._cuda.launch(slot.graph, slot.work)
        else:
            self._enqueue(slot)

    def _enqueue(self, slot: "_Slot") -> None:
        if not slot.enqueue():
            raise EngineError(f"TensorRT could not start on the batch: {reason(self._logger)}")


class _Slot:
    """Buffers, an execution context and marks for one batch under way."""

    def __init__(
        self, cuda: Cuda, context: Any, tensors: tuple[Tensor, ...], max_batch: int, work: Stream, uploads: Stream
    ) -> None:
        self.work = work
        self._cuda, self._context, self._uploads = cuda, context, uploads
        self._mapped = cuda.device.integrated
        self._batch = 0
        self.is_warm = False  # whether a plain launch at this batch size has gone before
        self.graph: Graph | None = None
        self._uploaded, self._done = cuda.event(), cuda.event()
        self._buffers = {tensor.name: _Buffer(cuda, tensor, max_batch, self._mapped) for tensor in tensors}
        for name, buffer in self._buffers.items():
            if not context.set_tensor_address(name, buffer.device.address):
                raise EngineError(f"TensorRT refused the memory for {name}; {AGAIN}")

    def start(self, frames: NDArray[np.uint8], launch: Callable[["_Slot"], None]) -> None:
        """Queue all that a batch takes, up to the mark that it is done."""
        cuda, buffer = self._cuda, self._buffers[INPUT]
        self._resize(len(frames))
        np.copyto(buffer.view(self._batch), frames)
        if not self._mapped:
            cuda.upload(buffer.host, buffer.device, buffer.size(self._batch), self._uploads)
            cuda.record(self._uploaded, self._uploads)
            cuda.wait(self.work, self._uploaded)
        launch(self)
        self.is_warm = True
        cuda.record(self._done, self.work)

    def enqueue(self) -> bool:
        """Queue the plan and the downloads of its outputs; whether TensorRT took it. May be captured."""
        if not self._context.execute_async_v3(self.work.address):
            return False
        if not self._mapped:
            for buffer in self._outputs():
                self._cuda.download(buffer.device, buffer.host, buffer.size(self._batch), self.work)
        return True

    def is_done(self) -> bool:
        """Whether the batch has ended, downloads included."""
        return self._cuda.is_done(self._done)

    def output(self) -> Output:
        """The results, copied."""
        return Output(**{buffer.name: buffer.view(self._batch).copy() for buffer in self._outputs()})

    def _resize(self, batch: int) -> None:
        """Set the batch size. A graph holds for the size it was captured at, and for a context left alone since."""
        if batch == self._batch:
            return
        if self.graph is not None:
            self._cuda.drop(self.graph)
        self.graph, self.is_warm, self._batch = None, False, 0
        if not self._context.set_input_shape(INPUT, (batch, *self._buffers[INPUT].shape)):
            raise EngineError(f"TensorRT refused a batch of {batch}; {AGAIN} --max-batch {batch}")
        self._batch = batch

    def _outputs(self) -> list["_Buffer"]:
        return [buffer for name, buffer in self._buffers.items() if name != INPUT]


class _Buffer:
    """Pinned memory for one tensor, and its counterpart on the GPU: the same memory where it is mapped."""

    def __init__(self, cuda: Cuda, tensor: Tensor, max_batch: int, mapped: bool) -> None:
        self.name, self.shape = tensor.name, tensor.shape[1:]
        self.dtype = np.dtype(DTYPES[tensor.dtype])
        self.host: Memory = cuda.host_memory(self.size(max_batch), mapped)
        self.device: Memory = self.host if mapped else cuda.device_memory(self.size(max_batch))

    def size(self, batch: int) -> int:
        """Bytes of a batch."""
        return batch * math.prod(self.shape) * self.dtype.itemsize

    def view(self, batch: int) -> NDArray[Any]:
        """The host's memory as the array of a batch, [batch, …]."""
        assert self.host.host is not None
        return self.host.host[: self.size(batch)].view(self.dtype).reshape(batch, *self.shape)


DTYPES = {"UINT8": np.uint8, "FLOAT": np.float32}


def tensors_of(trt: Any, engine: Any) -> tuple[Tensor, ...]:
    """Inputs and outputs of a plan, the input first."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    names.sort(key=lambda name: engine.get_tensor_mode(name) != trt.TensorIOMode.INPUT)
    # the number of frames varies; whether a plan for one frame at most says −1 or 1 is TensorRT's affair
    return tuple(
        Tensor(name, engine.get_tensor_dtype(name).name, (-1, *map(int, tuple(engine.get_tensor_shape(name))[1:])))
        for name in names
    )


def largest_batch(engine: Any) -> int:
    """Most frames that a plan takes, from its only optimization profile."""
    _, _, most = engine.get_tensor_profile_shape(INPUT, 0)  # smallest, the one it is tuned for, largest
    return int(most[0])


def check_tensors(
    tensors: tuple[Tensor, ...], recipe: Recipe, outputs: Mapping[str, tuple[int, ...]] | None = None
) -> None:
    """Raise `DetectorError` unless a plan has the input of `recipe` and these outputs, in type and shape; None: those
    of `recipe`."""
    expected = [Tensor(INPUT, "UINT8", (-1, *recipe.size_hw, 3))]
    expected += [Tensor(name, "FLOAT", (-1, *shape)) for name, shape in (outputs or recipe.outputs).items()]
    if sorted(tensors, key=_name) != sorted(expected, key=_name):
        found = ", ".join(f"{tensor.name} {tensor.dtype} {list(tensor.shape)}" for tensor in tensors)
        wanted = ", ".join(f"{tensor.name} {tensor.dtype} {list(tensor.shape)}" for tensor in expected)
        raise DetectorError(f"the plan has {found}; its recipe says {wanted}; {AGAIN}")


def _name(tensor: Tensor) -> str:
    return tensor.name
