"""Detectors opened by an engine: the table of engines, and which of them runs which file with which options.

An engine is a file in `runtime/engines` (or a package, as `runtime/tensorrt`) with a function that opens a detector
file or the address of a server, and a row here. The row's options stand here too, since every command shows them before
any library is loaded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from runtime.arguments import as_path, as_threads, described
from runtime.engines.base import Engine
from runtime.errors import EngineError, InputError
from runtime.location import Address, Location
from runtime.recipe import Recipe

Opened = tuple[Recipe, Engine, str]  # and why it is this engine, for people
PROVIDERS, BINDINGS = ("cpu", "cuda"), ("auto", "cuda-bindings", "pycuda")


@dataclass(frozen=True)
class OnnxRuntimeOptions:
    """Of ONNX Runtime."""

    provider: str = "cpu"  # one of PROVIDERS
    threads: int | None = None  # CPU threads of one inference; None: all cores that this process may use


@dataclass(frozen=True)
class OpenVinoOptions:
    """Of OpenVINO."""

    threads: int | None = None  # CPU threads of one inference; None: all cores that this process may use


@dataclass(frozen=True)
class TensorRtOptions:
    """Of TensorRT."""

    cuda: str = "auto"  # one of BINDINGS; auto: the first that is installed
    rebuild: bool = True  # whether a stale plan is built anew
    key_file: Path | None = None  # by which its sidecar must be signed


@dataclass(frozen=True)
class AutoOptions:
    """Of the choice between them: `threads` for engines on the CPU, the others for a plan."""

    threads: int | None = None
    cuda: str = "auto"
    rebuild: bool = True


@dataclass(frozen=True)
class TritonOptions:
    """Of Triton: none. What a connection needs stands in the address."""


@dataclass(frozen=True)
class EngineRow:
    """An engine: which files it runs, its options, and ``module:function`` of a path and these options.

    One whose `suffix` ends in ``://`` runs no file: its opener gets an address of that scheme.
    """

    title: str
    suffix: str
    options: type[Any]
    opener: str
    package: str | None = None  # that the opener's module imports first
    install: str | None = None  # what pip is asked for, where that is not the package's name
    check: str | None = None  # ``module:function`` that refuses an address which is none; it loads no library

    @property
    def scheme(self) -> str | None:
        """Of the addresses that it opens; None where it runs files."""
        return self.suffix.removesuffix("://") if self.suffix.endswith("://") else None


ENGINES = {
    "auto": EngineRow("the choice of an engine", ".onnx", AutoOptions, "runtime.choice.engines:open_fastest"),
    "onnxruntime": EngineRow(
        "ONNX Runtime",
        ".onnx",
        OnnxRuntimeOptions,
        "runtime.engines.onnxruntime_engine:open_onnxruntime",
        "onnxruntime",
    ),
    "openvino": EngineRow(
        "OpenVINO", ".onnx", OpenVinoOptions, "runtime.engines.openvino_engine:open_openvino", "openvino"
    ),
    "tensorrt": EngineRow("TensorRT", ".plan", TensorRtOptions, "runtime.tensorrt.plans:open_tensorrt"),
    "triton": EngineRow(
        "Triton",
        "triton://",
        TritonOptions,
        "runtime.engines.triton_engine:open_triton",
        package="grpc",
        install="'proctor[triton]'",
        check="runtime.engines.triton_address:parse_triton",
    ),
}
BY_SUFFIX = {".plan": "tensorrt"}  # where no engine is named; of any other name: ONNX Runtime


def usual_engine(location: Location) -> str:
    """The engine that opens a detector where none is named: of an address its scheme's. Raises `InputError` for a
    scheme that no engine has."""
    if isinstance(location, Path):
        return BY_SUFFIX.get(location.suffix, "onnxruntime")
    engine = next((name for name, row in ENGINES.items() if row.scheme == location.scheme), None)
    if engine is None:
        known = ", ".join(row.suffix for row in ENGINES.values() if row.scheme)
        raise InputError(f"the detector is {location}; expected a file, or an address that begins with {known}")
    return engine


def open_engine(
    location: Location, engine: str | None, options: Mapping[str, object], spelled: Callable[[str], str] = str
) -> Opened:
    """Open a detector with `engine`, one of ENGINES, by default the one that its name or address is for.

    `options` are those that were given, by name, of that engine's dataclass. `spelled` is how whoever gave them writes
    a name: in Python as it is, on the command line as a flag. Raises `InputError` for an engine or option that is not
    known or means nothing for this file, and what the engine's opener raises. Nothing is tried in its place.
    """
    row, checked = check_engine(location, engine, options, spelled)
    recipe, opened, why = _opener(row)(location, checked)
    return recipe, opened, why or ("by default" if engine is None else "as asked")


def check_engine(
    location: Location, engine: str | None, options: Mapping[str, object], spelled: Callable[[str], str] = str
) -> tuple[EngineRow, Any]:
    """The engine that runs a detector, and its options. Neither is opened. Raises `InputError` as `open_engine`
    does."""
    if engine is not None and (not isinstance(engine, str) or engine not in ENGINES):
        raise InputError(f"{spelled('engine')} is {described(engine)}; expected one of {', '.join(ENGINES)}")
    if isinstance(location, Path) and not location.name:
        raise InputError(f"the detector is {str(location)!r}; expected a file, such as detector.onnx")
    name = engine or usual_engine(location)
    row = ENGINES[name]
    _refuse_kind(location, row, name)
    checked = {option: _checked(option, value, spelled(option)) for option, value in options.items()}
    _refuse_foreign(location, name, options, spelled)
    return row, row.options(**checked)


def _refuse_kind(location: Location, row: EngineRow, name: str) -> None:
    """Raise `InputError` for a file or an address that an engine does not open."""
    if isinstance(location, Address):
        if row.scheme != location.scheme:
            raise InputError(f"{row.title} does not open {location}; leave out the engine: an address says which")
        if row.check is not None:
            _function(row.check)(location)
    elif row.scheme is not None:
        raise InputError(f"{row.title} runs no file, and {location} is one; give {row.suffix}HOST:PORT/MODEL")
    elif location.suffix == ".plan" and row.suffix != ".plan" and name != "auto":
        raise InputError(f"{row.title} does not run {location}; give the detector.onnx that it was built from")


def _function(named: str) -> Callable[..., Any]:
    """``module:function``, loaded."""
    module, _, function = named.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


def _opener(row: EngineRow) -> Callable[[Location, Any], Opened]:
    try:
        return _function(row.opener)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {each.package for each in ENGINES.values()}:
            raise  # a fault of ours
        raise EngineError(
            f"{row.title} is not installed; pip install {row.install or error.name}, or choose another engine"
        ) from error


def _refuse_foreign(
    location: Location, name: str, options: Mapping[str, object], spelled: Callable[[str], str]
) -> None:
    """Raise `InputError` when an option was given that means nothing for this detector: it would be ignored unseen."""
    known = {field.name for field in fields(ENGINES[name].options)}
    foreign = [option for option in options if option not in known]
    if not foreign:
        return
    if name == "auto" and "provider" in foreign:
        raise InputError(f"engine auto chooses the provider itself; leave out {spelled('provider')}")
    if name == "auto" and "key_file" in foreign:
        raise InputError("engine auto may take the detector.onnx, which no key signs; give engine tensorrt instead")
    rows = [row for engine, row in ENGINES.items() if engine != "auto"]
    owners = [row.title for row in rows if foreign[0] in {field.name for field in fields(row.options)}]
    if not owners:
        raise InputError(f"{spelled(foreign[0])} is no option of an engine; leave it out")
    verb = "is an option" if len(foreign) == 1 else "are options"
    raise InputError(
        f"{' and '.join(map(spelled, foreign))} {verb} of {' and '.join(owners)}, and {location} is opened with "
        f"{ENGINES[name].title}; leave out, or give another file or engine"
    )


def _checked(option: str, value: object, shown: str) -> object:
    """An option's value. Raises `InputError` for one that is none, whichever engine it is for."""
    if option == "threads":
        return as_threads(value)
    if option == "key_file":
        return as_path(shown, value)
    if option == "rebuild" and not isinstance(value, bool):
        raise InputError(f"{shown} is {described(value)}; expected True or False")
    choices = {"cuda": BINDINGS, "provider": PROVIDERS}.get(option)
    if choices and not (isinstance(value, str) and value in choices):
        raise InputError(f"{shown} is {described(value)}; expected one of {', '.join(choices)}")
    return value
