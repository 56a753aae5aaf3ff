"""The part on the demo line: a turned steel flange with a brass bushing, as maps of its surface.

Lengths are in design units: one unit is 1/256 of the frame's shorter side, a pixel of a 256×256 frame. The part's own
frame of reference has its origin on the flange's axis, x to the right, y down, z towards the camera, and the belt at
z = 0. Maps are float32 [G, G] and sampled finer than the frame, so that the pose can be applied by plain resampling.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.demo.engraving import depth_of_engraving

Map = NDArray[np.float32]

EXTENT = 232.0  # side of the mapped square: the flange, and room around it for its shadow
OVERSAMPLING = 1.5  # samples per pixel of the frame; 2 costs twice the time and looks the same

RIM_RADIUS, RIM_CHAMFER_RADIUS, RIM_TEETH = 96.0, 87.4, 72
TOOTH_HEIGHT = 0.8
TURNED_FROM, TURNED_TO = 18.5, 86.0  # radii between which tool marks show
BUSHING_RADIUS = 27.5
BORE_RADIUS = 17.0
BOLT_RADIUS, BOLT_CHAMFER, BOLT_CIRCLE, BOLT_COUNT = 6.2, 2.2, 70.5, 6
SPOTFACE_RADIUS, SPOTFACE_DEPTH = 11.8, 1.0  # the seat milled for each bolt's head
KEYWAY_HALF_WIDTH, KEYWAY_TOP = 3.6, 22.5
ENGRAVING_DEPTH = 0.5
INK = 0.72  # share of the light that the paint in the engraving swallows

# The turned profile from the bore outwards: radius, height
PROFILE = np.array(
    [
        (BORE_RADIUS, 14.0),  # bushing, chamfered
        (18.5, 15.2),
        (26.6, 15.2),
        (BUSHING_RADIUS, 14.2),  # the joint between bushing and hub
        (28.4, 15.0),
        (46.5, 15.0),  # hub
        (49.5, 11.6),
        (50.5, 9.0),  # relief groove at the hub's foot
        (53.0, 9.0),
        (54.2, 10.0),  # face
        (85.0, 10.0),
        (86.2, 9.4),  # a fine line before the rim
        (RIM_CHAMFER_RADIUS, 9.8),
        (RIM_RADIUS, 5.0),
    ]
)


@dataclass(frozen=True)
class Grid:
    """Where the samples of a map lie: `x`, `y` in units, the same in polar form, and the direction around the axis."""

    samples_per_unit: float
    x: Map
    y: Map
    radius: Map
    angle: Map
    tangent_x: Map
    tangent_y: Map

    @property
    def side(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Surface:
    """A part as the light meets it.

    `relief`: height of the metal in units, continued smoothly across openings. `coverage`: 1 on metal, 0 beside it and
    in openings. `albedo`: reflectance relative to bare metal. `brass`: 1 on brass, 0 on steel. `turned`: 1 where tool
    marks run around the axis, 0 elsewhere. `film`: how much of the metal a stain hides, 0…1.
    """

    relief: Map
    coverage: Map
    albedo: Map
    brass: Map
    turned: Map
    film: Map


def make_grid(frame_side: int) -> Grid:
    """The grid for frames whose shorter side is `frame_side` pixels; its own side G is even."""
    samples_per_unit = OVERSAMPLING * frame_side / 256
    side = 2 * round(EXTENT * samples_per_unit / 2)
    axis = ((np.arange(side) - (side - 1) / 2) / samples_per_unit).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    angle = np.arctan2(y, x)
    return Grid(samples_per_unit, x, y, np.hypot(x, y), angle, -np.sin(angle), np.cos(angle))


def bolt_centres() -> NDArray[np.float64]:
    """Centres of the bolt holes as x, y in units: [BOLT_COUNT, 2]."""
    angles = 2 * np.pi * np.arange(BOLT_COUNT) / BOLT_COUNT
    return BOLT_CIRCLE * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def flange(grid: Grid, *, drilled: bool = True) -> Surface:
    """The good part; with `drilled` false, the same with its bolt seats milled and the holes not yet drilled."""
    relief, outside = _turned_body(grid)
    outside = np.maximum(outside, -_keyway(grid))
    engraved = depth_of_engraving(grid.side, grid.samples_per_unit)
    turned = ((grid.radius > TURNED_FROM) & (grid.radius < TURNED_TO)) * (1 - engraved)
    for centre_x, centre_y in bolt_centres():
        distance = np.hypot(grid.x - centre_x, grid.y - centre_y).astype(np.float32)
        relief -= np.clip(SPOTFACE_RADIUS - distance, 0, SPOTFACE_DEPTH)
        turned *= 1 - inside(grid, distance - SPOTFACE_RADIUS)
        if drilled:
            relief -= np.clip(BOLT_RADIUS + BOLT_CHAMFER - distance, 0, BOLT_CHAMFER)
            outside = np.maximum(outside, BOLT_RADIUS - distance)
    return Surface(
        relief=relief - ENGRAVING_DEPTH * engraved,
        coverage=inside(grid, outside),
        albedo=1 - INK * engraved,
        brass=inside(grid, grid.radius - BUSHING_RADIUS),
        turned=turned,
        film=np.zeros_like(relief),
    )


def inside(grid: Grid, signed_distance: Map) -> Map:
    """1 where the signed distance, in units, is negative, 0 where positive, and a ramp one sample wide between."""
    return np.asarray(np.clip(0.5 - signed_distance * grid.samples_per_unit, 0, 1), np.float32)


def turning_marks(grid: Grid, rng: np.random.Generator) -> Map:
    """Relative brightness of the fine grooves of one pass of the lathe, around 0 with a deviation of about 1."""
    fine = rng.standard_normal(grid.side).astype(np.float32)
    profile = fine + 2 * np.convolve(fine, np.full(7, 1 / 7), "same")  # fine feed marks, and wider bands among them
    position = grid.radius * grid.samples_per_unit
    return np.asarray(np.interp(position, np.arange(grid.side), profile / profile.std()), np.float32)


def _turned_body(grid: Grid) -> tuple[Map, Map]:
    """Relief, and the signed distance to the edges of rim and bore, in units."""
    teeth = np.cos(RIM_TEETH * grid.angle)
    on_rim = np.clip((grid.radius - RIM_CHAMFER_RADIUS) / 2, 0, 1)
    relief = np.interp(grid.radius, PROFILE[:, 0], PROFILE[:, 1]).astype(np.float32)
    rim = RIM_RADIUS - TOOTH_HEIGHT * (1 - teeth)
    return relief + TOOTH_HEIGHT * on_rim * teeth, np.maximum(grid.radius - rim, BORE_RADIUS - grid.radius)


def _keyway(grid: Grid) -> Map:
    """Signed distance to the slot that runs from the bore upwards."""
    along = np.maximum(grid.y, -KEYWAY_TOP - grid.y)
    return np.asarray(np.maximum(np.abs(grid.x) - KEYWAY_HALF_WIDTH, along), np.float32)
