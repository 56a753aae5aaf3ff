"""Which files of a folder are pictures, and what is said of the rest."""

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_samples import picture

from runtime.cameras import open_source
from runtime.cameras.folder import FolderSource
from runtime.errors import ImageError, InputError
from runtime.images import list_images, read_image

PNG, JPEG = (cv2.imencode(suffix, picture())[1].tobytes() for suffix in (".png", ".jpg"))
GIF = cv2.imencode(".gif", picture())[1].tobytes()


def filled(folder: Path, **contents: bytes) -> Path:
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def names(folder: Path) -> list[str]:
    return [path.name for path in list_images(folder)]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "proctor.images"]


def test_content_or_ending_makes_a_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(
        tmp_path,
        a__jfif=JPEG,
        b__jpe=JPEG,
        c=PNG,
        d__dat=PNG,
        e__gif=GIF,
        f__PGM=b"P5\n1 1\n255\nx",
        g__heic=b"",
        h__png=b"",
    )
    assert names(tmp_path) == ["a.jfif", "b.jpe", "c", "d.dat", "e.gif", "f.PGM", "g.heic", "h.png"]
    assert not said(caplog)
    for name in ("a.jfif", "b.jpe", "c", "d.dat", "e.gif", "f.PGM"):
        assert read_image(tmp_path / name).ndim == 3


def test_a_picture_that_cannot_be_read_is_listed_and_refused_by_its_name(tmp_path: Path) -> None:
    filled(tmp_path, a__heic=b"\0\0\0\x18ftypheic", b__png=b"text", c=b"8BPS")
    with open_source(str(tmp_path)) as source:
        problems = [frame.problem for frame in iter(source.read, None)]
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in problems] == [
        "a.heic is HEIC, which cannot be read; convert it to PNG or JPEG",
        "b.png is not an image that can be decoded; re-save it as PNG or JPEG",
        "c is Photoshop, which cannot be read; convert it to PNG or JPEG",
    ]


def test_what_is_no_picture_is_named_and_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(tmp_path, a__png=PNG, notes__txt=b"BM is how this text begins", part__mp4=b"\0\0\0\x20ftypisom" + bytes(40))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(tmp_path)  # the path of a socket may have 107 bytes
        listening.bind("talk")
        os.chdir(here)
    assert names(tmp_path) == names(tmp_path) == ["a.png"]
    assert said(caplog) == [
        f"{tmp_path}: left out 5 files that are no pictures "
        "(gone.jpg: a link to nothing, notes.txt, part.mp4, pipe.png: a pipe, talk: a socket)"
    ]


def test_hidden_files_and_side_files_of_macos_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    side_file = b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(80)
    filled(tmp_path, a__png=PNG, **{".DS_Store": b"x", "Thumbs.db": b"x"})
    (tmp_path / "._a.png").write_bytes(side_file)
    assert names(tmp_path) == ["a.png"]
    assert said(caplog) == [f"{tmp_path}: left out 3 hidden files"]
    with pytest.raises(ImageError, match=r"\._a\.png is a side file of macOS, no picture; remove it"):
        read_image(tmp_path / "._a.png")


def test_a_name_cannot_forge_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(tmp_path, a__png=PNG)
    (tmp_path / "x\nOK \x1b[2J").write_text("hello")
    list_images(tmp_path)
    assert said(caplog) == [f"{tmp_path}: left out 1 file that is no picture (x\\nOK \\x1b[2J)"]


def test_many_are_counted_and_five_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(tmp_path, a__png=PNG, **{f"n{index}__txt": b"hello" for index in range(9)})
    list_images(tmp_path)
    assert (
        "left out 9 files that are no pictures (n0.txt, n1.txt, n2.txt, n3.txt, n4.txt and 4 more)" in said(caplog)[0]
    )


def test_a_folder_of_other_files_alone_holds_no_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        list_images(filled(tmp_path, notes__txt=b"hello"))


@pytest.mark.parametrize("name", ["x.jfif", "x.jpe", "x", "x.gif"])
def test_one_picture_file_is_a_picture_and_no_video(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(GIF if name.endswith("gif") else JPEG)
    with open_source(str(tmp_path / name)) as source:
        assert isinstance(source, FolderSource)
        frame = source.read()
        assert frame is not None
        assert frame.image is not None and frame.image.shape == (90, 140, 3)  # noqa: PT018
        assert source.read() is None


def test_jpegs_one_after_another_are_a_video_by_their_ending(tmp_path: Path) -> None:
    (tmp_path / "x.mjpg").write_bytes(JPEG * 3)
    with open_source(str(tmp_path / "x.mjpg")) as source:
        assert not isinstance(source, FolderSource)


def test_the_limit_on_pixels_makes_a_problem_of_a_picture(tmp_path: Path) -> None:
    with open_source(str(filled(tmp_path, a__png=PNG)), max_pixels=10_000) as source:
        frame = source.read()
    assert frame is not None
    assert "a.png has 140×90 pixels, above the limit of 0.01 megapixels" in str(frame.problem)


def test_the_stream_takes_the_limit_as_an_option(tmp_path: Path, environment: dict[str, str]) -> None:
    detector = Path(__file__).parents[3] / "runtime/data/demo.onnx"
    copy = tmp_path / "detector.onnx"
    copy.write_bytes(detector.read_bytes())
    folder = tmp_path / "parts"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((256, 256, 3), np.uint8))
    command = [sys.executable, "-m", "runtime.stream", "--camera", str(folder), "--detector", str(copy), "--json"]
    done = subprocess.run(
        [*command, "--max-megapixels", "0.05"], capture_output=True, text=True, env=environment, timeout=120
    )
    verdict = json.loads(done.stdout)
    assert verdict["decision"] == "NO_DECISION"
    assert "a.png has 256×256 pixels, above the limit of 0.05 megapixels" in verdict["reason"]
    wrong = subprocess.run(
        [*command, "--max-megapixels", "0"], capture_output=True, text=True, env=environment, timeout=120
    )
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "--max-megapixels is '0'; expected a number of megapixels above 0, such as 100" in wrong.stderr


def test_no_word_of_a_decoder_lands_between_the_verdicts(tmp_path: Path, environment: dict[str, str]) -> None:
    """In a process of its own: what a C library prints goes past Python."""
    from benchmarks.pictures.damage import FORMATS

    for index, (form, encode) in enumerate(FORMATS.items()):
        data = encode(picture())
        middle = len(data) * 2 // 5
        (tmp_path / f"{index:02}-{form}").write_bytes(data[:middle] + bytes(300) + data[middle + 300 :])
    code = (
        "import sys; from pathlib import Path; from runtime.images import *\n"
        "for path in list_images(Path(sys.argv[1])):\n"
        "    try: read_image(path)\n"
        "    except Exception as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("is damaged (") == len(FORMATS) - 2  # of plain TIFF and BMP nobody can tell


def test_a_folder_that_may_not_be_listed_and_files_that_may_not_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    filled(tmp_path, a__png=PNG, b=PNG)
    (tmp_path / "b").chmod(0)
    assert names(tmp_path) == ["a.png"]
    assert "(b: may not be read)" in said(caplog)[0]


def test_the_logger_has_no_handler_of_its_own() -> None:
    assert not logging.getLogger("proctor.images").handlers
