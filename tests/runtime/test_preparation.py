"""Frame preparation: shapes, types, and the interpolation that the recipe names."""

import numpy as np
import pytest

from runtime.errors import ImageError
from runtime.preparation import as_bgr, scaled


def noise(*shape: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def test_a_frame_of_the_right_size_is_left_as_it_is() -> None:
    image = noise(16, 24, 3)
    np.testing.assert_array_equal(scaled(image, (16, 24)), image)


def test_shrinking_averages_blocks() -> None:
    image = noise(64, 96, 3)
    means = image.reshape(16, 4, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(scaled(image, (16, 24)) - means).max() <= 0.5


def test_both_sides_are_scaled_on_their_own() -> None:
    image = np.zeros((10, 40, 3), np.uint8)
    image[:5] = 200
    prepared = scaled(image, (20, 20))
    assert prepared.shape == (20, 20, 3)
    assert (prepared[:9] == 200).all()
    assert (prepared[11:] == 0).all()


def test_enlarging_interpolates_linearly() -> None:
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = 100
    assert scaled(image, (1, 4))[0, :, 0].tolist() == [0, 25, 75, 100]


@pytest.mark.parametrize("shape", [(16, 24), (16, 24, 1)])
def test_grey_is_repeated(shape: tuple[int, ...]) -> None:
    image = noise(*shape)
    prepared = scaled(image, (16, 24))
    assert all((prepared[:, :, channel] == image.reshape(16, 24)).all() for channel in range(3))


def test_the_result_is_contiguous_whatever_the_frame_was() -> None:
    for image in (noise(16, 24, 3), noise(16, 48, 3)[:, ::2], noise(16, 24, 3)[::-1, :, ::-1], noise(64, 64, 3)):
        prepared = scaled(image, (16, 24))
        assert prepared.flags.c_contiguous
        assert prepared.dtype == np.uint8


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "a frame holds float32 pixels; expected uint8"),
        (
            np.zeros((4, 4, 4), np.uint8),
            r"a frame has shape \[4, 4, 4\]; expected \[H, W, 3\] in BGR order or \[H, W\]",
        ),
        (np.zeros((0, 4, 3), np.uint8), r"a frame has shape \[0, 4, 3\]"),
        (np.zeros(4, np.uint8), r"a frame has shape \[4\]"),
    ],
)
def test_what_is_no_frame_is_refused(image: np.ndarray, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ImageError, match=message):
        as_bgr(image)
