"""Patches against geometry worked out again: photographs whose pixels say where they are, and cv2.resize."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.errors import InputError
from train.patches import GREY_PROBABILITY, GRID_AT_ONCE, NOISE_STD, PatchSampler, Photographs, without_excess

CPU = torch.device("cpu")


def position_photograph(height: int, width: int, blue: int = 0) -> NDArray[np.uint8]:
    """BGR: red is the column and green the row in pixels, blue names the photograph."""
    y, x = np.mgrid[:height, :width]
    return np.stack([np.full_like(x, blue), y, x], axis=-1).astype(np.uint8)


def positions(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column in photograph pixels at each place of patches of `position_photograph`, [N, p, p]."""
    return patches[:, 1] * 255, patches[:, 0] * 255


def sampler_of(images: list[NDArray[np.uint8]], patch_size: int = 33, zoom_cap: float | None = None) -> PatchSampler:
    return PatchSampler(Photographs.pack(images, CPU), patch_size, zoom_cap)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coloured(patches: Tensor) -> Tensor:
    return (patches[:, 0] - patches[:, 1]).abs().flatten(1).amax(dim=1) > 1e-3


@pytest.mark.parametrize("patch_size", [17, 33, 65])
def test_photographs_are_zoomed_to_between_4_and_16_patches(patch_size: int) -> None:
    height, width = 150, 200
    sampler = sampler_of([position_photograph(height, width)] * 2, patch_size)
    patches = sampler.patches(1000, draw())
    rows, columns = positions(patches[coloured(patches)])
    inner = slice(patch_size // 4, -patch_size // 4)
    for place in (rows.diff(dim=1), columns.diff(dim=2)):
        zoom = 1 / place[:, inner, inner].mean(dim=(1, 2))
        short_side = zoom * height / patch_size
        assert 3.9 < short_side.min() < 4.5  # 2,000 draws reach both ends
        assert 15 < short_side.max() < 16.5


def test_crops_lie_inside_the_photograph_and_reach_all_of_it() -> None:
    height, width = 75, 110
    patches = sampler_of([position_photograph(height, width)] * 2, 17).patches(1500, draw())
    rows, columns = positions(patches[coloured(patches)])
    for place, length in ((rows, height), (columns, width)):
        assert place.min() >= 0
        assert place.max() <= length - 1 + 1e-3
        assert place.mean() == pytest.approx((length - 1) / 2, rel=0.05)
        assert place.min() < 2
        assert place.max() > length - 3


@pytest.mark.parametrize("zoom", [1.0, 2.0, 3.5])
def test_a_patch_is_the_photograph_enlarged_as_opencv_does_it(zoom: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 130, 3), np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (5, 5), 1.5), np.uint8)
    sampler = sampler_of([image, image[:100]], 17)
    sampler._oversampling = 1
    large = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    top, left = 40, 60  # of the crop in the enlarged photograph
    centre = torch.tensor([[(top + 8.5) / zoom, (left + 8.5) / zoom]])
    patch = sampler._read(torch.tensor([0]), centre, torch.tensor([zoom]))[0]
    expected = large[top : top + 17, left : left + 17, ::-1].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(patch.numpy(), expected, atol=1.5 / 255)  # OpenCV rounds to 8 bits


def test_a_zoom_that_shrinks_averages_instead_of_aliasing() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than a shrunken photograph can show
    sampler = sampler_of([stripes, position_photograph(68, 68)], 17)  # the largest decides how finely to sample
    patches = sampler._read(torch.tensor([0]), torch.tensor([[200.0, 200.3]]), torch.tensor([4 * 17 / 400]))
    assert patches.std() < 0.05


