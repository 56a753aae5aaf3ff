"""The demo line: parts by number, reproducible, with the truth about each pixel."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pytest

from runtime.demo import DemoLine, DemoPart
from runtime.demo import line as line_module
from runtime.demo.defects import DEFECTS
from runtime.demo.line import VISIBLE_CHANGE
from runtime.errors import InputError

SMALL = (64, 80)


def same(a: DemoPart, b: DemoPart) -> bool:
    return a.defect == b.defect and np.array_equal(a.image, b.image) and np.array_equal(a.mask, b.mask)


def test_a_part_depends_on_seed_and_number_alone() -> None:
    forwards = [DemoLine(7, SMALL, 0.5).part(index) for index in range(12)]
    line_module._stage.cache_clear()  # the shared maps are drawn afresh too
    line = DemoLine(7, SMALL, 0.5)
    backwards = [line.part(index) for index in reversed(range(12))]
    assert all(same(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))


def test_threads_may_share_a_line() -> None:
    line = DemoLine(7, SMALL, 0.5)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(line.part, range(24)))
    assert all(same(part, line.part(index)) for index, part in enumerate(together))


def test_other_seeds_and_numbers_give_other_parts() -> None:
    images = [DemoLine(seed, SMALL).good(index).image for seed in (0, 1, 2**32 - 1) for index in (0, 1, 2**32 - 1)]
    for a, b in combinations(images, 2):
        difference = np.abs(a.astype(int) - b)
        assert difference.mean() > 4  # two frames of one scene differ by 1.8, the noise


def test_scenes_fill_their_stated_ranges() -> None:
    line = DemoLine(1, (128, 256))
    scenes = [line._draw_scene(np.random.default_rng(seed), 0) for seed in range(300)]
    spans = {
        "rotation": ([np.rad2deg(scene.pose.rotation) for scene in scenes], -4, 4),
        "shift x": ([scene.pose.shift_xy[0] for scene in scenes], -2, 2),
        "shift y": ([scene.pose.shift_xy[1] for scene in scenes], -2, 2),
        "exposure": ([scene.exposure for scene in scenes], 0.92, 1.08),
        "azimuth": ([np.rad2deg(scene.light.azimuth + scene.pose.rotation) for scene in scenes], -135, -115),
        "elevation": ([np.rad2deg(scene.light.elevation) for scene in scenes], 41, 49),
        "belt": ([scene.belt_travel for scene in scenes], 0, 4 * 256 - 1),
    }
    for name, (values, low, high) in spans.items():
        margin = 0.05 * (high - low)
        assert low <= min(values) < low + margin, name
        assert high - margin < max(values) <= high, name


def test_good_parts_differ_only_modestly() -> None:
    brightness = np.array([DemoLine(3, SMALL).good(index).image.mean() for index in range(40)])
    assert brightness.std() > 0.02 * brightness.mean()
    assert np.ptp(brightness) < 0.25 * brightness.mean()


def test_frames_have_the_size_asked_for() -> None:
    for part in (DemoLine(1, (96, 64)).good(0), DemoLine(1, (96, 64)).defective(0, "chip")):
        assert (part.image.shape, part.image.dtype) == ((96, 64, 3), np.uint8)
        assert (part.mask.shape, part.mask.dtype) == ((96, 64), np.bool_)


def test_a_mask_marks_something_on_defective_parts_alone() -> None:
    parts = [DemoLine(5, SMALL, 0.5).part(index) for index in range(80)]
    assert {part.defect for part in parts} == {None, *DEFECTS}
    assert all(part.mask.any() == (part.defect is not None) for part in parts)


@pytest.mark.parametrize("kind", DEFECTS)
def test_every_defect_shows_even_in_the_smallest_frame(kind: str) -> None:
    line = DemoLine(11, (64, 64))
    assert min(line.defective(index, kind).mask.sum() for index in range(40)) >= 8


@pytest.mark.parametrize("kind", DEFECTS)
def test_the_mask_is_exactly_where_the_defect_changed_the_picture(kind: str) -> None:
    line = DemoLine(2, (160, 128))
    for index in range(5):
        bad, good = line.defective(index, kind), line.good(index)  # equal noise, so it cancels where nothing saturates
        unsaturated = ((np.minimum(bad.image, good.image) > 0) & (np.maximum(bad.image, good.image) < 255)).all(axis=2)
        changed = (np.abs(bad.image.astype(int) - good.image) >= VISIBLE_CHANGE).any(axis=2)
        assert np.array_equal(bad.mask[unsaturated], changed[unsaturated])
        assert bad.mask[unsaturated].any()


def test_a_defective_part_of_the_stream_is_its_good_twin_with_that_defect() -> None:
    stream, forced = DemoLine(4, SMALL, 1.0), DemoLine(4, SMALL, 0.0)
    for index in range(5):
        part = stream.part(index)
        assert part.defect is not None
        assert same(part, forced.defective(index, part.defect))
        assert same(forced.part(index), forced.good(index))


def test_the_defect_rate_is_kept() -> None:
    line = DemoLine(9, (64, 64), 0.2)
    defective = sum(line.part(index).defect is not None for index in range(300))
    assert 60 - 3 * 7 < defective < 60 + 3 * 7  # binomial, deviation 6.9


def test_a_part_owns_its_arrays() -> None:
    line = DemoLine(1, SMALL)
    part = line.good(0)
    part.image[:] = 0
    part.mask[:] = True
    assert line.good(0).image.any()
    assert not line.good(0).mask.any()


def test_a_lamp_that_fades_loses_its_share_of_light_evenly_and_nothing_else_changes() -> None:
    steady, fading = DemoLine(1, SMALL), DemoLine(1, SMALL, fading=0.5)
    assert np.array_equal(steady.good(0).image, fading.good(0).image)
    for number, light in ((400, 0.8), (1000, 0.5), (5000, 0.05)):
        full, left = (float(line.good(number).image.mean()) for line in (steady, fading))
        assert left / full == pytest.approx(light, abs=0.02)
    assert fading.defective(1000, "scratch").image.mean() < 0.6 * steady.defective(1000, "scratch").image.mean()
    assert fading.empty(1000).mean() < 0.6 * steady.empty(1000).mean()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DemoLine(-1), "seed is -1; give a whole number from 0 to 4294967295"),
        (lambda: DemoLine(2**32), "seed is 4294967296; give"),
        (lambda: DemoLine(1, (256, 63)), "frames of 63×256 pixels; give 64 to 2048 each way"),
        (lambda: DemoLine(1, (2049, 64)), "frames of 64×2049 pixels; give 64 to 2048 each way"),
        (lambda: DemoLine(1, defect_rate=1.5), r"defect rate is 1\.5; give a share from 0 to 1"),
        (lambda: DemoLine(1, defect_rate=float("nan")), "defect rate is nan"),
        (lambda: DemoLine(1, fading=-0.1), r"fading is -0\.1; give the share of light lost over 1,000 parts, 0 to 1"),
        (lambda: DemoLine(1, SMALL).part(-1), "part number is -1; give"),
        (lambda: DemoLine(1, SMALL).good(2**32), "part number is 4294967296; give"),
        (lambda: DemoLine(1, SMALL).defective(0, "rust"), "no defect 'rust'; choose one of scratch, dent, chip"),
    ],
)
def test_values_out_of_range_are_refused(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()
