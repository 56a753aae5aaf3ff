"""Names from outside in what a stream shows and writes."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from runtime_samples import fake_detector, grey_frame

from runtime.overlay import draw_overlay
from runtime.printable import file_stem, printable
from runtime.sinks.lines import headline
from runtime.sinks.overlays import OverlayFolder, overlay_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("part 17.png", "part 17.png"),
        ("Prüfling №7 – 部品\u3000左.png", "Prüfling №7 – 部品\u3000左.png"),
        ("a\nOK frame 8", "a\\nOK frame 8"),
        ("a\r\x1b[31mb\x07\x00", "a\\r\\x1b[31mb\\x07\\x00"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u2028b\u2029c\u0085d", "a\\u2028b\\u2029c\\x85d"),
        ("gnp\u202e.exe\u2066\u200f", "gnp\\u202e.exe\\u2066\\u200f"),
        ("a\udcff", "a\\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("C:\\new", "C:\\new"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_no_character_breaks_a_line_or_steers_a_terminal() -> None:
    everything = "".join(map(chr, (*range(0x3000), *range(0xD800, 0x10000), *range(0xE0000, 0xE0200))))
    shown = printable(everything)
    assert len(shown.splitlines()) == 1
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", shown)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "000012-OK.jpg"),
        ({"name": "part 17.png"}, "000012-OK-part_17.jpg"),
        ({"part_id": "SN-0815"}, "000012-OK-SN-0815.jpg"),
        ({"part_id": "SN-0815", "name": "a.png"}, "000012-OK-SN-0815.jpg"),
        ({"part_id": "../../etc/passwd"}, "000012-OK-.._.._etc_passwd.jpg"),
        ({"name": "a\n\x1b[31m\u202e.png"}, "000012-OK-a___31m_.jpg"),
        ({"part_id": "部品17"}, "000012-OK-部品17.jpg"),
        ({"part_id": "a\udcffb:c*?"}, "000012-OK-a_b_c__.jpg"),
    ],
)
def test_an_overlay_is_called_by_its_part(fields: dict[str, str], name: str) -> None:
    frame = replace(grey_frame(12), **fields)  # type: ignore[arg-type]
    with fake_detector() as detector:
        assert overlay_name(frame, detector.inspect(frame)) == name


@pytest.mark.parametrize("part", ["x" * 5000, "部" * 5000, "." * 5000])
def test_a_long_name_is_cut_to_what_a_file_system_takes(part: str, tmp_path: Path) -> None:
    frame = grey_frame(12, part_id=part)
    with fake_detector() as detector:
        OverlayFolder(tmp_path).write(frame, detector.inspect(frame))
    (written,) = tmp_path.iterdir()
    assert len(written.name.encode()) < 160
    assert len(file_stem(part)) >= 40


def test_a_headline_and_an_overlay_show_a_name_as_what_it_is() -> None:
    frame, plain = (grey_frame(3, spot=255, name=name) for name in ("a\nb.png", "a\\nb.png"))
    with fake_detector() as detector:
        verdict = detector.inspect(frame)
        assert headline(verdict).startswith("NG          frame 3 (a\\nb.png): score 0.992 above 0.500; 1 region")
        assert np.array_equal(draw_overlay(frame, verdict), draw_overlay(plain, verdict))
