"""TIFF: 64 variants of each kind that is read come out as they were written; the rest is refused by its tags."""

import io
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from picture_samples import picture
from PIL import Image
from tiff_samples import COLOUR_MAP, Values, page, tiff

from runtime.errors import ImageError
from runtime.images import decode_image, read_image
from runtime.pictures.tiff_strips import Coding, check_strip

Picture = NDArray[np.uint8]
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = 0, 1, 2, 3
LAYOUTS = list(itertools.product("<>", (False, True), (False, True), (0, 17)))  # byte order, BigTIFF, deflate, rows
TURNS = {  # EXIF: how the stored picture is turned upright
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: np.rot90(image, 2),
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: lambda image: np.rot90(image),
}


def deep(image: Picture) -> NDArray[np.uint16]:
    """16 bits that scale back to the 8 given, with low bits of their own, as a camera's."""
    low = np.random.default_rng(1).integers(0, 100, image.shape, np.uint16)
    return np.minimum(image.astype(np.uint16) * 257, 65435) + low


def seeded(index: int) -> Picture:
    rng = np.random.default_rng([3, index])
    return picture(int(rng.integers(20, 60)), int(rng.integers(20, 90)), index)


def as_written(kind: str, image: Picture, order: str, deflate: bool, rows: int) -> tuple[bytes | None, Picture]:
    """Tags and strips of one kind, and what reading must give."""
    grey, rgb = image[:, :, 1], np.ascontiguousarray(image[:, :, ::-1])
    grey3 = np.repeat(grey[:, :, None], 3, axis=2)
    options = {"order": order, "deflate": deflate, "rows": rows}
    colours = np.random.default_rng(4).integers(0, 256, (256, 3), np.uint8)
    table = {f"t{COLOUR_MAP}": [int(value) * 257 for value in colours.T.ravel()]}
    opaque = np.full((*grey.shape, 1), 255, np.uint8)
    return {
        "grey, white is zero": (page(255 - grey, WHITE_IS_ZERO, **options), grey3),
        "16-bit grey": (page(deep(grey), BLACK_IS_ZERO, **options), grey3),
        "16-bit grey, white is zero": (page(65535 - deep(grey), WHITE_IS_ZERO, **options), grey3),
        "RGB in planes": (page(rgb, RGB, separate=True, **options), image),
        "16-bit RGB": (page(deep(rgb), RGB, **options), image),
        "16-bit RGB in planes": (page(deep(rgb), RGB, separate=True, **options), image),
        "palette": (page(grey, PALETTE, **options, **table), colours[grey][:, :, ::-1]),
        "opaque RGBA": (page(np.dstack([rgb, opaque]), RGB, **options, t338=[2]), image),
        "opaque 16-bit RGBA": (
            page(np.dstack([deep(rgb), opaque.astype(np.uint16) * 257]), RGB, **options, t338=[2]),
            image,
        ),
        "opaque grey with alpha": (page(np.dstack([grey, opaque]), BLACK_IS_ZERO, **options, t338=[2]), grey3),
    }[kind]  # type: ignore[return-value]


