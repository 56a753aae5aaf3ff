"""Transparency, orientation, masks, depth and several pictures, in every format that has them."""

import io
import itertools
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from picture_samples import picture
from PIL import Image
from test_tiff import TURNS, deep

from runtime.errors import ImageError
from runtime.images import decode_image

Picture = NDArray[np.uint8]
SEEDS = range(60)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(samples: NDArray[np.unsignedinteger], colours: int, before: bytes = b"", after: bytes = b"") -> bytes:  # type: ignore[type-arg]
    """`samples`: [H, W, C] as they are stored."""
    bits = samples.dtype.itemsize * 8
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, colours, 0, 0, 0)
    parts = [chunk(b"IHDR", header), before, chunk(b"IDAT", zlib.compress(rows)), after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def saved(image: Picture, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[:, :, ::-1])).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["palette", "grey", "rgb", "16-bit grey", "16-bit rgb"])
def test_transparency_without_alpha_is_refused_where_a_pixel_has_it(kind: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng([1, seed])
        image = picture(int(rng.integers(8, 40)), int(rng.integers(8, 40)), seed)
        y, x = rng.integers(image.shape[0]), rng.integers(image.shape[1])
        samples = image[:, :, ::-1] if kind.endswith("rgb") else image[:, :, :1]
        samples = deep(samples) if kind.startswith("16") else samples
        colour = [int(value) for value in samples[y, x]]
        if kind == "palette":
            alphas = np.full(256, 255, np.uint8)
            alphas[colour[0]] = rng.integers(0, 255)
            plte = chunk(b"PLTE", rng.bytes(768))
            cases = {"has": plte + chunk(b"tRNS", alphas.tobytes()), "has not": plte + chunk(b"tRNS", b"\xff" * 256)}
            colours = 3
        else:
            unused = [(value + 1) % 256 if samples.dtype == np.uint8 else 65535 for value in colour]
            samples = np.where((samples == unused).all(axis=2, keepdims=True), 0, samples).astype(samples.dtype)
            pack = f">{len(colour)}H"
            cases = {
                "has": chunk(b"tRNS", struct.pack(pack, *colour)),
                "has not": chunk(b"tRNS", struct.pack(pack, *unused)),
            }
            colours = 2 if kind.endswith("rgb") else 0
        with pytest.raises(ImageError, match=r"^has transparent pixels; flatten it onto a background first$"):
            decode_image(png(samples, colours, cases["has"]))
        assert decode_image(png(samples, colours, cases["has not"])).shape == image.shape


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("colours", [0, 3])
def test_transparency_is_found_in_pictures_of_few_bits(bits: int, colours: int) -> None:
    samples = np.arange(64, dtype=np.uint8).reshape(8, 8) % (1 << bits)
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    packed = (samples.reshape(8, -1, len(shifts)) << shifts).sum(axis=2).astype(np.uint8)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, bits, colours, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(3 << bits)) if colours == 3 else b""
    rows = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed)))
    for body, found in (
        ((b"\xff\x80", True), (b"\xff\xff", False)) if colours == 3 else ((b"\0\1", True), (b"\0\xff", False))
    ):
        data = b"\x89PNG\r\n\x1a\n" + header + palette + chunk(b"tRNS", body) + rows + chunk(b"IEND", b"")
        if found:
            with pytest.raises(ImageError, match="has transparent pixels"):
                decode_image(data)
        else:
            assert decode_image(data).shape == (8, 8, 3)


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def test_interlaced_pngs_of_any_size_are_read() -> None:
    for height, width in itertools.product(range(1, 11), range(1, 11)):
        image = np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)
        parts = [image[y::dy, x::dx, ::-1] for x, y, dx, dy in PASSES]
        rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
        pixels = chunk(b"IDAT", zlib.compress(rows))
        data = b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
        np.testing.assert_array_equal(decode_image(data), image)


EXIF = {"II": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", "MM": b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"}


def exif(turn: int, order: str, prefix: bool) -> bytes:
    value = struct.pack("<HH" if order == "II" else ">HH", turn, 0)
    return (b"Exif\0\0" if prefix else b"") + EXIF[order] + value + bytes(4)


def with_exif(form: str, image: Picture, block: bytes) -> bytes:
    if form == "PNG":
        return png(np.ascontiguousarray(image[:, :, ::-1]), 2, chunk(b"eXIf", block))
    if form == "JPEG":
        data = saved(image, "JPEG", quality=95)
        block = block if block.startswith(b"Exif") else b"Exif\0\0" + block
        return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block + data[2:]
    plain = saved(image, "WEBP", **({"lossless": True} if form == "WebP lossless" else {"quality": 90}))
    height, width = image.shape[:2]
    extended = b"\x08\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + extended + plain[12:]
    body += b"EXIF" + struct.pack("<I", len(block)) + block + b"\0" * (len(block) & 1)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WebP", "WebP lossless"])
