"""How the part looks under the lamp: ambient light, one directional lamp, and the shadows it casts.

The model is the common one for machined metal: Lambert's cosine law, a Blinn-Phong lobe for edges and chamfers, and for turned
faces the Kajiya-Kay sheen of fine parallel grooves, which draws the two opposite fans that lathe marks show. All of it is
linear in the lamp's intensity, which is therefore left to the exposure.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.demo.parts import Grid, Map, Surface

AMBIENT = 0.25
DIFFUSE, GLOSS, SHEEN = 0.30, 0.55, 0.62  # weights of the three lobes under the lamp
SHEEN_MEAN = 0.2  # taken off again, so that turned faces are as bright on average as plain ones
STEEPEST = 1.6  # slopes are clipped here: a sharp edge would turn its normal into the plane
CAVITY_PER_UNIT = 0.09  # ambient light lost per unit of depth below the surroundings
SHADOW_DEPTH = 0.85  # part of the lamp's light that its shadow takes away
SHADOW_REACH = (2.0, 5.0, 9.0)  # how far towards the lamp an obstacle is looked for, units


@dataclass(frozen=True)
class Light:
    """A distant lamp: `azimuth` of the direction towards it in radians, from x to y; `elevation` above the belt, radians."""

    azimuth: float
    elevation: float


@dataclass(frozen=True)
class Shape:
    """What shading takes from a surface under any light, computed once.

    `normals`: unit normals [3, G·G]; `obstacle` and `floor`: heights at half the grid's resolution, the first blurred;
    `ambient`: light that arrives without the lamp, albedo included.
    """

    normals: NDArray[np.float32]
    obstacle: Map
    floor: Map
    ambient: Map


def shape_of(surface: Surface, grid: Grid) -> Shape:
    scale = grid.samples_per_unit
    slope_x, slope_y = _slopes(surface.relief, scale)
    upright = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    normals = np.stack([-slope_x * upright, -slope_y * upright, upright]).reshape(3, -1)
    floor = cv2.resize(surface.relief * surface.coverage, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    obstacle = cv2.GaussianBlur(floor, (0, 0), 0.8 * scale / 2)
    cavity = np.clip((cv2.blur(obstacle, (round(6 * scale) | 1,) * 2) - floor) * CAVITY_PER_UNIT, 0, 0.75)
    open_sky = 1 - cv2.resize(cavity, (grid.side, grid.side), interpolation=cv2.INTER_LINEAR)
    ambient = AMBIENT * surface.albedo * open_sky * (0.5 + 0.5 * upright)
    return Shape(normals, obstacle, floor, ambient)


def shade(surface: Surface, shape: Shape, grid: Grid, tool_marks: Map, light: Light) -> tuple[Map, Map]:
    """Light that the metal sends to the camera, and the shadow, 0…1, that the part throws on itself and on the belt.

    `tool_marks`: relative brightness of the lathe's grooves around 0. `light` is given in the part's own frame.
    """
    lamp, half = _directions(light)
    lambert, gloss = np.stack([lamp, half]) @ shape.normals
    np.maximum(lambert, 0, out=lambert)
    np.maximum(gloss, 0, out=gloss)
    across = half[0] * grid.tangent_x + half[1] * grid.tangent_y
    sheen = _power_of_two(1 - across * across, 5)
    sheen = surface.turned * (SHEEN * (sheen - SHEEN_MEAN)) * (1 + tool_marks)
    shadow = _shadow(shape, grid, lamp)
    lobes = (DIFFUSE * lambert + GLOSS * _power_of_two(gloss, 5)).reshape(sheen.shape) + sheen
    return shape.ambient + surface.albedo * (1 - shadow) * lobes, shadow


def _slopes(relief: Map, samples_per_unit: float) -> tuple[Map, Map]:
    smooth = cv2.GaussianBlur(relief, (0, 0), 0.35 * samples_per_unit)
    scale = samples_per_unit / 8  # Sobel's 3×3 kernel sums to 8 per sample of distance
    slope_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=scale)
    slope_y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=scale)
    return np.clip(slope_x, -STEEPEST, STEEPEST), np.clip(slope_y, -STEEPEST, STEEPEST)


def _directions(light: Light):
    flat = np.cos(light.elevation)
    lamp = np.array([flat * np.cos(light.azimuth), flat * np.sin(light.azimuth), np.sin(light.elevation)])
    half = lamp + [0, 0, 1]  # the camera looks straight down
    return lamp.astype(np.float32), (half / np.linalg.norm(half)).astype(np.float32)


def _power_of_two(base: Map, doublings: int) -> Map:
    for _ in range(doublings):
        base = base * base
    return base


def _shadow(shape: Shape, grid: Grid, lamp) -> Map:
    flat = float(np.hypot(lamp[0], lamp[1]))
    rise = float(lamp[2]) / flat
    deepest = np.zeros_like(shape.floor)
    for reach in SHADOW_REACH:
        step = reach * grid.samples_per_unit / 2
        towards_lamp = np.array([[1, 0, step * lamp[0] / flat], [0, 1, step * lamp[1] / flat]])
        there = cv2.warpAffine(
            shape.obstacle, towards_lamp, shape.floor.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        np.maximum(deepest, (there - shape.floor - reach * rise) * 0.35 + 0.2, out=deepest)
    soft = np.minimum(deepest, 1) * SHADOW_DEPTH
    return cv2.resize(soft, (grid.side, grid.side), interpolation=cv2.INTER_LINEAR)
