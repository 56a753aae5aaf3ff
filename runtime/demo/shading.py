"""How the part looks under the lamp: ambient light, one distant lamp, and the shadows it casts.

The lobes are the usual ones for machined metal: Lambert's cosine law, Blinn's highlight (SIGGRAPH 1977) for edges and
chamfers, and on turned faces the sheen of fine parallel grooves after Kajiya and Kay (SIGGRAPH 1989), which draws the
two opposite fans that lathe marks show.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.demo.parts import Grid, Map, Surface

# Chosen by eye
AMBIENT = 0.25
DIFFUSE, GLOSS, SHEEN = 0.30, 0.55, 0.66
LOBE_DOUBLINGS = 5  # both shiny lobes are cosines to the power 2⁵
SHEEN_MEAN = 0.2  # taken off the sheen, so that turned faces are about as bright as plain ones
EDGE_ROUNDING = 0.35  # deviation of the blur that breaks sharp edges, units
STEEPEST = 1.6  # slopes are clipped here: a sharp edge would tip its normal into the plane
CAVITY_PER_UNIT, DEEPEST_CAVITY, CAVITY_REACH = 0.09, 0.75, 6.0  # ambient light lost below the surroundings
SHADOW_DEPTH = 0.85  # lamp light lost in full shadow
SHADOW_ONSET, SHADOW_PER_UNIT = 0.2, 0.35  # share of it at the shadow's edge, and its growth with the obstacle's height
SHADOW_SOFTNESS = 0.8  # deviation of the blur of obstacles, units
SHADOW_REACHES = (2.0, 5.0, 9.0, 14.0)  # distances towards the lamp at which an obstacle is looked for, units


@dataclass(frozen=True)
class Light:
    """A distant lamp: `azimuth` of the direction towards it, from x to y, and `elevation` above the belt; radians."""

    azimuth: float
    elevation: float


@dataclass(frozen=True)
class Shape:
    """What shading takes from a surface under any light, computed once.

    `normals`: unit normals, float32 [3, G·G]. `floor`, `obstacle`: height in units at half the resolution, [G/2, G/2],
    sharp and softened. `ambient`: light sent to the camera without the lamp, [G, G].
    """

    normals: NDArray[np.float32]
    floor: Map
    obstacle: Map
    ambient: Map


def shape_of(surface: Surface, grid: Grid) -> Shape:
    """Prepare a surface for `shade`."""
    scale = grid.samples_per_unit
    slope_x, slope_y = _slopes(surface.relief, scale)
    upright = np.asarray(1 / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y), np.float32)
    normals = np.stack([-slope_x * upright, -slope_y * upright, upright]).reshape(3, -1)
    height = surface.relief * surface.coverage
    floor = np.asarray(cv2.resize(height, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)
    obstacle = np.asarray(cv2.GaussianBlur(floor, (0, 0), SHADOW_SOFTNESS * scale / 2), np.float32)
    around = cv2.blur(obstacle, (round(CAVITY_REACH * scale) | 1,) * 2)
    cavity = np.clip((around - floor) * CAVITY_PER_UNIT, 0, DEEPEST_CAVITY)
    open_sky = (1 - _at_full_resolution(cavity)) * (1 + upright) / 2
    ambient = np.asarray(AMBIENT * surface.albedo * open_sky, np.float32)
    return Shape(normals, floor, obstacle, ambient)


def shade(surface: Surface, shape: Shape, grid: Grid, tool_marks: Map, light: Light) -> tuple[Map, Map]:
    """Light that the metal sends to the camera, 0 to about 1, and how much of the lamp's light is in shadow there, 0…1.

    `light` is given in the part's frame; `tool_marks` is the relative brightness of the lathe's grooves, around 0. The
    shadow is defined beside the metal too, for the belt.
    """
    lamp, half = _directions(light)
    lambert, gloss = np.maximum(np.stack([lamp, half]) @ shape.normals, 0).reshape(2, grid.side, grid.side)
    along_grooves = half[0] * grid.tangent_x + half[1] * grid.tangent_y
    sheen = _lobe(1 - along_grooves * along_grooves) - np.float32(SHEEN_MEAN)
    lobes = DIFFUSE * lambert + GLOSS * _lobe(gloss) + surface.turned * (SHEEN * sheen * (1 + tool_marks))
    shadow = _shadow(shape, grid, lamp)
    return shape.ambient + surface.albedo * (1 - shadow) * lobes, shadow


def _slopes(relief: Map, samples_per_unit: float) -> tuple[Map, Map]:
    smooth = cv2.GaussianBlur(relief, (0, 0), EDGE_ROUNDING * samples_per_unit)
    scale = samples_per_unit / 8  # Sobel's 3×3 kernel weighs a slope of one per sample with 8
    slope_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=scale)
    slope_y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=scale)
    return _clipped(slope_x), _clipped(slope_y)


def _clipped(slope: NDArray[Any]) -> Map:
    return np.asarray(np.clip(slope, -STEEPEST, STEEPEST), np.float32)


def _directions(light: Light) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit vectors towards the lamp, and halfway between it and the camera straight above: [3] each."""
    flat = np.cos(light.elevation)
    lamp = np.array([flat * np.cos(light.azimuth), flat * np.sin(light.azimuth), np.sin(light.elevation)])
    half = lamp + np.array([0, 0, 1])
    return lamp.astype(np.float32), (half / np.linalg.norm(half)).astype(np.float32)


def _lobe(cosine: Map) -> Map:
    for _ in range(LOBE_DOUBLINGS):
        cosine = cosine * cosine
    return cosine


def _shadow(shape: Shape, grid: Grid, lamp: NDArray[np.float32]) -> Map:
    """Share of the lamp's light lost: a point is in shadow where something stands above its ray to the lamp."""
    flat = float(np.hypot(lamp[0], lamp[1]))
    deepest = np.zeros_like(shape.floor)
    for reach in SHADOW_REACHES:
        step = reach * grid.samples_per_unit / 2 / flat
        towards_lamp = np.array([[1, 0, step * lamp[0]], [0, 1, step * lamp[1]]])
        sampling = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        there = cv2.warpAffine(shape.obstacle, towards_lamp, shape.floor.shape[::-1], flags=sampling)
        above_ray = there - shape.floor - np.float32(reach * lamp[2] / flat)
        np.maximum(deepest, above_ray * np.float32(SHADOW_PER_UNIT) + np.float32(SHADOW_ONSET), out=deepest)
    return _at_full_resolution(np.minimum(deepest, 1) * np.float32(SHADOW_DEPTH))


def _at_full_resolution(half: NDArray[Any]) -> Map:
    return np.asarray(cv2.resize(half, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR), np.float32)
