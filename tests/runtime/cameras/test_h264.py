"""The numbers of H.264's pictures, read from real streams."""

from pathlib import Path

import av
import pytest
from video_samples import write_numbered

from runtime.cameras import nal
from runtime.cameras.h264 import IDR_SLICE, SLICE, FrameNumbers

STREAMS = {
    "plain": {"bf": "0"},
    "reordered": {"bf": "3", "x264-params": "b-pyramid=normal"},
    "interlaced": {"bf": "2", "flags": "+ildct+ilme", "x264-params": "tff=1"},
    "slices": {"bf": "0", "x264-params": "slices=4"},
    "matrices": {"bf": "1", "x264-params": "cqm=jvt"},
    "4:4:4": {"bf": "0", "profile": "high444"},
}


def packets(path: Path) -> tuple[bytes, list[bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.extradata or b"", [
            bytes(packet) for packet in container.demux(stream) if packet.size
        ]


def missing(extradata: bytes, data: list[bytes]) -> list[int]:
    """How many pictures are missing before each packet."""
    numbers, length_bytes, found = FrameNumbers(), nal.length_size(extradata, hevc=False), []
    for unit in nal.parameter_sets(extradata, hevc=False):
        numbers.learn(unit)
    for packet in data:
        picture = None
        for unit in nal.units(packet, length_bytes):
            numbers.learn(unit)
            if picture is None and unit[0] & 31 in (SLICE, IDR_SLICE):
                picture = numbers.slice(unit)
        assert picture is not None
        found.append(numbers.missing(picture))
    return found


@pytest.mark.parametrize("ending", ["mp4", "ts", "h264"])
@pytest.mark.parametrize("name", STREAMS)
def test_nothing_is_missing_from_a_whole_stream_and_each_reference_picture_is_missed(
    tmp_path: Path, name: str, ending: str
) -> None:
    path = tmp_path / f"line.{ending}"
    write_numbered(path, count=40, options=STREAMS[name], key_every=20)
    extradata, data = packets(path)
    assert missing(extradata, data) == [0] * 40
    headers = [header_of(packet, nal.length_size(extradata, hevc=False)) for packet in data]
    for at in (at for at in range(22, 38) if headers[at] & 31 == SLICE):
        matters = headers[at] & 0x60 != 0 and headers[at + 1] & 31 == SLICE  # nothing after a key picture refers to it
        assert sum(missing(extradata, data[:at] + data[at + 1 :])) == matters, f"packet {at}"


def header_of(packet: bytes, length_bytes: int) -> int:
    """The first byte of a packet's first slice: its kind, and whether others refer to it."""
    return next(unit[0] for unit in nal.units(packet, length_bytes) if unit[0] & 31 in (SLICE, IDR_SLICE))


def test_parameter_sets_that_make_no_sense_are_ignored() -> None:
    numbers = FrameNumbers()
    for unit in (b"", b"\x67", b"\x67\x64\x00", b"\x68\xff", bytes(40)):
        numbers.learn(unit)
        assert numbers.slice(b"\x65" + unit) is None


def test_a_run_of_zeros_within_a_unit_is_damage_and_prevention_bytes_are_not() -> None:
    assert nal.is_damaged(b"\x41\x9a" + bytes(3) + b"\x80")
    assert nal.is_damaged(b"\x41\x00\x00\x03\x77")
    assert not nal.is_damaged(b"\x41\x00\x00\x03\x01\x00\x00\x03\x00\x00\x03")
