"""The demo line itself: parts by number, each a pure function of the line's seed and that number."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.demo.belt import TURN, belt_surface, belt_view
from runtime.demo.camera import LAYERS, Pose, add_noise, photograph
from runtime.demo.defects import DEFECTS, Workpiece
from runtime.demo.parts import Map, Surface, flange, make_grid, turning_marks
from runtime.demo.shading import Light, Shape, shade, shape_of
from runtime.errors import InputError

# Below, letters and scratches vanish between the pixels; above, the maps of one part fill gigabytes
SMALLEST_SIDE, LARGEST_SIDE = 64, 2048

# How far good parts differ, each way
ROTATION = np.deg2rad(4.0)
SHIFT = 4.0 / 256  # of the frame's shorter side
EXPOSURE = 0.08
LAMP_AZIMUTH, LAMP_AZIMUTH_SWING = np.deg2rad(-125.0), np.deg2rad(10.0)  # from the upper left
LAMP_ELEVATION, LAMP_ELEVATION_SWING = np.deg2rad(45.0), np.deg2rad(4.0)
LATHE_PASSES = 3  # textures that the grooves of each part are mixed from
TOOL_MARKS = 0.2  # contrast of the grooves

FADING_PARTS = 1000  # over which a lamp that fades loses the share of its light that is given
LEAST_LIGHT = 0.05  # share that stays

VISIBLE_CHANGE = 3  # grey levels, about two deviations of the noise
STAGE_SEED = 20200219  # the lathe and the belt are the same under every seed of the line


@dataclass(frozen=True)
class DemoPart:
    """One part under the camera; the arrays belong to the caller.

    `image`: uint8 [H, W, 3], BGR. `mask`: bool [H, W], true exactly where the defect changed some colour by at least
    `VISIBLE_CHANGE`, sensor noise apart. `defect`: its kind, a key of `DEFECTS`, or None for a good part.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    defect: str | None


@dataclass(frozen=True)
class Stage:
    """What all parts of one frame size share."""

    work: Workpiece
    good_shape: Shape
    lathe: tuple[Map, ...]
    belt: NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """What differs between two good parts: pose, light, grooves, and the piece of belt underneath."""

    pose: Pose
    light: Light
    exposure: float
    lathe_mix: NDArray[np.float32]
    belt_travel: int


