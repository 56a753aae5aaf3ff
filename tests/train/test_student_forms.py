"""Students of backbones: their maps lie where the teacher's do, and what they begin as."""

import pytest
import torch

from runtime.errors import InputError
from train.student_forms import STRIDES, Autoencoder, PixelStudent, Residual, head_of, new_student


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("size_hw", [(32, 48), (33, 50), (40, 36)])
def test_a_student_has_a_descriptor_for_each_stride_begun(stride: int, size_hw: tuple[int, int]) -> None:
    student = new_student("pixels", 10, stride, 16, 1, seed=0)
    found = student(torch.zeros(2, 3, *size_hw))
    assert found.shape == (2, 10, -(-size_hw[0] // stride), -(-size_hw[1] // stride))


@pytest.mark.parametrize("stride", STRIDES)
def test_what_a_student_says_of_a_place_depends_on_the_pixels_there(stride: int) -> None:
    draw = torch.Generator().manual_seed(0)
    row, column, side = 6, 4, 12 * stride
    off = torch.zeros(12, 12)
    for seed in range(8):
        student = new_student("pixels", 10, stride, 16, 2, seed)
        pixels = torch.randn(1, 3, side, side, generator=draw)
        changed = pixels.clone()
        changed[:, :, row * stride : (row + 1) * stride, column * stride : (column + 1) * stride] += 3
        with torch.no_grad():
            off += (student(changed) - student(pixels)).square().sum(dim=1)[0]
    for axis, place in ((1, row), (0, column)):
        middle = float((off.sum(dim=axis) * torch.arange(12)).sum() / off.sum())
        assert abs(middle - place) < 0.75


def test_a_student_that_reads_pixels_sees_some_130_of_them() -> None:
    student = new_student("pixels", 4, 8, 16, 2, seed=0)
    for module in student.modules():
        if isinstance(module, Residual):  # which begin as nothing
            torch.nn.init.normal_(module.pointwise.weight)
    pixels = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0), requires_grad=True)
    student(pixels)[0, :, 16, 16].sum().backward()
    assert pixels.grad is not None
    columns = pixels.grad.abs().sum(dim=(0, 1, 2)).nonzero()
    assert 120 <= int(columns.max() - columns.min()) + 1 <= 176


def test_an_autoencoder_sees_one_position_through_its_bottleneck() -> None:
    student = new_student("autoencoder", 12, 2, 3, 1, seed=0)  # of any stride
    x = torch.randn(1, 12, 5, 6, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[:, :, 2, 4] += 1
    off = (student(changed) - student(x)).abs().sum(dim=1)[0]
    assert off.nonzero().tolist() == [[2, 4]]
    rows = torch.randn(200, 12, 1, 1, generator=torch.Generator().manual_seed(1))
    hidden = student.hidden[:5](rows)  # the bottleneck, which is linear
    assert hidden.shape[1] == 3
    assert not student.reads_pixels


def test_a_stride_that_no_stem_reaches_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match="a descriptor every 2 pixels; students that read pixels follow 4, 8, 16"):
        new_student("pixels", 10, 2, 16, 1, seed=0)


def test_weights_are_a_function_of_the_seed_and_leave_the_random_state_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (new_student("pixels", 4, 8, 16, 1, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(head_of(first).weight, head_of(again).weight)
    assert not torch.equal(head_of(first).weight, head_of(other).weight)
    assert isinstance(first, PixelStudent)
    assert isinstance(new_student("autoencoder", 4, 8, 2, 1, 0), Autoencoder)
