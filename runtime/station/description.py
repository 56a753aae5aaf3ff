"""What a line is: its cameras, detectors and sinks, and how parts are judged, from a YAML file."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from runtime.arguments import described, given_options
from runtime.bounds import check_between
from runtime.cameras import check_camera, why_no_parts
from runtime.cameras.base import EXTERNAL, SOFTWARE
from runtime.default_detector import choose_detector
from runtime.errors import InputError, OptionError
from runtime.location import Location, as_location
from runtime.opening import check_engine
from runtime.sinks import ROWS
from runtime.station.places import Document, read_document
from runtime.typed import build

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")  # stands in every line of output, and names folders
SHORTEST_MS, LONGEST_MS = 1.0, 600_000.0  # of a deadline and a pace; parts wait in memory for as long


@dataclass(frozen=True)
class DetectorDescription:
    """A detector, and the engine that runs it."""

    file: str  # its path, or the address of a served one
    engine: str | None = None  # one of `runtime.opening.ENGINES`; None: by the file's name
    options: dict[str, object] = field(default_factory=dict)  # of the engine, by the names of `runtime.opening`

    @property
    def location(self) -> Location:
        """Where it is."""
        return as_location("file", self.file)


@dataclass(frozen=True)
class CameraDescription:
    """A camera, and the detector that judges what it sees."""

    uri: str
    detector: str | None = None  # a name; None: the only one, or the demo line's own
    options: dict[str, object] = field(default_factory=dict)  # of the camera, by the names of `runtime.cameras`


@dataclass(frozen=True)
class PartsDescription:
    """One verdict for a part that several cameras see."""

    deadline_ms: float  # from the trigger of a part, or its first picture, to its verdict
    cameras: tuple[str, ...] = ()  # that see every part; none named: all
    every_ms: float | None = None  # the pace at which this program triggers them; None: it does not

    def __post_init__(self) -> None:
        for name in ("deadline_ms", "every_ms"):
            try:
                check_between(name, getattr(self, name), SHORTEST_MS, LONGEST_MS)
            except InputError as error:
                raise OptionError(str(error), name) from error


@dataclass(frozen=True)
class LineDescription:
    """A line, as `read_line` checked it."""

    document: Document
    cameras: Mapping[str, CameraDescription]
    detectors: Mapping[str, DetectorDescription]
    sinks: Mapping[str, Any]  # values of their options, by the names of `runtime.sinks.ROWS`
    parts: PartsDescription | None

    def detector_name(self, camera: str) -> str | None:
        """The name of the detector that judges a camera's frames; None for the demo line's own. Raises `InputError`
        where that is not said."""
        name = self.cameras[camera].detector
        if name is None and len(self.detectors) > 1:
            raise InputError(f"detector is missing; expected one of {', '.join(self.detectors)}")
        if name is not None and name not in self.detectors:
            known = ", ".join(self.detectors) or "a name below detectors, where none stands"
            raise OptionError(f"detector is {name!r}; expected {known}", "detector")
        return name or next(iter(self.detectors), None)

    def detector_of(self, camera: str) -> DetectorDescription:
        """The detector that judges a camera's frames. Raises `InputError` or `DetectorError` where there is none."""
        name, uri = self.detector_name(camera), self.cameras[camera].uri
        if name is None:
            return DetectorDescription(str(choose_detector(None, uri)))
        choose_detector(self.detectors[name].location, uri)  # the demo line's own is for no other camera
        return self.detectors[name]

    def detector_place(self, camera: str) -> tuple[str, ...]:
        """The keys that lead to that detector, or to the camera where it has the demo line's own."""
        name = self.detector_name(camera)
        return ("cameras", camera) if name is None else ("detectors", name)

    @property
    def part_cameras(self) -> tuple[str, ...]:
        """The cameras that see every part, where parts are judged; else none."""
        return () if self.parts is None else self.parts.cameras or tuple(self.cameras)


SECTIONS = tuple(each.name for each in fields(LineDescription) if each.name != "document")


def read_line(path: Path) -> LineDescription:
    """Read and check a line's description. Opens no camera and no engine, and reads no detector file.

    Raises `InputError`, or `SourceError` and `DetectorError` for a camera and a detector, with one sentence that begins
    with the place in the file.
    """
    document = read_document(path)
    sections = _sections(document)
    line = LineDescription(
        document,
        _each(document, "cameras", sections["cameras"], CameraDescription),
        _each(document, "detectors", sections.get("detectors"), DetectorDescription),
        _sinks(document, sections.get("sinks")),
        _parts(document, sections.get("parts")),
    )
    _check_cameras(line)
    _check_detectors(line)
    _check_parts(line)
    _check_triggers(line)
    return line