class DemoLine:
    """Machined parts on a belt, some of them defective.

    `seed`: which stream of parts; no part is in the streams of two seeds. `size_hw`: frame height and width in pixels,
    64 to 2048. `defect_rate`: share of defective parts, 0…1; with 0 all are good, for training. `fading`: share of its
    light, 0…1, that the lamp loses over 1,000 parts, evenly from part 0 on, down to a twentieth. Seeds and part numbers
    run from 0 to 2³²−1. Parts may be asked for in any order and from any thread. Equal seed and number give equal bytes
    on one machine with one version of NumPy and OpenCV. Raises `InputError` for a value out of range.
    """

    def __init__(
        self, seed: int, size_hw: tuple[int, int] = (256, 256), defect_rate: float = 0.3, fading: float = 0.0
    ) -> None:
        _check_number("seed", seed)
        if min(size_hw) < SMALLEST_SIDE or max(size_hw) > LARGEST_SIDE:
            raise InputError(
                f"the demo line cannot draw frames of {size_hw[1]}×{size_hw[0]} pixels; "
                f"give {SMALLEST_SIDE} to {LARGEST_SIDE} each way"
            )
        if not 0 <= defect_rate <= 1:
            raise InputError(f"the demo line's defect rate is {defect_rate}; give a share from 0 to 1")
        if not 0 <= fading <= 1:
            raise InputError(
                f"the demo line's fading is {fading}; give the share of light lost over 1,000 parts, 0 to 1"
            )
        self.seed = seed
        self.fading = fading
        self.size_hw = size_hw
        self.defect_rate = defect_rate
        self._stage = _stage(size_hw)

    def part(self, index: int) -> DemoPart:
        """Part number `index`: good, or defective in one of the kinds, all equally likely."""
        lot, *_ = self._generators(index)
        if lot.random() >= self.defect_rate:
            return self.good(index)
        return self.defective(index, list(DEFECTS)[lot.integers(len(DEFECTS))])

    def good(self, index: int) -> DemoPart:
        """Part number `index` as it is without any defect: the same scene, the same sensor noise."""
        _, scene, _, noise = self._generators(index)
        clean = self._render(self._draw_scene(scene, index), self._stage.work.good, self._stage.good_shape)
        return DemoPart(add_noise(clean, noise), np.zeros(self.size_hw, np.bool_), None)

    def defective(self, index: int, kind: str) -> DemoPart:
        """Part number `index` with a defect of this kind, a key of `DEFECTS`, and all else as in `good(index)`."""
        if kind not in DEFECTS:
            raise InputError(f"the demo line has no defect {kind!r}; choose one of {', '.join(DEFECTS)}")
        _, scene_rng, defect, noise = self._generators(index)
        stage, scene = self._stage, self._draw_scene(scene_rng, index)
        damaged = DEFECTS[kind](stage.work, defect)
        clean = self._render(scene, damaged, shape_of(damaged, stage.work.grid))
        changed = cv2.absdiff(clean, self._render(scene, stage.work.good, stage.good_shape))
        return DemoPart(add_noise(clean, noise), np.max(changed, axis=2) >= VISIBLE_CHANGE, kind)

    def empty(self, index: int) -> NDArray[np.uint8]:
        """The frame, uint8 [H, W, 3], BGR, in which part number `index` would lie, with the belt alone."""
        _, scene_rng, _, noise = self._generators(index)
        scene, relief = self._draw_scene(scene_rng, index), self._stage.work.good.relief
        layers = np.zeros((*relief.shape, len(LAYERS)), np.float32)
        layers[..., LAYERS.index("belt")] = 1
        return add_noise(self._photographed(scene, layers), noise)

    def _generators(self, index: int) -> list[np.random.Generator]:
        """Independent generators for one part's lot, scene, defect and noise."""
        _check_number("part number", index)
        return [np.random.default_rng(child) for child in np.random.SeedSequence([self.seed, index]).spawn(4)]

    def _draw_scene(self, rng: np.random.Generator, index: int) -> Scene:
        rotation = rng.uniform(-ROTATION, ROTATION)
        shift_x, shift_y = rng.uniform(-SHIFT, SHIFT, 2) * min(self.size_hw)
        azimuth = LAMP_AZIMUTH + rng.uniform(-1, 1) * LAMP_AZIMUTH_SWING
        elevation = LAMP_ELEVATION + rng.uniform(-1, 1) * LAMP_ELEVATION_SWING
        mix = rng.standard_normal(LATHE_PASSES)
        return Scene(
            pose=Pose(rotation, (shift_x, shift_y)),
            light=Light(azimuth - rotation, elevation),  # seen from the part, which is turned
            exposure=self._light(index) * (1 + rng.uniform(-EXPOSURE, EXPOSURE)),
            lathe_mix=(mix * TOOL_MARKS / np.linalg.norm(mix)).astype(np.float32),
            belt_travel=int(rng.integers(TURN * self.size_hw[1])),
        )

    def _light(self, index: int) -> float:
        """Share of its light that the lamp has over a part."""
        return max(LEAST_LIGHT, 1 - self.fading * index / FADING_PARTS) if self.fading else 1.0

    def _render(self, scene: Scene, surface: Surface, shape: Shape) -> NDArray[np.uint8]:
        """The noise-free frame: uint8 [H, W, 3], BGR."""
        grid = self._stage.work.grid
        tool_marks = np.zeros_like(surface.relief)
        for weight, marks in zip(scene.lathe_mix, self._stage.lathe, strict=True):
            tool_marks += weight * marks
        metal, shadow = shade(surface, shape, grid, tool_marks, scene.light)
        return self._photographed(scene, _layers(surface, metal, shadow))

    def _photographed(self, scene: Scene, layers: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Layers of light on the belt of a scene, without noise: uint8 [H, W, 3]."""
        belt = belt_view(self._stage.belt, scene.belt_travel, self.size_hw[1])
        samples_per_pixel = self._stage.work.grid.samples_per_unit * 256 / min(self.size_hw)
        return photograph(layers, samples_per_pixel, scene.pose, belt, scene.exposure)


def _layers(surface: Surface, metal: Map, shadow: Map) -> NDArray[np.float32]:
    """The light of steel, brass, stained metal, and on the belt: [G, G, 4]."""
    covered = metal * surface.coverage
    film = covered * surface.film
    bare = covered - film
    brass = bare * surface.brass
    return np.asarray(cv2.merge([bare - brass, brass, film, (1 - shadow) * (1 - surface.coverage)]), np.float32)


@lru_cache(maxsize=4)
def _stage(size_hw: tuple[int, int]) -> Stage:
    rng = np.random.default_rng(STAGE_SEED)
    grid = make_grid(min(size_hw))
    good = flange(grid)
    lathe = tuple(turning_marks(grid, rng) for _ in range(LATHE_PASSES))
    return Stage(
        Workpiece(grid, good, flange(grid, drilled=False)), shape_of(good, grid), lathe, belt_surface(size_hw, rng)
    )


def _check_number(name: str, value: int) -> None:
    if not 0 <= value < 2**32:
        raise InputError(f"the demo line's {name} is {value}; give a whole number from 0 to {2**32 - 1}")
