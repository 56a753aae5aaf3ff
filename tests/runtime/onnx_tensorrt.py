"""A stand-in for the `tensorrt` module whose plans are ONNX files, run by ONNX Runtime on a `RecordingCuda`.

It has the names of the real binding that Proctor uses, and no others (`test_names.py` holds both to the real ones). Its
builder packs the ONNX file it parsed, its contexts read and write raw memory at the addresses they were given, later,
when the stream gets there.
"""

import enum
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from recording_cuda import RUBBISH, RecordingCuda

MAGIC = b"ONNX IN A PLAN "
NUMPY = {"UINT8": np.uint8, "FLOAT": np.float32, "HALF": np.float16}
ONNX_TYPES = {"tensor(uint8)": "UINT8", "tensor(float)": "FLOAT", "tensor(float16)": "HALF"}


class OnnxTensorRt:
    """The module. `version` is what it says it is; `problems` make its parts fail: see where they are looked up."""

    def __init__(self, cuda: Callable[[], RecordingCuda], version: str = "10.3.0") -> None:
        """`cuda` is the GPU that is current, as the primary context is for TensorRT."""
        self.__version__ = version
        self.problems: set[str] = set()
        self.events: list[str] = []  # what happened, in order
        self.networks: list[int] = []  # flags they were made with
        module = self

        class ILogger:
            Severity = Severity

            def log(self, severity: Severity, message: str) -> None:
                raise NotImplementedError

        class IProgressMonitor:
            pass

        self.ILogger, self.IProgressMonitor = ILogger, IProgressMonitor
        self.Severity, self.TensorIOMode, self.DataType = Severity, TensorIOMode, DataType
        self.MemoryPoolType, self.BuilderFlag = MemoryPoolType, BuilderFlag
        self.NetworkDefinitionCreationFlag = NetworkDefinitionCreationFlag
        self.Runtime: Any = lambda logger: Runtime(module, cuda(), logger)
        self.Builder: Any = lambda logger: Builder(module, logger)
        self.OnnxParser: Any = lambda network, logger: OnnxParser(module, network, logger)


class Severity(enum.IntEnum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class TensorIOMode(enum.IntEnum):
    NONE, INPUT, OUTPUT = range(3)


class DataType(enum.IntEnum):
    FLOAT, HALF, UINT8 = range(3)


class MemoryPoolType(enum.IntEnum):
    WORKSPACE = 0


class BuilderFlag(enum.IntEnum):
    TF32 = 0


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class Named:
    """A tensor of a network."""

    def __init__(self, name: str) -> None:
        self.name = name


class Network:
    """What the parser fills."""

    def __init__(self) -> None:
        self.model = b""
        self.inputs: list[Named] = []

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> Named:
        return self.inputs[index]


class OnnxParser:
    def __init__(self, module: OnnxTensorRt, network: Network, logger: Any) -> None:
        self._module, self._network = module, network

    def parse(self, model: bytes) -> bool:
        if "parse" in self._module.problems:
            return False
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._network.model = model
        self._network.inputs = [Named(each.name) for each in session.get_inputs()]
        return True

    @property
    def num_errors(self) -> int:
        return 1

    def get_error(self, index: int) -> "ParserError":
        return ParserError()


class ParserError:
    def node(self) -> int:
        return 7

    def node_name(self) -> str:
        return "node_max_pool"

    def node_operator(self) -> str:
        return "MaxPool"

    def desc(self) -> str:
        return "dilations are not supported."


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Any, Any, Any]] = {}

    def set_shape(self, name: str, smallest: Any, best: Any, largest: Any) -> None:
        self.shapes[name] = (tuple(smallest), tuple(best), tuple(largest))


class TimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytes:
        return self.data


class Config:
    def __init__(self, module: OnnxTensorRt) -> None:
        self._module = module
        self.flags = {BuilderFlag.TF32}
        self.pools: dict[MemoryPoolType, int] = {}
        self.builder_optimization_level = 3
        self.progress_monitor: Any = None
        self.profiles: list[Profile] = []
        self.cache = TimingCache(b"")

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        self.pools[pool] = size

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return -1 if "profile" in self._module.problems else 0

    def create_timing_cache(self, data: bytes) -> TimingCache | None:
        self._module.events.append(f"timing cache of {len(data)} bytes")
        return TimingCache(data)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache.data and "timing cache" in self._module.problems:
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> TimingCache:
        return TimingCache(b"timings")


