"""Dense extraction against the patch network run on every crop, with the geometry worked out again in the test."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibration.maps import upsampled
from runtime.errors import InputError
from train.dense import (
    FORMS,
    OUTPUT_STRIDES,
    Form,
    Window,
    axis,
    dense_descriptors,
    descriptors_in_window,
    reflect_padded,
)
from train.networks import LAYERS, PATCH_SIZES, Conv, PatchNetwork, layers_of, receptive_field

FIELD = {17: 17, 33: 32, 65: 60}  # pixels that one descriptor really depends on, from the layer table by hand
# what the pools level off: the last one's extent in pixels
PEAK_PLATEAU = {17: 0, 33: 4, 65: 8}
PATCHES_AND_STRIDES = list(product(PATCH_SIZES, OUTPUT_STRIDES))


@pytest.mark.parametrize("patch_size", PATCH_SIZES)
def test_width_thins_the_hidden_layers_alone(patch_size: int) -> None:
    whole, half = LAYERS[patch_size], layers_of(patch_size, 0.5)
    assert layers_of(patch_size) == whole
    assert half[-1] == whole[-1]
    assert receptive_field(half) == receptive_field(whole)
    hidden = [(a.channels, b.channels) for a, b in zip(whole, half, strict=True) if isinstance(a, Conv)][:-1]
    assert [thin for _, thin in hidden] == [wide // 2 for wide, _ in hidden]
    assert {conv.channels for conv in layers_of(patch_size, 0.01)[:-1] if isinstance(conv, Conv)} == {8}
    with pytest.raises(InputError, match="width is 0; expected a share of the paper's channels above 0, up to 1"):
        layers_of(patch_size, 0)


def test_separable_layers_see_the_same_field_with_a_tenth_of_the_weights() -> None:
    conv = [layer for layer in layers_of(33, 0.5, separable=True) if isinstance(layer, Conv)]
    assert conv == [
        Conv(64, 5),
        Conv(64, 5, depthwise=True),
        Conv(128, 1),
        Conv(128, 2, depthwise=True),
        Conv(128, 1),
        Conv(128, 4, depthwise=True),
        Conv(128, 1),
    ]
    for patch_size in PATCH_SIZES:
        assert receptive_field(layers_of(patch_size, separable=True)) == FIELD[patch_size]
    whole, separable = (sum(p.numel() for p in PatchNetwork(33, 0.5, which).parameters()) for which in (False, True))
    assert separable < 0.11 * whole
    assert layers_of(65, separable=True)[-1] == Conv(128, 1)  # 1×1 already: nothing to separate


def narrow_network(patch_size: int, channels: int = 6) -> PatchNetwork:
    """A patch network with the kernels of the real one and few channels, so that every crop can be run."""
    network = PatchNetwork(patch_size, 0.01)
    kernels = [network.conv(index).kernel_size[0] for index in range(len(network.convs))]
    torch.manual_seed(patch_size)
    network.convs = nn.ModuleList(nn.Conv2d(channels if i else 3, channels, kernel) for i, kernel in enumerate(kernels))
    return network.requires_grad_(False)


def separable_network(patch_size: int) -> PatchNetwork:
    torch.manual_seed(patch_size)
    return PatchNetwork(patch_size, 0.1, separable=True).requires_grad_(False)


def descriptors_of_crops(network: PatchNetwork, image: Tensor, stride: int) -> Tensor:
    """Descriptors [C, h, w] of the crops at every `stride`-th position of an image [3, H, W], one by one.

    Sample k stands for the pixels s·k … s·k + s − 1; its field starts half the difference of the two lengths before.
    """
    patch, field = network.patch_size, FIELD[network.patch_size]
    before = int(np.ceil((field - stride) / 2))
    padded = np.pad(image.numpy(), ((0, 0), (before, patch + stride), (before, patch + stride)), mode="reflect")
    rows, columns = (range(0, length, stride) for length in image.shape[1:])
    crops = np.stack([padded[:, y : y + patch, x : x + patch] for y in rows for x in columns])
    descriptors = torch.cat(
        [network(torch.from_numpy(chunk)) for chunk in np.array_split(crops, 1 + len(crops) // 200)]
    )
    return descriptors.T.reshape(-1, len(rows), len(columns))


def image_of(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height * width))


@pytest.mark.parametrize("patch_size", PATCH_SIZES)
def test_the_receptive_field_is_that_of_the_layer_table(patch_size: int) -> None:
    assert receptive_field(LAYERS[patch_size]) == FIELD[patch_size]


@pytest.mark.parametrize("size_hw", [(34, 39), (40, 35)])
@pytest.mark.parametrize(("patch_size", "stride"), PATCHES_AND_STRIDES)
def test_both_forms_equal_the_network_run_on_every_crop(patch_size: int, stride: int, size_hw: tuple[int, int]) -> None:
    network, image = narrow_network(patch_size), image_of(*size_hw)
    expected = descriptors_of_crops(network, image[0], stride)
    assert expected.std() > 0.01
    for form in FORMS:
        found = dense_descriptors(network, image, stride, form)[0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("patch_size", "stride"), [(17, 2), (33, 1), (33, 8), (65, 4)])
def test_separable_networks_equal_crops_too(patch_size: int, stride: int) -> None:
    network, image = separable_network(patch_size), image_of(37, 46)
    expected = descriptors_of_crops(network, image[0], stride)
    for form in FORMS:
        found = dense_descriptors(network, image, stride, form)[0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.std()))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("patch_size", PATCH_SIZES)
def test_the_full_width_equals_crops_too(patch_size: int, form: Form) -> None:
    torch.manual_seed(0)
    network, image = PatchNetwork(patch_size).requires_grad_(False), image_of(36, 39)
    expected = descriptors_of_crops(network, image[0], 8)
    found = dense_descriptors(network, image, 8, form)[0]
    # descriptors are of the order of 1, and sums run over up to 6,400 products
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.std()))


@pytest.mark.parametrize("form", FORMS)
def test_images_of_a_batch_do_not_mix(form: Form) -> None:
    network, images = narrow_network(33), torch.cat([image_of(35, 38), 1 - image_of(35, 38)])
    together = dense_descriptors(network, images, 1, form)
    alone = torch.cat([dense_descriptors(network, image[None], 1, form) for image in images])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("patch_size", "stride"), PATCHES_AND_STRIDES)
def test_a_window_is_a_slice_of_the_whole_map(patch_size: int, stride: int, form: Form) -> None:
    network, image = narrow_network(patch_size), image_of(41, 52)
    whole = dense_descriptors(network, image, 1, "atrous")
    window = Window(top=5, left=8, height=27, width=21)
    found = descriptors_in_window(network, reflect_padded(network.layers, image, 1), window, stride, form)
    expected = whole[:, :, 5 : 5 + 27 : stride, 8 : 8 + 21 : stride]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("patch_size", "stride"), PATCHES_AND_STRIDES)
def test_what_a_sample_sees_is_centred_on_the_pixels_it_stands_for(patch_size: int, stride: int, form: Form) -> None:
    network = narrow_network(patch_size)
    # the field must lie inside, or reflection would fold it; a pool passes one gradient of four, so several images
    images = torch.rand(24, 3, 80, 88, generator=torch.Generator().manual_seed(1)).requires_grad_()
    row, column = 40 // stride, 44 // stride
    dense_descriptors(network, images, stride, form)[:, :, row, column].sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    seen = images.grad.abs().amax(dim=(0, 1)) > 0
    for sample, pixels in ((row, seen.any(dim=1)), (column, seen.any(dim=0))):
        first, last = (int(v) for v in pixels.nonzero().flatten()[[0, -1]])
        assert last - first + 1 == FIELD[patch_size]
        middle = stride * sample + (stride - 1) / 2
        assert abs((first + last) / 2 - middle) <= 0.5


@pytest.mark.parametrize(("patch_size", "stride"), PATCHES_AND_STRIDES)
def test_a_bright_pixel_is_found_where_it_is(patch_size: int, stride: int) -> None:
    network = narrow_network(patch_size, channels=2)
    for conv in map(network.conv, range(len(network.convs))):
        nn.init.constant_(conv.weight, 1 / conv.weight[0].numel())  # the field's middle counts most, both ways alike
        conv.bias = None
    pixels = torch.tensor([[76 + shift, 83 + shift] for shift in range(stride)])  # at every place between two samples
    images = torch.zeros(stride, 3, 160, 176)
    images[torch.arange(stride), :, pixels[:, 0], pixels[:, 1]] = 1
    flat = dense_descriptors(network, torch.zeros_like(images), stride, "atrous")
    response = (dense_descriptors(network, images, stride, "atrous") - flat).square().sum(dim=1)
    response = upsampled(response[:, None], (160, 176), stride)[:, 0]
    share = response / response.sum(dim=(1, 2), keepdim=True)
    centres = torch.stack(
        [(share.sum(dim=2) * torch.arange(160)).sum(dim=1), (share.sum(dim=1) * torch.arange(176)).sum(dim=1)], dim=1
    )
    assert (centres - pixels).abs().max() <= stride / 2 + 0.01
    assert (centres - pixels).mean(dim=0).abs().max() <= 0.51
    peaks = torch.stack([torch.tensor(divmod(int(r.argmax()), 176)) for r in response])
    assert (peaks - pixels).abs().max() <= PEAK_PLATEAU[patch_size] + stride / 2


@pytest.mark.parametrize(("length", "stride"), [(40, 1), (41, 8), (47, 4), (48, 2), (33, 8)])
@pytest.mark.parametrize("patch_size", PATCH_SIZES)
def test_the_fields_cover_an_axis_to_its_end(patch_size: int, length: int, stride: int) -> None:
    cover = axis(LAYERS[patch_size], length, stride)
    assert cover.positions == -(-length // stride)
    assert cover.before + length + cover.behind == (cover.positions - 1) * stride + FIELD[patch_size]
    middle_of_last = -cover.before + (cover.positions - 1) * stride + (FIELD[patch_size] - 1) / 2
    assert abs(middle_of_last - ((cover.positions - 1) * stride + (stride - 1) / 2)) <= 0.5


def test_an_image_too_small_to_reflect_is_refused_with_the_size_it_needs() -> None:
    with pytest.raises(InputError, match=r"an image of 30×64 pixels is too small to reflect; use 31 or more"):
        dense_descriptors(narrow_network(65), torch.zeros(1, 3, 30, 64))
    assert dense_descriptors(narrow_network(65), torch.zeros(1, 3, 31, 64)).shape == (1, 6, 31, 64)