@pytest.mark.parametrize(
    ("size", "expected"), [((1088, 2000), (272, 500)), ((900, 600), (408, 272)), ((272, 300),) * 2]
)
def test_a_photograph_keeps_what_the_largest_zoom_shows(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = np.full((*size, 3), 90, np.uint8)
    shrunk = without_excess(image, 17)
    assert shrunk.shape == (*expected, 3)
    assert (shrunk == 90).all()


def test_the_zoom_cap_bounds_the_enlargement() -> None:
    sampler = sampler_of([position_photograph(150, 200)] * 2, 33, zoom_cap=1.5)
    patches = sampler.patches(300, draw())
    rows, _ = positions(patches[coloured(patches)])
    assert (1 / rows.diff(dim=1)[:, 8:-8].mean(dim=(1, 2))).max() < 1.51


@pytest.mark.parametrize(("zoom_cap", "largest"), [(None, 150.0), (1.5, 112.5)])
def test_views_show_all_zooms_up_to_the_cap_alike(zoom_cap: float | None, largest: float) -> None:
    photographs = Photographs.pack([position_photograph(75, 100)] * 2, CPU)
    views = PatchSampler(photographs, 48, zoom_cap, short_sides=(50, 150)).patches(300, draw())
    rows, columns = positions(views[coloured(views)])
    zoomed = 75 / rows.diff(dim=1)[:, 12:-12].mean(dim=(1, 2))
    assert zoomed.min() == pytest.approx(50, rel=0.03)
    assert zoomed.max() == pytest.approx(largest, rel=0.03)
    assert zoomed.median() == pytest.approx((50 + largest) / 2, rel=0.06)
    for place, length in ((rows, 75), (columns, 100)):  # a border that repeats would not rise
        assert (place.diff(dim=1 if length == 75 else 2) > 0).all()


def test_positives_are_anchors_moved_by_a_quarter_patch_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.patches.NOISE_STD", 0.0)
    sampler = sampler_of([position_photograph(75, 100)] * 2, 17)
    sampler.luminance = 0.0
    anchor, positive, _ = sampler.triplets(700, draw())
    both = coloured(anchor) & coloured(positive)
    middle = slice(6, -6)  # at a border pixels repeat, and tell no position
    for before, after in zip(positions(anchor[both]), positions(positive[both]), strict=True):
        axis = 1 if before[0, 0, 0] == before[0, 0, -1] else 2
        zoom = 1 / before[:, middle, middle].diff(dim=axis).mean(dim=(1, 2))
        shift = (after - before)[:, middle, middle].mean(dim=(1, 2)) * zoom
        assert 0.9 * 4 < shift.abs().max() <= 4 + 1e-2  # (17 − 1) / 4
        assert shift.min() < 0 < shift.max()


def test_a_negative_is_of_another_photograph_always() -> None:
    sampler = sampler_of([position_photograph(150, 200, blue) for blue in (0, 100, 200)])
    anchor, positive, negative = sampler.triplets(300, draw())
    kept = coloured(anchor) & coloured(negative)
    assert (anchor[kept][:, 2] - negative[kept][:, 2]).abs().mean(dim=(1, 2)).min() > 0.3
    assert (anchor - positive).abs().mean(dim=(1, 2, 3)).min() > 0.03  # noise alone changes a positive that much


def test_noise_and_luminance_are_those_of_the_paper_and_the_option() -> None:
    grey = np.full((75, 75, 3), 128, np.uint8)
    sampler = PatchSampler(Photographs.pack([grey, grey], CPU), 17, luminance=0.2)
    anchor, positive, _ = sampler.triplets(600, draw())
    assert anchor.std() < 1e-6
    level = positive.mean(dim=(2, 3))
    whole = (level / (128 / 255)).mean(dim=1)
    assert whole.min() == pytest.approx(0.8, abs=0.02)
    assert whole.max() == pytest.approx(1.2, abs=0.02)
    unsaturated = coloured(positive)
    noise = (positive - level[:, :, None, None])[unsaturated]
    assert noise.std() == pytest.approx(NOISE_STD, rel=0.03)


def test_one_patch_in_ten_is_grey_by_its_luma() -> None:
    image = np.zeros((75, 75, 3), np.uint8)
    image[:] = (30, 120, 200)  # BGR
    patches = sampler_of([image, image], 17).patches(1500, draw())
    grey = ~coloured(patches)
    assert float(grey.float().mean()) == pytest.approx(GREY_PROBABILITY, abs=0.024)  # three deviations
    luma = (0.299 * 200 + 0.587 * 120 + 0.114 * 30) / 255
    torch.testing.assert_close(patches[grey], torch.full_like(patches[grey], luma))


def test_the_generator_alone_decides_the_patches() -> None:
    images = [position_photograph(90 + 10 * i, 120, 40 * i) for i in range(4)]
    sampler = sampler_of(images)
    first = sampler.triplets(16, draw(5))
    sampler.triplets(7, draw(6))  # what was drawn in between does not matter
    again = sampler_of(images).triplets(16, draw(5))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.anchor, sampler.triplets(16, draw(7)).anchor)


