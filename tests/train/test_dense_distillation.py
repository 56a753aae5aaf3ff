"""Where P's map and a teacher's lie in a view: receptive fields traced by gradients, crops, and shifted views."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from train.backbones import ARCHITECTURES, load_backbone, new_network
from train.backbones.features import Features
from train.dense_distillation import BACKBONES, DenseDescriptor, DenseTeacher, Grid, _Reader, middle_of_first
from train.networks import PATCH_SIZES, PatchNetwork, receptive_field
from train.options import SMALLEST_VIEW


def smooth(count: int, side: int, seed: int = 0) -> Tensor:
    """Views in which something happens at every scale, [N, 3, side, side]."""
    random = torch.Generator().manual_seed(seed)
    layers = []
    for coarse in (4, 9, 19, 40):
        noise = torch.rand(count, 3, coarse, coarse, generator=random)
        layers.append(functional.interpolate(noise, (side, side), mode="bicubic").clamp(0, 1))
    return torch.stack(layers).mean(dim=0)


def receptive_middle(network: Any, stage: str, side: int, row: int, column: int) -> tuple[float, float]:
    """The middle of the pixels that a sample depends on; all weights are made positive, so that nothing cancels."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            fan_in = parameter[0].numel()
            parameter.fill_(0.0 if name.endswith("bias") else 0.5 / fan_in)
    pixels = 0.5 + 0.5 * torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    pixels.requires_grad_()
    network.maps(pixels, (stage,))[stage][0, :, row, column].sum().backward()
    touched = pixels.grad[0].abs().sum(dim=0) > 0
    found = []
    for dimension in (1, 0):
        places = touched.any(dim=dimension).nonzero().flatten().tolist()
        assert 0 < places[0] < places[-1] < side - 1, "the border cuts the field"
        found.append((places[0] + places[-1]) / 2)
    return found[0], found[1]


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
@pytest.mark.parametrize("index", [0, 1])
def test_samples_lie_where_their_receptive_fields_are_centred(architecture: str, index: int) -> None:
    network = new_network(architecture)
    (stage,) = (each for each in network.stages if each.name == ARCHITECTURES[architecture].compared[index])
    side = (320, 640)[index]
    middle = side // stage.stride // 2
    found = receptive_middle(network, stage.name, side, middle, middle + 1)
    expected = [middle_of_first(architecture, stage.stride) + stage.stride * k for k in (middle, middle + 1)]
    assert found == pytest.approx(expected, abs=1)  # a pool of odd ties may leave out its last pixel


@pytest.mark.parametrize("patch_size", PATCH_SIZES)
@pytest.mark.parametrize("name", list(BACKBONES))
def test_a_teachers_field_is_laid_around_the_place_of_ps_sample(name: str, patch_size: int) -> None:
    torch.manual_seed(0)
    teacher, side = PatchNetwork(patch_size, 0.25).eval(), SMALLEST_VIEW[patch_size]
    grid, field = DenseDescriptor(name, patch_size, side).grid, receptive_field(teacher.layers)
    views = torch.rand(2, 3, side, side)
    with torch.no_grad():
        found = DenseTeacher(teacher, grid).map(views)
        assert found.shape == (2, 128, grid.count, grid.count)
        for row, column in ((0, 0), (0, grid.count - 1), (grid.count - 1, 1)):
            places = [grid.origin + grid.stride * (grid.first + k) for k in (row, column)]
            top, left = (round(place - (field - 1) / 2) for place in places)
            assert abs(top + (field - 1) / 2 - places[0]) <= 0.5
            crop = functional.pad(views, (0, 8, 0, 8))[:, :, top : top + patch_size, left : left + patch_size]
            torch.testing.assert_close(found[:, :, row, column], teacher(crop), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(BACKBONES))
@pytest.mark.parametrize("patch_size", [33, 65])
def test_a_shifted_view_shifts_the_targets(name: str, patch_size: int) -> None:
    """Two positions are a whole sample of the coarser stage, too; P's padding, which does not shift, leaves traces."""
    side = {33: 128, 65: 224}[patch_size]
    network = DenseDescriptor(name, patch_size, side)
    shift = 2 * network.grid.stride
    large = smooth(1, side + shift)
    here, there = network.map(large[:, :, :side, :side]), network.map(large[:, :, shift:, :side])
    variance = here.var(dim=(2, 3), keepdim=True).mean()

    def error(positions: int) -> float:
        count = network.grid.count - 3
        moved = here[:, :, positions : positions + count]
        return float((moved - there[:, :, :count]).square().mean() / variance)

    assert error(2) < 0.05
    assert min(error(1), error(3)) > 3 * error(2)


def test_the_map_is_a_memory_banks_at_the_samples_of_the_grid() -> None:
    network = DenseDescriptor("resnet18-layer23", 33, 96)
    features = Features(load_backbone("resnet18"), ("layer2",), ())
    views = smooth(2, 96)
    expected = features(functional.interpolate(views, scale_factor=2.0, mode="bilinear"))[0]
    kept = slice(network.grid.first, network.grid.first + network.grid.count)
    torch.testing.assert_close(network.map(views)[:, :128], expected[:, :, kept, kept])


def test_rows_are_in_the_same_order() -> None:
    torch.manual_seed(0)
    descriptor = DenseDescriptor("efficientnet-lite0", 33, 96)
    teacher = DenseTeacher(PatchNetwork(33, 0.25), descriptor.grid)
    views, count = smooth(2, 96), descriptor.grid.count
    place = 1 * count**2 + 2 * count + 3  # the second view, third row, fourth column
    assert torch.equal(descriptor(views)[place], descriptor.map(views)[1, :, 2, 3])
    assert torch.equal(teacher(views)[place], teacher.map(views)[1, :, 2, 3])
    assert len(descriptor(views)) == len(teacher(views)) == 2 * count**2


@pytest.mark.parametrize(
    ("side", "stride", "origin", "margin"),
    [(96, 4, -0.25, 30), (128, 4, 3.25, 30), (208, 8, 0.0, 60), (160, 8, 7.0, 60)],
)
def test_a_grid_has_all_samples_clear_of_the_border(side: int, stride: int, origin: float, margin: int) -> None:
    grid = Grid.of(side, stride, origin, margin)
    places = [origin + stride * j for j in range(side // stride)]
    kept = [place for place in places if margin <= place <= side - 1 - margin]
    assert [origin + stride * (grid.first + k) for k in range(grid.count)] == kept
    assert grid.count >= 4


def test_between_samples_maps_are_linear() -> None:
    index = torch.tensor([1.0, 1.5, 2.25])
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(4.0), indexing="ij")
    found = _Reader(index)(torch.stack([rows, columns, rows * columns])[None])[0]
    torch.testing.assert_close(found[0], index[:, None].expand(3, 3))
    torch.testing.assert_close(found[1], index[None].expand(3, 3))
    torch.testing.assert_close(found[2], index[:, None] * index)
