"""Each kind of defect changes what it says it does, within its stated bounds, and nothing else."""

from dataclasses import fields

import numpy as np
import pytest

from runtime.demo import parts
from runtime.demo.defects import DEFECTS, Workpiece, chip, dent, missing_hole, scratch, stain
from runtime.demo.parts import Surface, flange, make_grid

SEEDS = range(12)


@pytest.fixture(scope="module")
def work() -> Workpiece:
    grid = make_grid(128)
    return Workpiece(grid, flange(grid), flange(grid, drilled=False))


def changed_maps(before: Surface, after: Surface) -> set[str]:
    names = [field.name for field in fields(Surface)]
    return {name for name in names if not np.array_equal(getattr(before, name), getattr(after, name))}


def changed_samples(before: Surface, after: Surface) -> np.ndarray:
    return np.any([getattr(before, name) != getattr(after, name) for name in changed_maps(before, after)], axis=0)


def area(work: Workpiece, amount: np.ndarray) -> float:
    """In square units."""
    return float(amount.sum() / work.grid.samples_per_unit**2)


@pytest.mark.parametrize("kind", DEFECTS)
def test_the_good_part_is_left_alone(work: Workpiece, kind: str) -> None:
    before = {field.name: getattr(work.good, field.name).copy() for field in fields(Surface)}
    DEFECTS[kind](work, np.random.default_rng(0))
    assert all(np.array_equal(getattr(work.good, name), values) for name, values in before.items())


def test_a_scratch_is_narrow_and_on_the_metal(work: Workpiece) -> None:
    for seed in SEEDS:
        surface = scratch(work, np.random.default_rng(seed))
        cut = work.good.relief - surface.relief
        assert cut.min() >= 0
        assert 30 < area(work, cut / 0.9) < 60 * 2.6
        assert work.good.coverage[cut > 0.3].mean() > 0.7


def test_a_dent_is_a_bowl_in_the_face(work: Workpiece) -> None:
    for seed in SEEDS:
        surface = dent(work, np.random.default_rng(seed))
        sunk = work.good.relief - surface.relief
        inside = changed_samples(work.good, surface)
        assert sunk.min() >= 0
        assert 0.9 * 6 * 0.45 < sunk.max() < 9 * 0.6 + 0.01
        assert area(work, inside) < np.pi * 9.5**2
        assert work.grid.radius[inside].min() > 62 - 9
        assert work.grid.radius[inside].max() < 78 + 9


def test_a_chip_takes_metal_from_the_rim_only(work: Workpiece) -> None:
    for seed in SEEDS:
        lost = work.good.coverage - chip(work, np.random.default_rng(seed)).coverage
        assert lost.min() >= 0
        assert area(work, lost) > 20
        assert work.grid.radius[lost > 0].min() > parts.RIM_RADIUS - 20


def test_a_stain_is_a_film_and_no_damage(work: Workpiece) -> None:
    for seed in SEEDS:
        surface = stain(work, np.random.default_rng(seed))
        assert changed_maps(work.good, surface) == {"film"}
        assert 0 <= surface.film.min() < 0.4 < surface.film.max() <= 1
        assert 150 < area(work, surface.film > 0.2) < 1400


def test_a_missing_hole_is_one_of_the_bolt_holes(work: Workpiece) -> None:
    seen = set()
    for seed in range(40):
        filled = missing_hole(work, np.random.default_rng(seed)).coverage - work.good.coverage
        assert filled.min() >= 0
        assert area(work, filled) == pytest.approx(np.pi * parts.BOLT_RADIUS**2, rel=0.02)
        centre = [float((axis * filled).sum() / filled.sum()) for axis in (work.grid.x, work.grid.y)]
        distances = np.hypot(*(parts.bolt_centres() - centre).T)
        assert distances.min() < 0.1
        seen.add(int(distances.argmin()))
    assert seen == set(range(parts.BOLT_COUNT))
