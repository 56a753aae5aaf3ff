"""Shading, camera and belt: light comes from where it should, parts lie where they should, the belt has no seam."""

import numpy as np
import pytest

from runtime.demo.belt import TURN, belt_surface, belt_view
from runtime.demo.camera import COLOURS, LAYERS, READ_NOISE, Pose, add_noise, photograph
from runtime.demo.parts import RIM_RADIUS, Surface, flange, make_grid
from runtime.demo.shading import SHADOW_DEPTH, Light, shade, shape_of

AZIMUTHS = np.deg2rad([0, 90, 200, 315])


def towards(grid, azimuth: float) -> np.ndarray:
    """Cosine between each position's direction from the axis and the azimuth."""
    return np.cos(grid.angle - azimuth)


@pytest.mark.parametrize("azimuth", AZIMUTHS)
def test_the_side_of_a_cone_that_faces_the_lamp_is_the_bright_one(azimuth: float) -> None:
    grid = make_grid(64)
    one, none = np.ones_like(grid.x), np.zeros_like(grid.x)
    cone = Surface(relief=-0.5 * grid.radius, coverage=one, albedo=one, brass=none, turned=none, film=none)
    metal, _ = shade(cone, shape_of(cone, grid), grid, none, Light(azimuth, np.deg2rad(45)))
    flank = (grid.radius > 20) & (grid.radius < 100)
    lit, unlit = metal[flank & (towards(grid, azimuth) > 0.9)], metal[flank & (towards(grid, azimuth) < -0.9)]
    assert lit.min() > unlit.max() + 0.1


@pytest.mark.parametrize("azimuth", AZIMUTHS)
def test_the_shadow_lies_on_the_belt_behind_the_part(azimuth: float) -> None:
    grid = make_grid(128)
    part = flange(grid)
    _, shadow = shade(part, shape_of(part, grid), grid, np.zeros_like(grid.x), Light(azimuth, np.deg2rad(45)))
    beside = (grid.radius > RIM_RADIUS + 1) & (grid.radius < RIM_RADIUS + 3)
    assert shadow[beside & (towards(grid, azimuth) > 0.5)].max() == 0
    behind = shadow[beside & (towards(grid, azimuth) < -0.9)]
    assert behind.min() > 0.05  # thin between the teeth of the rim
    assert behind.mean() > 0.3
    assert shadow.max() <= SHADOW_DEPTH


def test_lathe_marks_shine_in_two_opposite_fans_towards_the_lamp() -> None:
    grid = make_grid(64)
    one, none = np.ones_like(grid.x), np.zeros_like(grid.x)
    disc = Surface(relief=none, coverage=one, albedo=one, brass=none, turned=one, film=none)
    metal, _ = shade(disc, shape_of(disc, grid), grid, none, Light(0.6, np.deg2rad(45)))
    along = np.abs(towards(grid, 0.6))
    ring = (grid.radius > 30) & (grid.radius < 80)
    assert metal[ring & (along > 0.98)].min() > metal[ring & (along < 0.5)].max() + 0.2


def test_a_point_of_the_part_lands_where_the_pose_puts_it() -> None:
    layers = np.zeros((81, 81, len(LAYERS)), np.float32)
    layers[40, 60, LAYERS.index("steel")] = 1  # 20 samples right of the axis, at 2 samples a pixel
    pose = Pose(rotation=np.deg2rad(30), shift_xy=(3.0, -5.0))
    frame = photograph(layers, 2.0, pose, np.zeros((60, 70), np.float32), exposure=8.0)[..., 1].astype(float)
    y, x = (float((axis * frame).sum() / frame.sum()) for axis in np.mgrid[0:60, 0:70])
    assert x == pytest.approx(69 / 2 + 3 + 10 * np.cos(np.deg2rad(30)), abs=0.1)
    assert y == pytest.approx(59 / 2 - 5 + 10 * np.sin(np.deg2rad(30)), abs=0.1)


def test_the_belt_lies_open_beside_the_part_and_exposure_scales_it() -> None:
    layers = np.zeros((21, 21, len(LAYERS)), np.float32)
    belt = np.full((65, 65), 0.2, np.float32)
    dim, bright = (photograph(layers, 1.0, Pose(0, (0, 0)), belt, exposure) for exposure in (1.0, 2.0))
    column = COLOURS[:, LAYERS.index("belt")]
    assert dim[32, 50] == pytest.approx(0.2 * 255 * column, rel=0.06)  # the lens takes a little
    assert bright[32, 50] == pytest.approx(2.0 * dim[32, 50], abs=1)
    assert dim[32, 32].max() == 0
    assert dim[0, 0].max() < dim[32, 50].max()


def test_the_sensor_noise_has_its_stated_deviation() -> None:
    clean = np.full((100, 100, 3), 128, np.uint8)
    noise = add_noise(clean, np.random.default_rng(0)).astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.std() == pytest.approx(np.hypot(READ_NOISE, 12**-0.5), rel=0.02)  # and that of rounding


def test_the_noise_saturates_instead_of_wrapping() -> None:
    for level in (0, 255):
        noisy = add_noise(np.full((50, 50, 3), level, np.uint8), np.random.default_rng(0))
        assert np.abs(noisy.astype(int) - level).max() < 12


def test_the_belt_closes_without_a_seam() -> None:
    size_hw = (64, 80)
    belt = belt_surface(size_hw, np.random.default_rng(0))
    length = TURN * size_hw[1]
    assert belt.shape == (size_hw[0], length)
    steps = np.abs(np.diff(np.column_stack([belt, belt[:, 0]]), axis=1)).mean(axis=0)
    assert steps[-1] < 2 * np.median(steps)
    view = belt_view(belt, length - 30, size_hw[1])
    assert np.array_equal(view, np.column_stack([belt[:, -30:], belt[:, :50]]))


def test_the_weave_closes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for noise in ("GRIT", "CLOUDS", "STREAKS"):
        monkeypatch.setattr(f"runtime.demo.belt.{noise}", 0.0)
    belt = belt_surface((64, 80), np.random.default_rng(0))
    energy = np.square(np.abs(np.fft.rfft(belt, axis=1)))[:, 1:].sum(axis=0)
    assert energy.max() > 0.9999 * energy.sum()  # one frequency: a whole number of periods