def _sections(document: Document) -> Mapping[str, Any]:
    content = document.content
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds {described(content)}"
        raise InputError(f"{document.path} {found}; expected a mapping with {', '.join(SECTIONS)}")
    unknown = next((name for name in content if name not in SECTIONS), None)
    if unknown is not None:
        raise InputError(f"{document.place(unknown)}: unknown key {unknown}; known are {', '.join(SECTIONS)}")
    if not content.get("cameras"):
        raise InputError(f"{document.place('cameras')}: cameras are missing; name at least one, with its uri")
    return content


def _each(document: Document, section: str, value: object, kind: type[T]) -> dict[str, T]:
    """Each entry of a section as a `kind`; keys that it does not have are its `options`, for others to judge."""
    if value is None:
        return {}
    own = {each.name for each in fields(kind) if each.name != "options"}  # type: ignore[arg-type]
    found: dict[str, T] = {}
    for name, entry in _mapping(document, value, section).items():
        with document.at(section, name):
            if not NAME.fullmatch(name):
                raise InputError(f"the name is {name!r}; expected up to 40 letters, digits, - and _")
        settings = given_options(_mapping(document, entry, section, name))
        if isinstance(settings.get("uri"), int):  # a camera's number is one of its addresses
            settings["uri"] = str(settings["uri"])
        with document.at(section, name):
            values = {key: settings.pop(key) for key in own if key in settings}
            found[name] = build(kind, {**values, "options": settings})
    return found


def _sinks(document: Document, value: object) -> dict[str, Any]:
    rows = {row.option.replace("-", "_"): row for row in ROWS}
    found: dict[str, Any] = {}
    for name, given in ({} if value is None else _mapping(document, value, "sinks")).items():
        with document.at("sinks", name):
            if name not in rows:
                raise InputError(f"unknown sink {name}; known are {', '.join(rows)}")
            if not isinstance(given, str | int | float):
                raise InputError(f"{name} is {described(given)}; expected {rows[name].metavar}")
            try:
                found[name] = rows[name].type(str(given))  # as the command line takes it
            except (argparse.ArgumentTypeError, ValueError) as error:
                raise InputError(str(error)) from error
    return found


def _parts(document: Document, value: object) -> PartsDescription | None:
    if value is None:
        return None
    with document.at("parts"):
        return build(PartsDescription, given_options(_mapping(document, value, "parts")))


def _mapping(document: Document, value: object, *keys: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(
            f"{document.place(*keys)}: {keys[-1]} is {described(value)}; expected names and values below it"
        )
    return value


def _check_cameras(line: LineDescription) -> None:
    for name, camera in line.cameras.items():
        with line.document.at("cameras", name):
            check_camera(camera.uri, camera.options)
            line.detector_of(name)


def _check_detectors(line: LineDescription) -> None:
    used = {line.detector_name(camera) for camera in line.cameras}
    for name, detector in line.detectors.items():
        with line.document.at("detectors", name):
            check_engine(detector.location, detector.engine, detector.options)
            if name not in used:
                raise InputError("no camera has this detector; name it at a camera, or leave it out")


def _check_parts(line: LineDescription) -> None:
    names = line.part_cameras
    if line.parts is None:
        return
    with line.document.at("parts", "cameras"):
        unknown = next((name for name in names if name not in line.cameras), None)
        if unknown is not None:
            raise InputError(f"there is no camera {unknown!r}; expected names among {', '.join(line.cameras)}")
        if len(names) < 2 or len(set(names)) < len(names):
            raise InputError(
                f"got {', '.join(names)}; expected two cameras or more, each once, that see the same parts"
            )
        for name in names:
            why_not = why_no_parts(line.cameras[name].uri, line.cameras[name].options)
            if why_not is not None:
                raise InputError(f"camera {name} cannot be among them: {why_not}; leave it out of cameras")


def _check_triggers(line: LineDescription) -> None:
    """Raise `InputError` where nobody would trigger a camera, and for a pace that triggers none."""
    triggers = {name: camera.options.get("trigger") for name, camera in line.cameras.items()}
    paced = line.parts is not None and line.parts.every_ms is not None
    for name, trigger in triggers.items():
        with line.document.at("cameras", name, "trigger"):
            if trigger == EXTERNAL:
                raise InputError("trigger external is for a line controller, which python -m runtime.line serves")
            if trigger == SOFTWARE and not (paced and name in line.part_cameras):
                raise InputError("trigger software needs a pace; name the camera in parts, and give every_ms there")
    with line.document.at("parts", "every_ms"):
        free = next((name for name in line.part_cameras if triggers[name] != SOFTWARE), None)
        if paced and free is not None:
            raise InputError(f"every_ms triggers cameras, and {free} has no trigger software; give it, or leave it out")
