"""Pixel formats of industrial cameras against plain formulas, to the pixel."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.cameras.genicam.pixel_formats import FORMATS, bits_per_pixel, to_bgr
from runtime.errors import ImageError, SetupError

Array = NDArray[np.int64]
CODES = {form.name: code for code, form in FORMATS.items()}
HEIGHT, WIDTH = 6, 8


def samples(bits: int, count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 1 << bits, count)


def words(values: Array) -> NDArray[np.uint8]:
    return values.astype("<u2").view(np.uint8)


def stream(values: Array, bits: int) -> NDArray[np.uint8]:
    """One long number, the first sample in its lowest bits, as bytes from the lowest."""
    number = sum(int(value) << (bits * place) for place, value in enumerate(values))
    return np.frombuffer(number.to_bytes(-(-len(values) * bits // 8), "little"), np.uint8)


def gigevision(values: Array, bits: int) -> NDArray[np.uint8]:
    """Two samples: the high byte of the one, the low bits of both, the high byte of the other."""
    low = bits - 8
    out = []
    for first, second in zip(values[::2], values[1::2], strict=True):
        mask = (1 << low) - 1
        out += [first >> low, (first & mask) | (second & mask) << 4, second >> low]
    return np.array(out, np.uint8)


def grey(values: Array, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    return np.repeat(values.astype(np.uint8).reshape(height, width, 1), 3, axis=2)


PACKINGS: dict[str, Callable[[Array, int], NDArray[np.uint8]]] = {
    "": lambda values, bits: values.astype(np.uint8) if bits == 8 else words(values),
    "p": stream,
    "Packed": gigevision,
}


@pytest.mark.parametrize(
    "name",
    ["Mono8", "Mono10", "Mono10p", "Mono10Packed", "Mono12", "Mono12p", "Mono12Packed", "Mono14", "Mono14p", "Mono16"],
)
@pytest.mark.parametrize("width", [8, 6])  # rows of whole bytes, and rows that share a byte with the next
def test_grey_is_the_8_highest_bits(name: str, width: int) -> None:
    digits = "".join(letter for letter in name if letter.isdigit())
    bits, packing = int(digits), name.removeprefix(f"Mono{digits}")
    values = samples(bits, HEIGHT * width)
    picture = to_bgr(CODES[name], PACKINGS[packing](values, bits), HEIGHT, width)
    assert np.array_equal(picture, grey(values >> (bits - 8), HEIGHT, width))


def test_padding_after_each_row_is_left_out() -> None:
    values = samples(12, 3 * 5).reshape(3, 5)
    rows = [np.concatenate([stream(row, 12), np.full(3, 255, np.uint8)]) for row in values]
    expected = grey(values.reshape(-1) >> 4, 3, 5)
    assert np.array_equal(to_bgr(CODES["Mono12p"], np.concatenate(rows), 3, 5, row_padding=3), expected)
    assert np.array_equal(to_bgr(CODES["Mono12p"], np.concatenate(rows)[:-3], 3, 5, row_padding=3), expected)


def test_a_value_above_its_bits_stays_white() -> None:
    picture = to_bgr(CODES["Mono10"], words(np.array([0, 1023, 1024, 65535])), 1, 4)
    assert picture[0, :, 0].tolist() == [0, 255, 255, 255]


def bilinear(mosaic: Array, pattern: str) -> Array:
    """Each missing colour the mean of its nearest samples, in whole numbers; the outermost pixels do not count."""
    places = {"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR"}[pattern]
    height, width = mosaic.shape
    out = np.zeros((height, width, 3), np.int64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            for channel, letter in enumerate("BGR"):
                if places[y % 2 * 2 + x % 2] == letter:
                    out[y, x, channel] = mosaic[y, x]
                    continue
                around = [
                    mosaic[y + dy, x + dx]
                    for dy in (-1, 0, 1)
                    for dx in (-1, 0, 1)
                    if places[(y + dy) % 2 * 2 + (x + dx) % 2] == letter
                ]
                out[y, x, channel] = (sum(around) + len(around) // 2) // len(around)
    return out[1:-1, 1:-1]


@pytest.mark.parametrize("pattern", ["RG", "GR", "GB", "BG"])
@pytest.mark.parametrize("ending", ["8", "10", "12", "14", "16", "10p", "12p", "14p", "10Packed", "12Packed"])
def test_colours_of_a_bayer_pattern_are_bilinear_ones_of_the_8_highest_bits(pattern: str, ending: str) -> None:
    bits = int("".join(letter for letter in ending if letter.isdigit()))
    values = samples(bits, HEIGHT * WIDTH)
    picture = to_bgr(
        CODES[f"Bayer{pattern}{ending}"], PACKINGS[ending.removeprefix(str(bits))](values, bits), HEIGHT, WIDTH
    )
    expected = bilinear((values >> (bits - 8)).reshape(HEIGHT, WIDTH), pattern)
    assert np.array_equal(picture[1:-1, 1:-1], expected)


@pytest.mark.parametrize("name", ["RGB8", "BGR8", "RGB10", "BGR10", "RGB12", "BGR14", "RGB16", "RGB10p", "BGR12p"])
def test_colour_samples_of_each_pixel(name: str) -> None:
    digits = "".join(letter for letter in name if letter.isdigit())
    bits = int(digits)
    values = samples(bits, HEIGHT * WIDTH * 3)
    picture = to_bgr(CODES[name], PACKINGS[name[3 + len(digits) :]](values, bits), HEIGHT, WIDTH)
    expected = (values >> (bits - 8)).reshape(HEIGHT, WIDTH, 3)
    assert np.array_equal(picture, expected[:, :, ::-1] if name.startswith("RGB") else expected)


def test_opacity_is_left_out_and_planes_are_joined() -> None:
    values = samples(8, HEIGHT * WIDTH * 4)
    rgba = values.reshape(HEIGHT, WIDTH, 4)
    assert np.array_equal(to_bgr(CODES["RGBa8"], values.astype(np.uint8), HEIGHT, WIDTH), rgba[:, :, 2::-1])
    assert np.array_equal(to_bgr(CODES["BGRa8"], values.astype(np.uint8), HEIGHT, WIDTH), rgba[:, :, :3])
    planes = samples(12, 3 * HEIGHT * WIDTH)
    joined = (planes >> 4).reshape(3, HEIGHT, WIDTH)[::-1].transpose(1, 2, 0)
    assert np.array_equal(to_bgr(CODES["RGB12_Planar"], words(planes), HEIGHT, WIDTH), joined)


def jfif(y: Array, cb: Array, cr: Array) -> list[NDArray[np.float64]]:
    """JFIF 1.02, its four decimals."""
    return [y + 1.772 * (cb - 128), y - 0.34414 * (cb - 128) - 0.71414 * (cr - 128), y + 1.402 * (cr - 128)]


def bt601(y: Array, cb: Array, cr: Array) -> list[NDArray[np.float64]]:
    light = 255 / 219 * (y - 16)
    blue, red = 255 / 224 * (cb - 128), 255 / 224 * (cr - 128)
    return [light + 1.772 * blue, light - 0.344136 * blue - 0.714136 * red, light + 1.402 * red]


def bt709(y: Array, cb: Array, cr: Array) -> list[NDArray[np.float64]]:
    light = 255 / 219 * (y - 16)
    blue, red = 255 / 224 * (cb - 128), 255 / 224 * (cr - 128)
    return [light + 1.8556 * blue, light - 0.187324 * blue - 0.468124 * red, light + 1.5748 * red]


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("YUV422_8", jfif),
        ("YUV422_8_UYVY", jfif),
        ("YUV411_8_UYYVYY", jfif),
        ("YUV8_UYV", jfif),
        ("YCbCr8", jfif),
        ("YCbCr422_8", jfif),
        ("YCbCr601_422_8", bt601),
        ("YCbCr601_422_8_CbYCrY", bt601),
        ("YCbCr709_422_8_CbYCrY", bt709),
        ("YCbCr709_8_CbYCr", bt709),
        ("YCbCr709_411_8_CbYYCrYY", bt709),
    ],
)
def test_luma_and_chroma(name: str, formula: Callable[..., list[NDArray[np.float64]]]) -> None:
    y = samples(8, HEIGHT * WIDTH, 1).reshape(HEIGHT, WIDTH)
    shared = 4 if "411" in name else 2 if "422" in name else 1
    cb, cr = (samples(8, HEIGHT * WIDTH // shared, seed).reshape(HEIGHT, -1) for seed in (2, 3))
    order = {"YUV422_8": "ybyr", "YCbCr8": "ybr"}.get(name)
    if order is None:
        order = {4: "byyryy", 2: "ybyr" if name.endswith("_8") else "byry", 1: "byr"}[shared]
    sent = {"y": [y[:, place::shared] for place in range(shared)], "b": [cb], "r": [cr]}
    data = np.stack([sent[sample].pop(0) for sample in order], axis=-1).astype(np.uint8).reshape(-1)
    exact = np.stack(formula(y, cb.repeat(shared, axis=1), cr.repeat(shared, axis=1)), axis=-1)
    # the printed coefficients are rounded: by half a grey level where a value lies between two
    assert np.abs(to_bgr(CODES[name], data, HEIGHT, WIDTH) - np.clip(exact, 0, 255)).max() <= 0.52


def test_a_format_that_is_not_known_says_what_to_set() -> None:
    with pytest.raises(SetupError, match=r"format that is not known, 0x01010037; set one that is, .*PixelFormat=Mono8"):
        to_bgr(0x01010037, np.zeros(48, np.uint8), HEIGHT, WIDTH)


@pytest.mark.parametrize("code", FORMATS)
def test_a_buffer_that_is_too_short_is_refused(code: int) -> None:
    needed = -(-HEIGHT * WIDTH * bits_per_pixel(code) // 8)
    assert to_bgr(code, np.zeros(needed, np.uint8), HEIGHT, WIDTH).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageError, match=f"{needed - 1:,} bytes arrived of the {needed:,} of 8×6 pixels in"):
        to_bgr(code, np.zeros(needed - 1, np.uint8), HEIGHT, WIDTH)


def test_a_width_that_shares_no_chroma_is_refused() -> None:
    with pytest.raises(ImageError, match="7 pixels wide; this format has a multiple of 2: set Width"):
        to_bgr(CODES["YUV422_8"], np.zeros(200, np.uint8), HEIGHT, 7)


@pytest.mark.parametrize("name", ["Mono8", "BGR8", "RGB8", "BayerRG8"])
def test_a_picture_owns_its_pixels(name: str) -> None:
    data = np.zeros(HEIGHT * WIDTH * 3, np.uint8)
    picture = to_bgr(CODES[name], data, HEIGHT, WIDTH)
    data[:] = 255
    assert picture.max() == 0
    assert picture.flags.c_contiguous


def test_the_codes_are_those_of_harvesters() -> None:
    pfnc = pytest.importorskip("harvesters.util.pfnc", reason="pip install '.[gentl]'")
    younger = {"Mono14p"} | {f"Bayer{pattern}14{p}" for pattern in ("GR", "RG", "GB", "BG") for p in ("", "p")}
    assert {name: pfnc.dict_by_names[name] for name in CODES if name not in younger} == {
        name: code for name, code in CODES.items() if name not in younger
    }


def test_opencv_means_the_same_by_its_names_of_patterns() -> None:
    red = np.zeros((6, 6), np.uint8)
    red[::2, ::2] = 200  # the first sample of RGGB
    assert cv2.cvtColor(red, cv2.COLOR_BayerRGGB2BGR)[2:4, 2:4].reshape(-1, 3).max(axis=0).tolist() == [0, 0, 200]
