"""Backbones' maps: their shapes, their padding, and that nothing is computed in vain."""

from math import ceil

import pytest
import torch
from torch import Tensor, nn

from train.backbones import ARCHITECTURES, load_backbone, new_network, shipped_backbones
from train.backbones.base import SamePadded

# of a fixed input: mean and deviation of each stage's map, and its value at the middle of channel 5
GOLDEN: dict[str, dict[str, tuple[float, float, float]]] = {
    "efficientnet-lite0": {
        "group1": (0.435306, 11.9986, 17.435),
        "group2": (0.858544, 16.2012, -2.38198),
        "group3": (-2.00623, 11.8867, -17.6416),
        "group4": (-1.53083, 11.3017, 0.207464),
        "group5": (0.379763, 7.86538, 4.72915),
    },
    "efficientnet-lite2": {
        "group1": (0.587769, 14.1115, -15.3132),
        "group2": (-0.328348, 16.3399, 12.7989),
        "group3": (2.30025, 11.7682, -2.05042),
        "group4": (0.169973, 10.7038, 10.6776),
        "group5": (-0.484182, 7.86685, 3.54456),
    },
    "resnet18": {
        "layer1": (0.598079, 0.74338, 0.0),
        "layer2": (0.224246, 0.37586, 0.0),
        "layer3": (0.15687, 0.237268, 0.438397),
    },
}


@pytest.mark.parametrize("size_hw", [(64, 64), (65, 97), (33, 70), (32, 31)])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_map_has_as_many_samples_as_strides_fit_in_the_image_rounded_up(name: str, size_hw: tuple[int, int]) -> None:
    network = new_network(name).eval()
    names = tuple(stage.name for stage in network.stages)
    with torch.no_grad():
        maps = network.maps(torch.zeros(2, 3, *size_hw), names)
    assert tuple(maps) == names
    for stage in network.stages:
        height, width = (ceil(side / stage.stride) for side in size_hw)
        assert maps[stage.name].shape == (2, stage.channels, height, width)


def plainly_same_padded(image: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """A depthwise convolution [C, H, W] sample by sample, padded as TensorFlow documents ``SAME``."""
    height, width = image.shape[1:]
    kernel = weight.shape[-1]
    rows, columns = ceil(height / stride), ceil(width / stride)
    top = max((rows - 1) * stride + kernel - height, 0) // 2
    left = max((columns - 1) * stride + kernel - width, 0) // 2
    found = bias.view(-1, 1, 1).repeat(1, rows, columns)
    for row in range(rows):
        for column in range(columns):
            for i in range(kernel):
                for j in range(kernel):
                    y, x = row * stride + i - top, column * stride + j - left
                    if 0 <= y < height and 0 <= x < width:
                        found[:, row, column] += image[:, y, x] * weight[:, 0, i, j]
    return found


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2)])
@pytest.mark.parametrize("size_hw", [(6, 6), (7, 7), (5, 8), (3, 2)])
def test_the_padding_is_tensorflows_same(kernel: int, stride: int, size_hw: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = SamePadded(2, 2, kernel, stride, groups=2).double().requires_grad_(False)
    image = torch.randn(2, *size_hw, dtype=torch.float64)
    assert conv.bias is not None
    torch.testing.assert_close(conv(image[None])[0], plainly_same_padded(image, conv.weight, conv.bias, stride))


@pytest.mark.parametrize(
    ("name", "asked", "behind"),
    [
        ("efficientnet-lite0", ("group3",), ("groups.3", "groups.4")),
        ("efficientnet-lite2", ("group1", "group4"), ("groups.4",)),
        ("resnet18", ("layer1",), ("layer2", "layer3")),
        ("resnet18", ("layer2", "layer1"), ("layer3",)),
    ],
)
def test_nothing_behind_the_last_stage_asked_for_is_computed(
    name: str, asked: tuple[str, ...], behind: tuple[str, ...]
) -> None:
    network, ran = new_network(name).eval(), set()
    for place, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, ___, place=place: ran.add(place))
    pixels = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        few = network.maps(pixels, asked)
        assert not any(place.startswith(behind) for place in ran)
        everything = network.maps(pixels, tuple(stage.name for stage in network.stages))
    assert any(place.startswith(behind) for place in ran)
    assert set(few) == set(asked)
    for stage in asked:
        assert torch.equal(few[stage], everything[stage])


def fixed_pixels() -> Tensor:
    return (torch.arange(3 * 48 * 65) * 0.37).sin().reshape(1, 3, 48, 65)


def figures(maps: Tensor) -> tuple[float, float, float]:
    _, _, height, width = maps.shape
    return float(maps.mean()), float(maps.std()), float(maps[0, 5, height // 2, width // 2])


def test_there_are_golden_figures_for_each_shipped_backbone() -> None:
    assert sorted(GOLDEN) == shipped_backbones()


@pytest.mark.parametrize("name", shipped_backbones())
def test_a_shipped_backbones_maps_stay_as_they_were(name: str) -> None:
    network = load_backbone(name).network
    maps = network.maps(fixed_pixels(), tuple(stage.name for stage in network.stages))
    assert set(maps) == set(GOLDEN[name])
    for stage, expected in GOLDEN[name].items():
        assert figures(maps[stage]) == pytest.approx(expected, rel=1e-3, abs=1e-3)
