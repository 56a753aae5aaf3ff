"""Damaged files: 60 variants a kind, drawn from a seed. Each is refused, or its pixels are those of the sound file, but
for damage that no check can see, of which the share is stated."""

import contextlib
import io
import struct
import zlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_samples import picture
from PIL import Image

from benchmarks.pictures.damage import DAMAGES, FORMATS, share_off
from runtime.errors import DamagedImage, ImageError
from runtime.images import decode_image, read_image

VARIANTS = 60
PILLOWS = ("AVIF", "GIF", "JPEG2000", "PCX", "PPM", "QOI", "SGI")
# The most of the variants that are accepted and have more than 1 % of the pixels off, by format and damage; 0 for the
# rest. JPEG's and lossless WebP's codes fall into step again after a wrong bit, and neither has a checksum.
UNSEEN = {
    ("JPEG", "bit flipped"): 0.35,
    ("JPEG", "block overwritten"): 0.05,
    ("JPEG", "block lost"): 0.05,
    ("JPEG progressive", "bit flipped"): 0.15,
    ("JPEG progressive", "block overwritten"): 0.05,
    ("JPEG progressive", "block lost"): 0.1,
    ("WebP", "bit flipped"): 0.15,
    ("WebP", "block zeroed"): 0.05,
    ("WebP", "block overwritten"): 0.05,
    ("WebP lossless", "bit flipped"): 0.4,
    ("WebP lossless", "block overwritten"): 0.5,
    ("TIFF JPEG", "bit flipped"): 0.25,
    ("TIFF JPEG", "block overwritten"): 0.05,
    ("TIFF", "block zeroed"): 1.0,  # without compression any bytes are pixels
    ("TIFF", "block overwritten"): 1.0,
    ("BMP", "block zeroed"): 1.0,
    ("BMP", "block overwritten"): 1.0,
}


def outcomes(form: str, damage: str) -> Counter[str]:
    """How many variants were refused, came out as the sound picture, nearly so, or otherwise."""
    data = FORMATS[form](picture())
    sound, rng = decode_image(data), np.random.default_rng([11, list(FORMATS).index(form), list(DAMAGES).index(damage)])
    found: Counter[str] = Counter()
    for _ in range(VARIANTS):
        off = share_off(DAMAGES[damage](data, rng), sound)
        found["refused" if off is None else "equal" if off == 0 else "near" if off <= 0.01 else "wrong"] += 1
    return found


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("form", FORMATS)
def test_damage_is_refused_or_does_no_harm(form: str, damage: str, capfd: pytest.CaptureFixture[str]) -> None:
    found = outcomes(form, damage)
    assert found["wrong"] <= UNSEEN.get((form, damage), 0) * VARIANTS, found
    assert capfd.readouterr() == ("", ""), "a decoder's own words"


@pytest.mark.parametrize("form", ["PNG", "TIFF deflate"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checksum_lets_nothing_through(form: str, damage: str) -> None:
    found = outcomes(form, damage)
    assert found["wrong"] == found["near"] == 0, found


@pytest.mark.parametrize("form", ["JPEG", "WebP", "TIFF LZW", "TIFF deflate", "TIFF PackBits", "TIFF JPEG", "PNG"])
def test_a_damaged_file_is_named_with_what_to_do(form: str, tmp_path: Path) -> None:
    data = FORMATS[form](picture())
    path, middle = tmp_path / "part.img", len(data) * 2 // 5
    path.write_bytes(data[:middle] + bytes(400) + data[middle + 400 :])
    with pytest.raises(ImageError, match=r"part\.img is damaged \(.+\); copy it again or remove it"):
        read_image(path)


@pytest.mark.parametrize("quality", [1, 30, 80, 100, 101])
@pytest.mark.parametrize("kind", ["blobs", "noise", "flat", "tiny", "one pixel"])
def test_no_sound_webp_is_taken_for_damaged(quality: int, kind: str) -> None:
    rng = np.random.default_rng(2)
    image = {
        "blobs": picture(200, 300, 4),
        "noise": rng.integers(0, 256, (64, 48, 3), np.uint8),
        "flat": np.full((400, 600, 3), 77, np.uint8),
        "tiny": rng.integers(0, 256, (7, 5, 3), np.uint8),
        "one pixel": np.full((1, 1, 3), 9, np.uint8),
    }[kind]
    data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    assert decode_image(data).shape == image.shape


def test_a_png_with_good_checksums_and_too_few_rows_is_damaged() -> None:
    """As a writer leaves it that was cut off and closed its file."""
    rows = zlib.compress(bytes(31 * 20))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 10, 40, 8, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    with pytest.raises(DamagedImage, match="its compressed pixels are incomplete"):
        decode_image(data)


def test_any_change_to_a_header_ends_in_a_picture_or_in_an_image_error(capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(13)
    for form in (*FORMATS, *PILLOWS):
        data = FORMATS[form](picture(24, 32)) if form in FORMATS else by_pillow(form)
        for variant in range(100):
            broken = bytearray(data)
            if variant % 2:
                for at in rng.integers(0, min(200, len(data)), 2):
                    broken[at] = rng.integers(256)
            else:
                at = int(rng.integers(len(data)))
                broken[at : at + 4] = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"")[variant // 2 % 4]
            with contextlib.suppress(ImageError):
                assert decode_image(bytes(broken)).dtype == np.uint8
    assert capfd.readouterr() == ("", "")


def by_pillow(form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(24, 32)).save(file, form)
    return file.getvalue()
