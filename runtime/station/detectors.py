"""The detectors of a line's cameras: where two cameras have the same one, its engine is opened once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from runtime.detector import Detector
from runtime.detector_file import read_detector
from runtime.engines.base import Engine
from runtime.engines.shared import SharedEngine
from runtime.errors import DetectorError
from runtime.location import Location
from runtime.opening import open_engine, usual_engine
from runtime.station.description import DetectorDescription, LineDescription


@dataclass(frozen=True)
class Content:
    """What makes two detectors the same one: what is in the file, and how it runs."""

    # SHA-256 of the recipe, which has that of the graph; of a plan its path, since building it changes it; of a served
    # detector its address
    file: str
    engine: str
    options: tuple[tuple[str, str], ...]


def contents_of(line: LineDescription) -> dict[str, Content]:
    """What each camera's detector is, by what its file holds now: every file is read once.

    Raises `DetectorError` for a file that is none, after its place in the line's description.
    """
    files: dict[Location, str] = {}
    found = {}
    for camera in line.cameras:
        with line.document.at(*line.detector_place(camera)):
            described = line.detector_of(camera)
            location = described.location
            if isinstance(location, Path):
                location = location.resolve()
            if location not in files:
                files[location] = read_detector(location)[1].sha256 if _has_recipe(location) else str(location)
        engine = described.engine or usual_engine(location)
        options = tuple(sorted((name, repr(value)) for name, value in described.options.items()))
        found[camera] = Content(files[location], engine, options)
    return found


def open_detectors(line: LineDescription) -> dict[str, Detector]:
    """A detector for every camera, by its name, in the order of the cameras.

    Cameras with the same detector share one engine; each has its own detector, and with it the state of its own frames'
    health. Raises what `Detector.open` raises, after the place in the line's description; nothing stays open then.
    """
    together: dict[Content, list[str]] = {}
    for camera, content in contents_of(line).items():
        together.setdefault(content, []).append(camera)
    opened: dict[str, Detector] = {}
    try:
        for content, cameras in together.items():
            with line.document.at(*line.detector_place(cameras[0])):
                opened |= _open_once(content, line.detector_of(cameras[0]), cameras)
    except BaseException:
        close_all(opened.values())
        raise
    return {camera: opened[camera] for camera in line.cameras}


def close_all(detectors: Iterable[Detector]) -> None:
    """Close detectors; an engine that several share ends with the last of them."""
    for detector in detectors:
        detector.close()


def _open_once(content: Content, described: DetectorDescription, cameras: list[str]) -> Mapping[str, Detector]:
    location = described.location
    recipe, engine, why = open_engine(location, described.engine, described.options)
    if _has_recipe(location) and recipe.sha256 != content.file:
        engine.close()
        raise DetectorError(f"{location} was changed while it was opened; start again once it is written")
    shares: tuple[Engine, ...] = (engine,)
    if len(cameras) > 1:
        shares = SharedEngine(engine, recipe.size_hw, len(cameras)).shares
    return {camera: Detector(recipe, share, why) for camera, share in zip(cameras, shares, strict=True)}


def _has_recipe(location: Location) -> TypeGuard[Path]:
    """Whether it is a detector.onnx, whose recipe can be read before it is opened."""
    return isinstance(location, Path) and location.suffix != ".plan"