KINDS = (
    "grey, white is zero", "16-bit grey", "16-bit grey, white is zero", "RGB in planes", "16-bit RGB",
    "16-bit RGB in planes", "palette", "opaque RGBA", "opaque 16-bit RGBA", "opaque grey with alpha",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_comes_out_as_it_was_written(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    for index in range(64):
        order, big, deflate, rows = LAYOUTS[index % len(LAYOUTS)]
        one, expected = as_written(kind, seeded(index), order, deflate, rows)
        np.testing.assert_array_equal(decode_image(tiff([one], order, big)), expected, f"{kind}, variant {index}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("kind", ["RGB in planes", "16-bit RGB", "16-bit RGB in planes", "16-bit grey, white is zero"])
def test_every_orientation_is_turned_upright(kind: str, turn: int) -> None:
    (tags, strips), expected = as_written(kind, picture(30, 50), ">", False, 0)
    data = tiff([({**tags, 274: [turn]}, strips)], ">")
    np.testing.assert_array_equal(decode_image(data), TURNS[turn](expected))


def refused_kinds() -> dict[str, tuple[object, str]]:
    image = picture(24, 32)
    grey, four = image[:, :, 1], np.dstack([image, image[:, :, 0]])
    plain = page(grey, BLACK_IS_ZERO)[0]

    def packed(bits: int) -> tuple[dict[int, Values], list[bytes]]:
        return {**plain, 258: [bits]}, [bytes(32 * bits // 8 * 24)]

    return {
        "signed": (page(grey, BLACK_IS_ZERO, t339=[2]), "holds int8 pixels; convert it"),
        "signed 16": (page(deep(grey), BLACK_IS_ZERO, t339=[2]), "holds int16 pixels; convert it"),
        "float": (packed(32)[:1] and ({**plain, 258: [32], 339: [3]}, [bytes(32 * 4 * 24)]), "holds float32 pixels"),
        "32 bits": (packed(32), "is a TIFF of 32 bits a channel"),
        "2 bits": (packed(2), "is a TIFF of 2 bits a channel; convert it to 8 or 16 bits, grey or RGB"),
        "4 bits": (packed(4), "is a TIFF of 4 bits a channel"),
        "12 bits": (packed(12), "is a TIFF of 12 bits a channel"),
        "CMYK": (page(four, 5), "is a TIFF of CMYK"),
        "Lab": (page(image, 8), "is a TIFF of Lab"),
        "a mosaic": (page(grey, 32803), "is a TIFF of a camera's raw mosaic"),
        "plain YCbCr": (page(image, 6), "is a TIFF of YCbCr colours"),
        "five channels": (page(np.dstack([four, grey]), RGB), "is a TIFF of 5 channels"),
        "16-bit grey with alpha": (page(np.dstack([deep(grey)] * 2), BLACK_IS_ZERO), "is a TIFF of 2 channels"),
        "fax": (page(grey, BLACK_IS_ZERO, t259=[4]), "is a TIFF of fax inside"),
        "Zstandard": (page(grey, BLACK_IS_ZERO, t259=[50000]), "is a TIFF of Zstandard inside"),
        "unequal bits": (page(image, RGB, t258=[8, 8, 16]), "is a TIFF of 8 bits a channel"),
        "transparent": (page(four, RGB, t338=[2]), "has transparent pixels; flatten it"),
        "transparent, unnamed": (page(four, RGB, t338=[0]), "has transparent pixels"),
        "14 bits in 16": (page(deep(grey) >> 2, BLACK_IS_ZERO), "keeps 14-bit values in 16 bits"),
        "too large": (page(grey, BLACK_IS_ZERO, t256=[20000], t257=[20000]), "has 20000×20000 pixels, above the limit"),
        "a strip short": ((plain, [grey.tobytes()[:-5]]), "damaged picture: a strip holds 763 bytes of 768"),
        "without strips": ((plain, []), "damaged picture: it states 0 strips"),
    }


@pytest.mark.parametrize("kind", refused_kinds())
def test_what_does_not_come_out_right_is_refused_by_its_tags(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    one, reason = refused_kinds()[kind]
    with pytest.raises(ImageError, match=reason):
        decode_image(tiff([one]))  # type: ignore[list-item]
    assert capfd.readouterr() == ("", "")


def test_bits_that_a_file_states_to_be_all_in_use_are_believed() -> None:
    dark = deep(picture(24, 32)[:, :, 0] // 4)
    data = tiff([page(dark, BLACK_IS_ZERO, t281=[65535])])
    np.testing.assert_array_equal(decode_image(data)[:, :, 0], picture(24, 32)[:, :, 0] // 4)


def test_pages_are_counted_and_previews_are_not() -> None:
    image = page(picture(24, 32), RGB)
    preview = ({**page(picture(12, 16), RGB)[0], 254: [1]}, page(picture(12, 16), RGB)[1])
    assert decode_image(tiff([image, preview])).shape == (24, 32, 3)
    with pytest.raises(ImageError, match=r"holds 3 pictures \(pages\); save each as a file of its own"):
        decode_image(tiff([image, image, preview, image]))
    with pytest.raises(ImageError, match="begins with a thumbnail"):
        decode_image(tiff([preview, image]))


def test_a_chain_of_pages_in_a_circle_ends() -> None:
    data = bytearray(tiff([page(picture(24, 32), RGB)]))
    directory = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[directory : directory + 2], "little")
    data[directory + 2 + 12 * entries :][:4] = data[4:8]
    data[directory + 2 + 12 * entries : directory + 6 + 12 * entries] = data[4:8]
    assert decode_image(bytes(data)).shape == (24, 32, 3)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", None])
@pytest.mark.parametrize("kind", ["blobs", "noise", "flat", "grey"])
def test_sound_files_of_libtiff_are_read_as_opencv_reads_them(compression: str | None, kind: str) -> None:
    rng = np.random.default_rng(6)
    image = {
        "blobs": picture(150, 211),
        "noise": rng.integers(0, 256, (90, 140, 3), np.uint8),
        "flat": np.full((300, 400, 3), 40, np.uint8),
        "grey": picture()[:, :, 0],
    }[kind]
    for predictor in (1, 2) if compression in ("tiff_lzw", "tiff_adobe_deflate") else (1,):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "TIFF", compression=compression, tiffinfo={317: predictor})
        expected = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(decode_image(file.getvalue()), expected)


def test_the_length_of_lzw_is_that_of_its_decoded_bytes() -> None:
    """Against libtiff's writer, for strips of many lengths and kinds."""
    rng = np.random.default_rng(8)
    for index in range(50):
        row = rng.integers(0, [2, 20, 256][index % 3], int(rng.integers(1, 9000)), np.uint8)
        file = io.BytesIO()
        Image.fromarray(row[None]).save(file, "TIFF", compression="tiff_lzw")
        with Image.open(file) as written:
            at, length = written.tag_v2[273][0], written.tag_v2[279][0]
        strip = file.getvalue()[at : at + length]
        check_strip(strip, Coding(5, b"", len(row)), 1, 1)
        with pytest.raises(ImageError):
            check_strip(strip, Coding(5, b"", len(row) + 1), 1, 1)


def test_tiles_are_read_and_checked(tmp_path: Path) -> None:
    image = picture(40, 50)
    padded = np.pad(image[:, :, ::-1], ((0, 24), (0, 14), (0, 0)))
    tiles = [padded[y : y + 32, x : x + 32] for y in range(0, 64, 32) for x in range(0, 64, 32)]
    tags = {**page(image, RGB)[0], 322: [32], 323: [32]}
    tags.pop(278)
    (tmp_path / "a.tif").write_bytes(tiff([(tags, [tile.tobytes() for tile in tiles])]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image)
    (tmp_path / "a.tif").write_bytes(tiff([(tags, [tile.tobytes() for tile in tiles[:-1]])]))
    with pytest.raises(ImageError, match=r"a\.tif is damaged \(it holds 3 strips or tiles of 4\); copy it again"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_planes_in_tiles_are_put_together(order: str) -> None:
    image = picture(40, 50)
    padded = np.pad(deep(image)[:, :, ::-1], ((0, 24), (0, 14), (0, 0)))
    tiles = [padded[y : y + 32, x : x + 32, c] for c in range(3) for y in (0, 32) for x in (0, 32)]
    tags = {**page(deep(image), RGB, separate=True)[0], 322: [32], 323: [32]}
    tags.pop(278)
    data = tiff([(tags, [tile.astype(order + "u2").tobytes() for tile in tiles])], order)
    np.testing.assert_array_equal(decode_image(data), image)


def test_what_opencv_cannot_read_is_no_damage_and_leaves_no_word_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """OpenCV 5.0 refuses plain 8-bit tiles unless their bytes are a multiple of 1024."""
    tags = {**page(picture(16, 16), RGB)[0], 322: [16], 323: [16]}
    with pytest.raises(ImageError, match=r"^cannot be decoded; re-save it as PNG or JPEG$"):
        decode_image(tiff([(tags, [picture(16, 16).tobytes()])]))
    assert capfd.readouterr() == ("", "")
