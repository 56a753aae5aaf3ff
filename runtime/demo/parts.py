"""The part on the demo line: a turned steel flange with a brass bushing, as maps of its surface.

Lengths are in design units: one unit is 1/256 of the frame's shorter side, so one pixel of a 256×256 frame. The part's own
frame has its origin on the flange's axis, x to the right, y down, z towards the camera, and the belt at z = 0. Maps are
float32 [G, G] and sampled finer than the frame, so that the pose can be applied with a plain resampling.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

EXTENT = 232.0  # side of the mapped square: the flange, and room around it for its shadow
OVERSAMPLING = 2.0  # samples per pixel of the frame

RIM_RADIUS = 96.0
RIM_TEETH = 72
BORE_RADIUS = 17.0
BUSHING_RADIUS = 27.5
BOLT_RADIUS, BOLT_CIRCLE, BOLT_COUNT = 6.5, 71.0, 6
KEYWAY_HALF_WIDTH, KEYWAY_DEPTH = 3.6, 22.5

# Turned profile: radius, height. Bushing, hub with a relief groove at its foot, face, and the chamfer of the rim.
PROFILE = np.array(
    [
        *[(BORE_RADIUS, 14.0), (18.5, 15.2), (26.6, 15.2), (27.5, 14.2), (28.4, 15.0), (46.5, 15.0)],
        *[(49.5, 11.6), (50.5, 9.0), (53.0, 9.0), (54.2, 10.0), (85.0, 10.0), (86.2, 9.4), (87.4, 9.8), (RIM_RADIUS, 5.0)],
    ]
)

# Letters as strokes on a 4 × 6 grid, y up: enough for the name on the face
GLYPHS: dict[str, list[list[tuple[float, float]]]] = {
    "P": [[(0, 0), (0, 6), (3, 6), (4, 5), (4, 4), (3, 3), (0, 3)]],
    "R": [[(0, 0), (0, 6), (3, 6), (4, 5), (4, 4), (3, 3), (0, 3)], [(2, 3), (4, 0)]],
    "O": [[(1, 0), (0, 1), (0, 5), (1, 6), (3, 6), (4, 5), (4, 1), (3, 0), (1, 0)]],
    "C": [[(4, 1), (3, 0), (1, 0), (0, 1), (0, 5), (1, 6), (3, 6), (4, 5)]],
    "T": [[(0, 6), (4, 6)], [(2, 6), (2, 0)]],
}


@dataclass(frozen=True)
class Grid:
    """Where the samples of a map lie. `x`, `y`: position in units; `radius`, `angle`: the same, polar."""

    samples_per_unit: float
    x: Map
    y: Map
    radius: Map
    angle: Map
    tangent_x: Map
    tangent_y: Map

    @property
    def side(self) -> int:
        return int(self.x.shape[0])

    def pixels(self, points_xy: NDArray[np.float64]) -> NDArray[np.int32]:
        """Points [N, 2] in units as OpenCV's fixed-point sample positions with 4 fractional bits."""
        centre = (self.side - 1) / 2
        return np.round((points_xy * self.samples_per_unit + centre) * 16).astype(np.int32)


@dataclass(frozen=True)
class Surface:
    """A part as the light meets it.

    `relief`: height of the metal, in units, continued smoothly across openings. `coverage`: 1 on metal, 0 beside it and in
    openings. `albedo`: reflectance relative to bare metal. `brass`: 1 on brass, 0 on steel. `turned`: 1 where tool marks run
    around the axis, 0 elsewhere. `stain`: optical density of a film on the metal.
    """

    relief: Map
    coverage: Map
    albedo: Map
    brass: Map
    turned: Map
    stain: Map


def make_grid(frame_side: int) -> Grid:
    """The grid for frames whose shorter side is `frame_side` pixels."""
    samples_per_unit = OVERSAMPLING * frame_side / 256
    side = round(EXTENT * samples_per_unit)
    axis = ((np.arange(side) - (side - 1) / 2) / samples_per_unit).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    angle=np.arctan2(y, x)
    return Grid(samples_per_unit, x, y, np.hypot(x, y), angle, -np.sin(angle), np.cos(angle))


