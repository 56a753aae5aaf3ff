"""Image files: read right, or refused in one sentence that names the file."""

import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.errors import ImageError, InputError
from runtime.images import list_images, read_image

Y, X = np.mgrid[0:30, 0:40]
GRADIENT = np.dstack([X * 6, Y * 8, X + Y]).astype(np.uint8)  # three channels that differ: their order shows


def written(path: Path, image: np.ndarray, *flags: int) -> Path:  # type: ignore[type-arg]
    assert cv2.imwrite(str(path), image, flags)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_lossless_files_come_back_as_they_were(suffix: str, tmp_path: Path) -> None:
    flags = (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ()
    image = read_image(written(tmp_path / f"a{suffix}", GRADIENT, *flags))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, GRADIENT)


def test_a_jpeg_comes_back_nearly_as_it_was(tmp_path: Path) -> None:
    image = read_image(written(tmp_path / "a.jpg", GRADIENT, cv2.IMWRITE_JPEG_QUALITY, 100))
    assert np.abs(image.astype(int) - GRADIENT).max() < 12


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
@pytest.mark.parametrize("left_out", ["half", "the last bytes"])
def test_a_truncated_file_is_refused(suffix: str, left_out: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = written(tmp_path / f"a{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if left_out == "half" else data[:-3])
    with pytest.raises(ImageError, match=rf"a\{suffix} is truncated; copy it again or remove it"):
        read_image(path)


def test_a_truncated_jpeg_with_a_whole_thumbnail_is_refused(tmp_path: Path) -> None:
    """The end marker of the thumbnail is not that of the picture."""
    path = written(tmp_path / "a.jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    thumbnail = cv2.imencode(".jpg", GRADIENT)[1].tobytes()
    data = path.read_bytes()
    exif = b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
    path.write_bytes((data[:2] + exif + data[2:])[: -len(data) // 2])
    with pytest.raises(ImageError, match="is truncated"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_bytes_after_the_end_do_no_harm(suffix: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"a{suffix}", GRADIENT)
    path.write_bytes(path.read_bytes() + b"\0" * 200)
    assert read_image(path).shape == GRADIENT.shape


def test_a_grey_image_becomes_three_equal_channels(tmp_path: Path) -> None:
    image = read_image(written(tmp_path / "a.png", GRADIENT[:, :, 0]))
    np.testing.assert_array_equal(image, np.repeat(GRADIENT[:, :, :1], 3, axis=2))


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_from_their_full_range(channels: int, tmp_path: Path) -> None:
    deep = GRADIENT[:, :, :channels].astype(np.uint16) * 257 + 100
    image = read_image(written(tmp_path / "a.png", deep))
    np.testing.assert_array_equal(image, np.broadcast_to(GRADIENT[:, :, :channels], GRADIENT.shape))


@pytest.mark.parametrize(("largest", "bits"), [(4095, 12), (1023, 10)])
def test_a_raw_camera_image_of_fewer_bits_is_refused(largest: int, bits: int, tmp_path: Path) -> None:
    raw = np.linspace(0, largest, 256, dtype=np.uint16).reshape(16, 16)
    message = f"keeps {bits}-bit values in 16 bits; scale them to the full 16-bit range or save 8 bits"
    with pytest.raises(ImageError, match=message):
        read_image(written(tmp_path / "a.png", raw))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_an_opaque_alpha_channel_is_left_out(suffix: str, tmp_path: Path) -> None:
    opaque = np.dstack([GRADIENT, np.full(GRADIENT.shape[:2], 255, np.uint8)])
    flags = (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ()
    np.testing.assert_array_equal(read_image(written(tmp_path / f"a{suffix}", opaque, *flags)), GRADIENT)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("quality", [80, 101])
def test_transparent_pixels_are_refused(suffix: str, quality: int, tmp_path: Path) -> None:
    image = np.dstack([GRADIENT, np.full(GRADIENT.shape[:2], 255, np.uint8)])
    image[3, 3, 3] = 0
    flags = (cv2.IMWRITE_WEBP_QUALITY, quality) if suffix == ".webp" else ()
    with pytest.raises(ImageError, match="has transparent pixels; flatten it onto a background first"):
        read_image(written(tmp_path / f"a{suffix}", image, *flags))


@pytest.mark.parametrize(("orientation", "turn"), [(3, cv2.ROTATE_180), (6, cv2.ROTATE_90_CLOCKWISE)])
def test_a_rotated_photograph_is_turned_upright(orientation: int, turn: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jpg", GRADIENT)
    plain, data = read_image(path), path.read_bytes()
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\0\0"  # tag, SHORT, one value
    tiff = b"MM\x00\x2a\x00\x00\x00\x08" + b"\x00\x01" + entry + b"\0\0\0\0"
    body = b"Exif\0\0" + tiff
    path.write_bytes(data[:2] + b"\xff\xe1" + (2 + len(body)).to_bytes(2, "big") + body + data[2:])
    np.testing.assert_array_equal(read_image(path), cv2.rotate(plain, turn))


def test_an_empty_file_is_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match=r"a\.png is empty; copy it again or remove it"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"not an image", b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB`\x82"])
def test_what_is_no_image_is_refused(content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.png is not an image that can be decoded; re-save it as PNG or JPEG"):
        read_image(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ImageError, match=r"gone\.png cannot be read \(No such file or directory\); check the path and its"
    ):
        read_image(tmp_path / "gone.png")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png is a pipe; give an image file"):
        read_image(tmp_path / "a.png")


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", GRADIENT[..., 0].astype(np.float32))
    with pytest.raises(ImageError, match="holds float32 pixels; convert it to 8 or 16 bits a channel"):
        read_image(path)


def test_images_are_listed_in_order_and_nothing_else_is(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.JPG"]


def test_a_folder_that_is_not_there_or_holds_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(f"{tmp_path} holds no images; expected files ending in .bmp")):
        list_images(tmp_path)
    with pytest.raises(InputError, match=r"gone is not a folder; give a folder of images \(\.bmp"):
        list_images(tmp_path / "gone")