class Builder:
    def __init__(self, module: OnnxTensorRt, logger: Any) -> None:
        self._module, self._logger = module, logger

    def create_network(self, flags: int = 0) -> Network:
        self._module.networks.append(flags)
        return Network()

    def create_builder_config(self) -> Config:
        return Config(self._module)

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        self._module.events.append("build")
        monitor = config.progress_monitor
        _called(monitor.phase_start, "Building", None, 2)
        if "Ctrl-C" in self._module.problems:
            _called(self._interrupted)
        going_on = [_called(monitor.step_complete, "Building", step) for step in range(2)]
        _called(monitor.phase_finish, "Building")
        if "build" in self._module.problems or not all(going_on):
            self._logger.log(Severity.ERROR, "no tactic found")
            return None
        assert BuilderFlag.TF32 not in config.flags
        header = {"profile": config.profiles[0].shapes, "fault": sorted(self._module.problems)}
        return MAGIC + json.dumps(header).encode() + b"\n" + network.model

    def _interrupted(self) -> None:
        """A message during which Ctrl-C is pressed."""
        os.kill(os.getpid(), signal.SIGINT)
        self._logger.log(Severity.WARNING, "a slow tactic")


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    """As TensorRT calls Python: what is raised there is lost, and counts as True."""
    try:
        return function(*arguments)
    except BaseException:
        return True


class Runtime:
    def __init__(self, module: OnnxTensorRt, cuda: RecordingCuda, logger: Any) -> None:
        self._module, self._cuda, self._logger = module, cuda, logger

    def deserialize_cuda_engine(self, plan: bytes) -> "Engine | None":
        self._module.events.append("deserialize")
        self._cuda.check_current()
        if not plan.startswith(MAGIC):
            self._logger.log(Severity.ERROR, "magic tag does not match")
            return None
        header, model = plan.removeprefix(MAGIC).split(b"\n", 1)
        return Engine(self._module, self._cuda, json.loads(header), model)


class Engine:
    def __init__(self, module: OnnxTensorRt, cuda: RecordingCuda, header: Any, model: bytes) -> None:
        self.module, self.cuda, self.header = module, cuda, header
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._inputs = {each.name: each for each in self.session.get_inputs()}
        # outputs first: an engine that goes by the order instead of the name is caught
        self._all = {each.name: each for each in self.session.get_outputs()} | self._inputs
        self.output_names = [each.name for each in self.session.get_outputs()]

    @property
    def num_io_tensors(self) -> int:
        return len(self._all)

    def get_tensor_name(self, index: int) -> str:
        return list(self._all)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[ONNX_TYPES[self._all[name].type]]

    def get_tensor_shape(self, name: str) -> list[int]:
        return [-1, *self._all[name].shape[1:]]

    def get_tensor_profile_shape(self, name: str, index: int) -> list[Any]:
        assert index == 0
        return list(self.header["profile"][name])

    def create_execution_context(self) -> "Context | None":
        return None if "context" in self.module.problems else Context(self)


class Context:
    """Reads and writes raw memory, as late as its stream gets there, with the shape that was set when it was queued."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._cuda = engine, engine.cuda
        self._addresses: dict[str, int] = {}
        self._shape: tuple[int, ...] = ()
        self._changes = 0
        self._launched_plainly = False
        self._has_profile = False

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self._cuda.queue(stream)
        self._has_profile = index == 0
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._changes += 1
        self._addresses[name] = address
        return address != 0

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._cuda.check_current()
        if "shape" in self._engine.module.problems or shape[0] > self._engine.header["profile"][name][2][0]:
            return False
        self._changes, self._launched_plainly = self._changes + 1, False
        self._shape = shape
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert self._has_profile, "no optimization profile"
        assert self._shape, "no input shape"
        queue = self._cuda.queue(stream)
        if "execute" in self._engine.module.problems:
            return False
        if queue.captured is None:
            self._launched_plainly = True
        else:
            assert self._launched_plainly, "TensorRT wants a plain launch at this shape before a capture"
        shape, changes, addresses = self._shape, self._changes, dict(self._addresses)
        captured = queue.captured is not None

        def compute() -> None:
            # a graph of a context that was changed since is undefined: here it writes rubbish
            undefined = captured and changes != self._changes
            frames = self._cuda.memory[addresses["frames"]][: int(np.prod(shape))].reshape(shape)
            values = self._engine.session.run(self._engine.output_names, {"frames": frames})
            for name, value in zip(self._engine.output_names, values, strict=True):
                data = np.ascontiguousarray(self._disturbed(name, value)).reshape(-1).view(np.uint8)
                self._cuda.memory[addresses[name]][: data.size] = RUBBISH if undefined else data

        queue.put(compute)
        return True

    def _disturbed(self, name: str, value: Any) -> Any:
        """What a plan that was built wrongly computes."""
        if "mixes" in self._engine.header["fault"]:
            return np.repeat(value[:1], len(value), axis=0)
        return value + np.float32(0.5) if "disagrees" in self._engine.header["fault"] else value