def bolt_centres() -> NDArray[np.float64]:
    """Centres of the bolt holes in units, [BOLT_COUNT, 2] as x, y."""
    angles = 2 * np.pi * (np.arange(BOLT_COUNT) + 0.0) / BOLT_COUNT
    return BOLT_CIRCLE * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def flange(grid: Grid, *, drilled: bool = True) -> Surface:
    """The good part; with `drilled=False`, the same before its bolt holes were made."""
    relief = np.interp(grid.radius, PROFILE[:, 0], PROFILE[:, 1]).astype(np.float32)
    teeth = np.cos(RIM_TEETH * grid.angle)
    on_rim = np.clip((grid.radius - 87.6) / 2.0, 0, 1)
    relief += 0.8 * on_rim * teeth
    outside = grid.radius - (RIM_RADIUS - 0.7 + 0.7 * teeth)
    outside = np.maximum(outside, BORE_RADIUS - grid.radius)
    keyway = np.maximum(np.abs(grid.x) - KEYWAY_HALF_WIDTH, np.maximum(grid.y, -KEYWAY_DEPTH - grid.y))
    outside = np.maximum(outside, -keyway)
    if drilled:
        for centre_x, centre_y in bolt_centres():
            distance = np.hypot(grid.x - centre_x, grid.y - centre_y)
            relief -= np.clip(BOLT_RADIUS + 2.6 - distance, 0, 2.6)
            outside = np.maximum(outside, BOLT_RADIUS - distance)
    engraving = _engraving(grid)
    relief -= 0.5 * engraving
    turned = ((grid.radius > 18.5) & (grid.radius < 86.0)).astype(np.float32) * (1 - engraving)
    return Surface(
        relief=relief,
        coverage=_inside(grid, outside),
        albedo=1 - 0.72 * engraving,
        brass=_inside(grid, grid.radius - BUSHING_RADIUS),
        turned=turned,
        stain=np.zeros_like(relief),
    )


def _inside(grid: Grid, signed_distance: Map) -> Map:
    """1 inside, 0 outside, and a ramp one sample wide across the edge."""
    return np.clip(0.5 - signed_distance * grid.samples_per_unit, 0, 1).astype(np.float32)


def _engraving(grid: Grid) -> Map:
    """Depth of the engraving in 0…1: a scale of 60 marks on the hub, the name on the face."""
    strokes = [*_scale_marks(), *_lettering("PROCTOR", radius=70.5, height=6.6)]
    canvas = np.zeros((grid.side, grid.side), np.uint8)
    thickness = max(1, round(1.1 * grid.samples_per_unit))
    for stroke in strokes:
        cv2.polylines(canvas, [grid.pixels(stroke)], False, 255, thickness, cv2.LINE_AA, shift=4)
    return (canvas / 255).astype(np.float32)


def _scale_marks() -> list[NDArray[np.float64]]:
    marks = []
    for index in range(60):
        angle = 2 * np.pi * index / 60
        direction = np.array([np.cos(angle), np.sin(angle)])
        inner = 36.5 if index % 5 == 0 else 40.0
        marks.append(np.stack([inner * direction, 44.0 * direction]))
    return marks


def _lettering(text: str, radius: float, height: float) -> list[NDArray[np.float64]]:
    """Strokes of `text` set along the bottom arc, upright in the frame; `radius` is that of the capitals' middle."""
    scale = height / 6
    pitch = 6.4 * scale
    strokes = []
    for index, letter in enumerate(text):
        offset = (index - (len(text) - 1) / 2) * pitch
        for stroke in GLYPHS[letter]:
            points = np.array(stroke, np.float64)
            angle = np.pi / 2 - (offset + (points[:, 0] - 2) * scale) / radius
            distance = radius - (points[:, 1] - 3) * scale
            strokes.append(np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1))
    return strokes