def test_every_orientation_is_turned_upright(form: str) -> None:
    for turn, order, prefix, seed in itertools.product(range(1, 9), ("II", "MM"), (False, True), (0, 1)):
        image = picture(20 + seed, 33, seed)
        upright = decode_image(with_exif(form, image, exif(1, order, prefix)))
        turned = decode_image(with_exif(form, image, exif(turn, order, prefix)))
        np.testing.assert_array_equal(turned, TURNS[turn](upright), f"orientation {turn}, {order}, prefix {prefix}")


@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0", b"II*\0\xff\xff\xff\x7f", exif(9, "II", False), exif(0, "MM", True)]
)
def test_exif_that_says_nothing_leaves_the_picture_as_it_is(block: bytes) -> None:
    np.testing.assert_array_equal(decode_image(with_exif("PNG", picture(), block)), picture())


def bmp(image: Picture, header: int, compression: int, masks: tuple[int, ...], alpha: Picture, flip: bool) -> bytes:
    """32 bits a pixel, its bytes where `masks` say; the masks lie behind a header of 40 bytes, else inside."""
    places = [mask.bit_length() // 8 - 1 for mask in masks]
    pixels = np.zeros((*image.shape[:2], 4), np.uint8)
    for channel, place in zip((image[:, :, 2], image[:, :, 1], image[:, :, 0], alpha), places, strict=False):
        pixels[:, :, place] = channel
    stored = (pixels if flip else pixels[::-1]).tobytes()
    height = -image.shape[0] if flip else image.shape[0]
    fields = struct.pack("<IiiHHIIiiII", header, image.shape[1], height, 1, 32, compression, len(stored), 0, 0, 0, 0)
    packed = struct.pack(f"<{len(masks)}I", *masks) if compression else b""
    fields = fields + packed if header == 40 else (fields + packed).ljust(header, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(fields) + len(stored), 0, 0, 14 + len(fields)) + fields + stored


@pytest.mark.parametrize("header", [40, 52, 56, 108, 124])
def test_a_bmp_of_32_bits_keeps_its_channels_where_its_masks_say(header: int) -> None:
    rng = np.random.default_rng(header)
    for seed in SEEDS:
        image, count = picture(9, 14, seed), 4 if header >= 56 else 3
        opaque = np.full((9, 14), rng.choice([0, 255]), np.uint8)
        masks = tuple(0xFF << 8 * int(place) for place in rng.permutation(4)[:count])
        np.testing.assert_array_equal(decode_image(bmp(image, header, 3, masks, opaque, bool(seed % 2))), image)
        if count == 4:
            opaque[:] = 255
            opaque[rng.integers(9), rng.integers(14)] = rng.integers(0, 255)
            with pytest.raises(ImageError, match="has transparent pixels"):
                decode_image(bmp(image, header, 3, masks, opaque, bool(seed % 2)))


@pytest.mark.parametrize("spare", [0, 255])
def test_the_spare_byte_of_a_plain_bmp_is_alpha_only_where_it_differs(spare: int) -> None:
    fourth = np.full((9, 14), spare, np.uint8)
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    np.testing.assert_array_equal(decode_image(bmp(picture(9, 14), 40, 0, masks, fourth, False)), picture(9, 14))
    fourth[4, 4] = 100
    with pytest.raises(ImageError, match="has transparent pixels"):
        decode_image(bmp(picture(9, 14), 40, 0, masks, fourth, False))


def test_a_bmp_that_opencv_writes_with_alpha_is_refused_where_it_is_transparent() -> None:
    image = np.dstack([picture(), np.full((90, 140), 255, np.uint8)])
    np.testing.assert_array_equal(decode_image(cv2.imencode(".bmp", image)[1].tobytes()), picture())
    image[3, 3, 3] = 254
    with pytest.raises(ImageError, match="has transparent pixels"):
        decode_image(cv2.imencode(".bmp", image)[1].tobytes())


@pytest.mark.parametrize("bits", range(9, 16))
def test_values_of_fewer_than_16_bits_are_refused_unless_the_file_says_that_it_is_dark(bits: int) -> None:
    for seed in range(10):
        raw = deep(picture(12, 16, seed)[:, :, :1]) >> (16 - bits)
        with pytest.raises(
            ImageError, match=rf"keeps {bits}-bit values in 16 bits; scale them to the full 16-bit range"
        ):
            decode_image(png(raw, 0))
        stated = decode_image(png(raw, 0, chunk(b"sBIT", b"\x10")))
        np.testing.assert_array_equal(stated[:, :, :1], (raw / np.float32(257) + 0.5).astype(np.uint8))


@pytest.mark.parametrize("step", [16, 257])
def test_dark_pictures_whose_values_were_scaled_are_read(step: int) -> None:
    dark = (picture(12, 16)[:, :, :1] // 4).astype(np.uint16) * step
    np.testing.assert_array_equal(decode_image(png(dark, 0))[:, :, :1], (dark / np.float32(257) + 0.5).astype(np.uint8))


def several(form: str, count: int, **options: object) -> bytes:
    frames = [Image.fromarray(picture(20, 30, seed)) for seed in range(count)]
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


SEVERAL: dict[str, Callable[[], bytes]] = {
    "animated GIF": lambda: several("GIF", 3),
    "animated WebP": lambda: several("WEBP", 3),
    "animated PNG": lambda: several("PNG", 3),
    "animated PNG beside a still picture": lambda: several("PNG", 3, default_image=True),
    "animated AVIF": lambda: several("AVIF", 3),
    "pages": lambda: several("TIFF", 3),
    "MPO": lambda: several("MPO", 3),
    "JPEGs one after another": lambda: saved(picture(), "JPEG") * 3,
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_pictures_in_one_file_are_refused_with_their_count(kind: str) -> None:
    with pytest.raises(ImageError, match=r"^holds 3 pictures.*; save each as a file of its own$"):
        decode_image(SEVERAL[kind]())


def test_a_preview_behind_a_jpeg_is_no_second_picture() -> None:
    """As phones append the gain map of an HDR photograph."""
    data = saved(picture(), "JPEG")
    np.testing.assert_array_equal(decode_image(data + saved(picture(45, 70), "JPEG")), decode_image(data))


OTHER_FORMATS = {"GIF": {}, "JPEG2000": {"irreversible": False}, "PPM": {}, "QOI": {}, "SGI": {}, "PCX": {}}


@pytest.mark.parametrize("form", OTHER_FORMATS)
def test_other_formats_come_out_as_they_were_written(form: str) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[5:, 10:], image[12:, 3:8] = (10, 200, 90), (250, 3, 40)
    np.testing.assert_array_equal(decode_image(saved(image, form, **OTHER_FORMATS[form])), image)


@pytest.mark.parametrize("form", ["GIF", "JPEG2000", "PPM", "QOI", "AVIF", "SGI"])
def test_half_a_file_of_another_format_is_refused(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = saved(picture(), form)
    with pytest.raises(ImageError):
        decode_image(data[: len(data) // 2])
    assert capfd.readouterr() == ("", "")


def test_a_portable_grey_map_is_scaled_by_what_it_says() -> None:
    raw = (picture(12, 16)[:, :, 0].astype(np.uint16) * 16).astype(">u2")
    read = decode_image(b"P5\n16 12\n4080\n" + raw.tobytes())
    np.testing.assert_array_equal(read[:, :, 0], picture(12, 16)[:, :, 0])


UNREAD = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100),
    "Photoshop": b"8BPS\0\x01" + bytes(100),
}


@pytest.mark.parametrize("kind", UNREAD)
def test_a_picture_of_a_kind_that_is_not_read_is_named_by_it(kind: str) -> None:
    with pytest.raises(ImageError, match=f"^is {kind}, which cannot be read; convert it to PNG or JPEG$"):
        decode_image(UNREAD[kind])


def test_a_side_file_of_macos_is_no_picture_to_save_again() -> None:
    with pytest.raises(ImageError, match=r"^is a side file of macOS, no picture; remove it$"):
        decode_image(b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(80))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF"])
def test_the_limit_on_pixels_is_asked_in_every_format(form: str) -> None:
    data = saved(picture(), form)
    assert decode_image(data, max_pixels=12_600).shape == (90, 140, 3)
    with pytest.raises(
        ImageError, match=r"^has 140×90 pixels, above the limit of 0\.012599 megapixels; make it smaller"
    ):
        decode_image(data, max_pixels=12_599)


def test_a_small_file_of_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"never looked at") + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="has 20000×20000 pixels, above the limit of 100 megapixels"):
        decode_image(data)


def test_the_environment_sets_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCTOR_MAX_MEGAPIXELS", "0.01")
    with pytest.raises(ImageError, match=r"above the limit of 0\.01 megapixels"):
        decode_image(saved(picture(), "PNG"))
    monkeypatch.setenv("PROCTOR_MAX_MEGAPIXELS", "lots")
    with pytest.raises(Exception, match="PROCTOR_MAX_MEGAPIXELS is 'lots'; expected a number of megapixels above 0"):
        decode_image(saved(picture(), "PNG"))


def test_a_colour_profile_that_libpng_dislikes_leaves_no_word_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    data = saved(picture(), "PNG", icc_profile=bytes(400))
    np.testing.assert_array_equal(decode_image(data), picture())
    assert capfd.readouterr() == ("", "")
