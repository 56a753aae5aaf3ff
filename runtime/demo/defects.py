"""What goes wrong on the demo line: each kind takes the good part's surface and returns a defective one.

A defect changes the surface, never the picture, so that it is lit and shadowed like the rest. Lengths are in the design
units of `runtime.demo.parts`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.demo import parts
from runtime.demo.engraving import draw_strokes
from runtime.demo.parts import Grid, Map, Surface, inside


@dataclass(frozen=True)
class Workpiece:
    """What a defect starts from: the good part, and the same part before its bolt holes were drilled."""

    grid: Grid
    good: Surface
    undrilled: Surface


def scratch(work: Workpiece, rng: np.random.Generator) -> Surface:
    """A gouge across the face or the hub, 30 to 60 units long and slightly bent, bright with freshly cut metal."""
    length, bend = rng.uniform(30, 60), rng.uniform(-0.5, 0.5)
    heading = rng.uniform(0, 2 * np.pi) + bend * np.linspace(-1, 1, 24)
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (length / 24)
    path = np.cumsum(steps, axis=0)
    path += _spot_on_metal(rng) - path.mean(axis=0)
    cut = draw_strokes([path], rng.uniform(1.3, 1.9), work.grid.side, work.grid.samples_per_unit)
    good = work.good
    return replace(
        good,
        relief=good.relief - 0.9 * cut,
        albedo=good.albedo + (1.45 - good.albedo) * cut,
        turned=good.turned * (1 - cut),
    )


def dent(work: Workpiece, rng: np.random.Generator) -> Surface:
    """The mark of a blow: a smooth bowl in the face, 12 to 18 units wide, in which the tool marks are crushed."""
    radius = rng.uniform(6, 9)
    span = _distance_to(work.grid, _spot_on_face(rng)) / np.float32(radius)
    bowl = np.square(np.maximum(1 - span * span, 0))
    depth = np.float32(radius * rng.uniform(0.45, 0.6))
    good = work.good
    return replace(
        good,
        relief=good.relief - depth * bowl,
        albedo=good.albedo * (1 - 0.2 * bowl),
        turned=good.turned * (1 - 0.75 * bowl),
    )


def chip(work: Workpiece, rng: np.random.Generator) -> Surface:
    """A piece broken out of the rim, 16 to 26 units wide, with a rough and falling fracture around the gap."""
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(8, 13)
    centre = _polar(parts.RIM_RADIUS + 1, angle)
    ragged = _distance_to(work.grid, centre) - np.float32(radius) + 1.2 * _noise(work.grid, 4, rng)
    fracture = inside(work.grid, ragged - 3)
    fall = 0.9 * np.clip(3 - ragged, 0, 6) + 0.5 * _noise(work.grid, 1.6, rng)
    good = work.good
    return replace(
        good,
        relief=good.relief - fracture * fall,
        coverage=good.coverage * (1 - inside(work.grid, ragged)),
        albedo=good.albedo * (1 - 0.25 * fracture),
        turned=good.turned * (1 - fracture),
    )


def stain(work: Workpiece, rng: np.random.Generator) -> Surface:
    """Dried coolant, 18 to 32 units wide: a brown film, thickest along its edge."""
    distance = _distance_to(work.grid, _spot_on_metal(rng)) - np.float32(rng.uniform(9, 16))
    edge = distance + 2.2 * _noise(work.grid, 8, rng) + 0.6 * _noise(work.grid, 3, rng)
    wet = np.clip(0.5 - edge / 1.6, 0, 1)
    film = wet * (0.45 + 0.3 * np.exp(-np.square(edge / 2.5)) + 0.06 * _noise(work.grid, 3, rng))
    return replace(work.good, film=np.clip(np.float32(rng.uniform(0.8, 1.1)) * film, 0, 1))


def missing_hole(work: Workpiece, rng: np.random.Generator) -> Surface:
    """One of the bolt seats was milled, but its hole never drilled."""
    centre = parts.bolt_centres()[rng.integers(parts.BOLT_COUNT)]
    around = _distance_to(work.grid, centre) < parts.BOLT_RADIUS + parts.BOLT_CHAMFER + 1
    good, undrilled = work.good, work.undrilled
    return replace(
        good,
        relief=np.where(around, undrilled.relief, good.relief),
        coverage=np.where(around, undrilled.coverage, good.coverage),
    )


DEFECTS: dict[str, Callable[[Workpiece, np.random.Generator], Surface]] = {
    "scratch": scratch,
    "dent": dent,
    "chip": chip,
    "stain": stain,
    "missing_hole": missing_hole,
}


def _spot_on_metal(rng: np.random.Generator) -> NDArray[np.float64]:
    """A point on the face between two bolt holes, or, one time in four, on the hub: x, y."""
    if rng.random() < 0.25:
        return _polar(rng.uniform(33, 42), rng.uniform(0, 2 * np.pi))
    return _spot_on_face(rng)


def _spot_on_face(rng: np.random.Generator) -> NDArray[np.float64]:
    pitches_from_hole = rng.integers(parts.BOLT_COUNT) + rng.uniform(0.35, 0.65)
    return _polar(rng.uniform(62, 78), pitches_from_hole * 2 * np.pi / parts.BOLT_COUNT)


def _polar(radius: float, angle: float) -> NDArray[np.float64]:
    return radius * np.array([np.cos(angle), np.sin(angle)])


def _distance_to(grid: Grid, point_xy: NDArray[np.float64]) -> Map:
    return np.asarray(np.hypot(grid.x - point_xy[0], grid.y - point_xy[1]), np.float32)


def _noise(grid: Grid, feature: float, rng: np.random.Generator) -> Map:
    """Smooth noise of about unit deviation, with features `feature` units wide."""
    coarse = rng.standard_normal((int(np.ceil(parts.EXTENT / feature)),) * 2, dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (grid.side, grid.side), interpolation=cv2.INTER_CUBIC), np.float32)
