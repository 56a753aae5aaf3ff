"""JPEG: equal to OpenCV's pixels where the file is sound, an error where libjpeg only prints a line."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from picture_samples import picture, without_segment
from PIL import Image

from runtime.errors import DamagedImage, ImageError
from runtime.pictures.jpeg import decode_jpeg, segments

PICTURE = picture()
SOUND = {
    "grey": (PICTURE[:, :, 0], {}),
    "4:4:4": (PICTURE, {"subsampling": "4:4:4"}),
    "4:2:2": (PICTURE, {"subsampling": "4:2:2"}),
    "4:2:0": (PICTURE, {"subsampling": "4:2:0"}),
    "progressive": (PICTURE, {"progressive": True}),
    "own Huffman tables": (PICTURE, {"optimize": True}),
    "restart markers": (PICTURE, {"restart_marker_blocks": 3}),
    "RGB": (PICTURE, {"keep_rgb": True}),
    "of Adobe's four inks": (np.dstack([PICTURE, PICTURE[:, :, 0]]), {}),
}


def jpeg(image: NDArray[np.uint8], **options: object) -> bytes:
    buffer = io.BytesIO()
    inks = image.ndim == 3 and image.shape[2] == 4
    whole = Image.merge("CMYK", [Image.fromarray(ink) for ink in np.moveaxis(image, 2, 0)]) if inks else None
    (whole or Image.fromarray(image)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def as_opencv_reads(data: bytes) -> NDArray[np.generic] | None:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


@pytest.mark.parametrize("kind", SOUND)
def test_pixels_are_those_of_opencv(kind: str) -> None:
    image, options = SOUND[kind]
    data = jpeg(image, **options)
    np.testing.assert_array_equal(decode_jpeg(data), as_opencv_reads(data))


def test_noise_of_many_sizes_comes_out_as_opencv_reads_it() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        height, width = rng.integers(1, 60, 2)
        data = jpeg(rng.integers(0, 256, (height, width, 3), np.uint8), quality=int(rng.integers(1, 101)))
        np.testing.assert_array_equal(decode_jpeg(data), as_opencv_reads(data))


@pytest.mark.data
@pytest.mark.skipif("PROCTOR_DATA" not in os.environ, reason="PROCTOR_DATA names no folder of real images")
def test_real_photographs_come_out_as_opencv_reads_them() -> None:
    paths = sorted(Path(os.environ["PROCTOR_DATA"]).rglob("*.jpg"))[::25]
    assert paths
    for path in paths:
        data = path.read_bytes()
        np.testing.assert_array_equal(decode_jpeg(data), as_opencv_reads(data), str(path))


def test_a_camera_may_leave_the_standard_tables_out_and_fill_up_after_the_end() -> None:
    data = jpeg(PICTURE)
    bare = without_segment(data, 0xC4)
    assert len(bare) < len(data)
    for padded in (bare, bare + b"\0" * 64, data + b"\xff" * 64):
        np.testing.assert_array_equal(decode_jpeg(padded), decode_jpeg(data))


@pytest.mark.parametrize("damage", ["half", "no end marker", "zeroed", "a block lost", "zeros in place of the rest"])
@pytest.mark.parametrize("progressive", [False, True])
def test_what_libjpeg_only_warns_of_is_an_error(
    damage: str, progressive: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    data = jpeg(PICTURE, progressive=progressive)
    middle = len(data) * 3 // 5
    broken = {
        "half": data[:middle],
        "no end marker": data[:-2],
        "zeroed": data[:middle] + b"\0" * 400 + data[middle + 400 :],
        "a block lost": data[:middle] + data[middle + 512 :],
        "zeros in place of the rest": data[:middle] + b"\0" * (len(data) - middle),
    }[damage]
    with pytest.raises(DamagedImage, match=r"^damaged picture: .+"):
        decode_jpeg(broken)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "holds no JPEG: it begins with nothing, expected ffd8"),
        (b"\0" + jpeg(PICTURE), "holds no JPEG: it begins with 00ff, expected ffd8"),
        (b"\xff\xd8", "damaged picture: no frame header before the pixels"),
        (b"\xff\xd8\xff\xd9", "damaged picture: no frame header before the pixels"),
        (
            jpeg(PICTURE).replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"),
            "JPEG of 12 bits a channel, which cannot",
        ),
        (jpeg(PICTURE).replace(b"\xff\xc0", b"\xff\xc3"), "is a lossless JPEG, which cannot be read; convert"),
        (
            jpeg(PICTURE).replace(b"\x03\x01\x22\x00", b"\x03\x01\x42\x00"),
            "a JPEG of a colour sampling that cannot be read",
        ),
        (without_segment(jpeg(SOUND["of Adobe's four inks"][0]), 0xEE), "JPEG of 4 channels of unknown meaning"),
    ],
)
def test_what_cannot_be_read_right_is_refused_by_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode_jpeg(data)


def test_the_limit_on_pixels_is_asked_before_decoding() -> None:
    data = bytearray(jpeg(PICTURE))
    frame = next(begin for marker, begin, _ in segments(bytes(data)) if marker == 0xC0)
    data[frame + 1 : frame + 5] = (20_000).to_bytes(2, "big") * 2  # decoding would take 1.2 GB and find damage
    with pytest.raises(ImageError, match=r"has 20000×20000 pixels, above the limit of 100 megapixels; make it"):
        decode_jpeg(bytes(data))
    with pytest.raises(ImageError, match=r"140×90 pixels, above the limit of 0\.01 megapixels"):
        decode_jpeg(jpeg(PICTURE), limit=10_000)


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"subsampling": "4:4:4"}, {"progressive": True}])
def test_zeros_among_the_pixels_are_damage_wherever_they_lie(options: dict[str, object]) -> None:
    """libjpeg alone takes about one in five of them for coefficients, and ends where it should."""
    data = jpeg(PICTURE, quality=90, **options)
    scan = max(end for _, _, end in segments(data))
    step = 37 if "progressive" not in options else 151  # a few places there are plain bits, where zeros may be right
    for at in range(scan, len(data) - 300, step):
        with pytest.raises(DamagedImage):
            decode_jpeg(data[:at] + bytes(256) + data[at + 256 :])


def test_a_flat_picture_may_be_all_zeros_by_tables_of_its_own() -> None:
    flat = np.full((1000, 1000), 90, np.uint8)
    data = jpeg(flat, optimize=True)
    assert bytes(32) in data
    np.testing.assert_array_equal(decode_jpeg(data), as_opencv_reads(data))
