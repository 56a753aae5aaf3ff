"""From an ONNX file's bytes to a plan's bytes. No file is touched here, and no GPU memory but TensorRT's own."""

import logging
from dataclasses import dataclass
from typing import Any

from runtime.errors import EngineError, InputError
from runtime.tensorrt.library import can_show_progress, network_flags, version
from runtime.tensorrt.messages import open_logger, reason
from runtime.tensorrt.progress import noting_interrupts, progress_monitor

log = logging.getLogger("proctor.tensorrt")

INPUT = "frames"
MOST_FRAMES = 64  # the exported graph takes no more
ERRORS_SHOWN = 3


@dataclass(frozen=True)
class BuildOptions:
    """What a plan is built for."""

    max_batch: int = 1  # frames; the plan is tuned for this many, and takes fewer
    workspace_mib: int = 1024  # most scratch memory of one layer's kernels
    optimization_level: int = 3  # 0 builds fastest, 5 searches longest; TensorRT's default is 3

    def check(self) -> None:
        """Raise `InputError` for the first option that cannot be used."""
        for name, value, low, high in (
            ("max_batch", self.max_batch, 1, MOST_FRAMES),
            ("workspace_mib", self.workspace_mib, 1, 1 << 20),
            ("optimization_level", self.optimization_level, 0, 5),
        ):
            if not low <= value <= high:
                raise InputError(f"{name} is {value}; expected {low} to {high}")


@dataclass(frozen=True)
class Built:
    """A plan, and the timing cache as it is after the build."""

    plan: bytes
    timing_cache: bytes


def build_plan(
    trt: Any, model: bytes, size_hw: tuple[int, int], options: BuildOptions, timing_cache: bytes = b""
) -> Built:
    """Build a plan of a detector's ONNX file for prepared frames of `size_hw`; it takes minutes.

    Inside the CUDA context that will run it. Precision is what the file says: the network is strongly typed, and TF32,
    which would cut FP32 convolutions to ten bits of mantissa, is off. Raises `EngineError` with the parser's or the
    builder's own words, and KeyboardInterrupt soon after Ctrl-C in the main thread.
    """
    options.check()
    logger = open_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt))
    with noting_interrupts():
        _parse(trt, network, logger, model)
    config = _config(trt, builder, network, size_hw, options)
    _use_timing_cache(config, timing_cache, logger)
    memory = _built(trt, builder, network, config)
    if memory is None:
        raise EngineError(
            f"TensorRT {version(trt)} could not build the plan: {reason(logger)}; give it more memory "
            "(--workspace, fewer programs on the GPU), or run the detector.onnx with ONNX Runtime"
        )
    return Built(bytes(memory), bytes(config.get_timing_cache().serialize()))


def _built(trt: Any, builder: Any, network: Any, config: Any) -> Any:
    """The plan, None where TensorRT cannot build it."""
    with noting_interrupts() as interrupted:
        if not can_show_progress(trt):
            return builder.build_serialized_network(network, config)
        monitor = config.progress_monitor = progress_monitor(trt, interrupted=interrupted)
        try:
            return builder.build_serialized_network(network, config)
        finally:
            monitor.close()


def _parse(trt: Any, network: Any, logger: Any, model: bytes) -> None:
    parser = trt.OnnxParser(network, logger)
    if parser.parse(model):
        return
    errors = [parser_error(parser.get_error(index)) for index in range(parser.num_errors)]
    said = "; ".join(errors[:ERRORS_SHOWN]) or reason(logger)
    more = f" (and {len(errors) - ERRORS_SHOWN} more)" if len(errors) > ERRORS_SHOWN else ""
    raise EngineError(
        f"TensorRT {version(trt)} cannot read the detector: {said}{more}; export it again with this version of "
        "Proctor, try --form atrous, or run the detector.onnx with ONNX Runtime"
    )


def parser_error(error: Any) -> str:
    """One of the parser's errors in words: node, operator and what is wrong with it."""
    operator, name, number = error.node_operator(), error.node_name(), error.node()
    description: str = error.desc().strip().rstrip(".")
    if number < 0 and not name:  # the file as a whole
        return description
    return f"node {name or number}" + (f" ({operator})" if operator else "") + f": {description}"


def _config(trt: Any, builder: Any, network: Any, size_hw: tuple[int, int], options: BuildOptions) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    config.builder_optimization_level = options.optimization_level
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    one, most = (1, *size_hw, 3), (options.max_batch, *size_hw, 3)
    profile.set_shape(INPUT, one, most, most)
    if network.num_inputs != 1 or network.get_input(0).name != INPUT:
        names = ", ".join(network.get_input(index).name for index in range(network.num_inputs))
        raise EngineError(f"the detector has the inputs {names}, expected {INPUT} alone; export it again")
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"TensorRT {version(trt)} refused frames of {size_hw[0]}×{size_hw[1]} pixels; export again")
    return config


def _use_timing_cache(config: Any, data: bytes, logger: Any) -> None:
    """Begin with the timings of an earlier build; one that does not fit this machine or version is begun anew."""
    cache = config.create_timing_cache(data)
    if cache is not None and config.set_timing_cache(cache, False):
        return
    log.warning("the timing cache does not fit this machine and is begun anew (%s)", reason(logger))
    if not config.set_timing_cache(config.create_timing_cache(b""), False):
        raise EngineError(f"TensorRT refused an empty timing cache: {reason(logger)}")
