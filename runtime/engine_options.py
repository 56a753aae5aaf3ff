"""Which engine runs a detector: the options that every command shares which opens one."""

import argparse
from pathlib import Path

from runtime.arguments import given_options
from runtime.cli import as_flag, positive, some_path
from runtime.detector import Detector
from runtime.location import MARK, Address, Location
from runtime.opening import BINDINGS, ENGINES, PROVIDERS, open_engine


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Options of ONNX Runtime and of TensorRT, which `open_detector` reads."""
    parser.add_argument(
        "--engine",
        choices=tuple(ENGINES),
        help="auto: the fastest here, measured once and remembered beside the detector "
        "(default: ONNX Runtime for a detector.onnx, TensorRT for a detector.plan, Triton for triton://…)",
    )
    onnx = parser.add_argument_group("a detector.onnx, run by ONNX Runtime or, with --engine openvino, by OpenVINO")
    onnx.add_argument("--provider", choices=PROVIDERS, help="where it runs (default: cpu)")
    onnx.add_argument("--threads", type=positive, metavar="N", help="CPU threads of one inference (default: all)")
    plan = parser.add_argument_group("a detector.plan, run by TensorRT")
    add_cuda_option(plan)
    plan.add_argument("--no-rebuild", action="store_true", help="refuse a stale plan instead of building it anew")
    add_key_option(plan)


def add_cuda_option(parser: argparse._ActionsContainer) -> None:
    """The CUDA binding."""
    parser.add_argument("--cuda", choices=BINDINGS, help="CUDA binding (default: auto, the first that is installed)")


def add_key_option(parser: argparse._ActionsContainer) -> None:
    """The key that signs a plan's sidecar."""
    parser.add_argument(
        "--key-file", type=some_path, metavar="FILE", help="key that signs the plan's sidecar (HMAC-SHA256)"
    )


def open_detector(location: Location, arguments: argparse.Namespace) -> Detector:
    """Open a detector as the command line says. Raises what `Detector.open` raises."""
    options = {name: getattr(arguments, name) for name in ("provider", "threads", "cuda", "key_file")}
    options["rebuild"] = False if arguments.no_rebuild else None
    return Detector(*open_engine(location, arguments.engine, given_options(options), as_flag))


def open_sealed(location: Location, arguments: argparse.Namespace) -> Detector:
    """Open a detector of a sealed recipe, whose key is its plan's, too: nothing is written into a sealed folder. Raises
    what `Detector.open` raises, also for a stale plan."""
    is_plan = isinstance(location, Path) and location.suffix == ".plan"
    given = {"no_rebuild": is_plan, "key_file": arguments.key_file if is_plan else None}
    return open_detector(location, argparse.Namespace(**(vars(arguments) | given)))


def some_location(text: str) -> Location:
    """An argument type: a detector file's path, or the address of a served one."""
    return Address(text) if MARK in text else some_path(text)