def test_photographs_of_all_sizes_are_read_from_their_own_pixels() -> None:
    sampler = sampler_of([position_photograph(70 + 20 * i, 150 - 10 * i, 60 * i) for i in range(4)], 17)
    patches = sampler.patches(500, draw())
    blue = patches[coloured(patches)][:, 2].flatten(1) * 255
    assert torch.allclose(blue, blue[:, :1].expand_as(blue), atol=1e-3)  # a patch never spans two
    assert set(blue[:, 0].round().int().tolist()) == {0, 60, 120, 180}


def test_a_single_photograph_is_too_few() -> None:
    with pytest.raises(InputError, match="got 1 photograph; a teacher needs two or more"):
        Photographs.pack([position_photograph(50, 50)], CPU)


@pytest.mark.parametrize("kind", ["draw_patches", "draw_triplets"])
def test_reading_asks_nothing_of_the_device(kind: str) -> None:
    """A tensor on the meta device has no values: whatever would wait for a GPU's raises."""
    sampler = sampler_of([position_photograph(50, 60)] * 2)
    drawn = getattr(sampler, kind)(4, draw())
    store = sampler.photographs
    arrays = (tensor.to("meta") for tensor in (store.pixels, store.offsets, store.heights, store.widths))
    sampler.photographs = Photographs(*arrays)
    sampler._grey_weights = sampler._grey_weights.to("meta")
    assert sampler.read(drawn).shape == (4 if kind == "draw_patches" else 12, 3, 33, 33)


def test_a_draw_read_later_gives_the_same_patches() -> None:
    sampler = sampler_of([position_photograph(50, 60, blue) for blue in (0, 90)])
    first, second = draw(1), draw(2)
    drawn = sampler.draw_triplets(5, first), sampler.draw_patches(5, second)
    later = [sampler.read(each) for each in reversed(drawn)]
    assert torch.equal(later[0], sampler.patches(5, draw(2)))
    assert torch.equal(later[1], torch.cat(sampler.triplets(5, draw(1))))


@pytest.mark.parametrize(("p", "side", "short_sides"), [(33, 60, None), (17, 300, None), (96, 420, (100, 300))])
def test_patches_read_a_few_at_once_are_the_same_to_the_last_bit(
    p: int, side: int, short_sides: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [np.random.default_rng(i).integers(0, 256, (side, side + 20 * i, 3), np.uint8) for i in range(3)]
    sampler = PatchSampler(Photographs.pack(images, CPU), p, short_sides=short_sides)
    whole = sampler.patches(8, draw()), sampler.triplets(3, draw(1))
    monkeypatch.setattr("train.patches.GRID_AT_ONCE", 6 * (p * sampler._oversampling) ** 2)
    few = sampler.patches(8, draw()), sampler.triplets(3, draw(1))
    assert torch.equal(few[0], whole[0])
    assert few[0].stride() == whole[0].stride()
    assert torch.equal(torch.cat(few[1]), torch.cat(whole[1]))
    parts = torch.cat([sampler.read(part) for part in sampler.draw_patches(8, draw()).parts(6)])
    assert torch.equal(parts, whole[0])


def test_patches_are_read_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """4,096 patches of p = 65 of photographs of 1,040 pixels are 277 million pixels of the finer grid."""
    sampler = PatchSampler(Photographs.pack([np.zeros((1040, 1040, 3), np.uint8)] * 2, CPU), 65)
    largest = 0

    def read(photo: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, len(photo))
        return torch.zeros(len(photo), 3, 65, 65)

    monkeypatch.setattr(sampler, "_read_at_once", read)
    assert len(sampler.patches(300, draw())) == 300
    assert sampler._oversampling == 4
    assert largest * (4 * 65) ** 2 <= GRID_AT_ONCE == 1 << 22
