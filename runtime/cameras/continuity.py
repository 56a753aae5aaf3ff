"""What the packets of a video say themselves: which are key frames, which are damaged, and where some are missing.

A picture of a predictively coded video is right if its packet is, and all back to the last key frame. Decoders put up
with less: they show the picture before, and go on.
"""

from dataclasses import dataclass
from typing import Protocol

import av

from runtime.cameras import nal
from runtime.cameras.ffmpeg import VideoPacket
from runtime.cameras.h264 import IDR_SLICE, SLICE, FrameNumbers, Slice

# ITU-T H.265, table 7-1: BLA, IDR and CRA are keys; RASL pictures follow a CRA and refer to what is before it
HEVC_SLICES, HEVC_KEYS, HEVC_LEADING = range(32), range(16, 22), (8, 9)
REGULAR = 3  # equal intervals in a row from which a time stamp that leaves one out tells of a loss
HIDING = {"vp8", "vp9", "av1", "libdav1d"}  # have packets that are never shown
MOST_MISSING = 0.1  # of the packets of a video of constant rate; where more are, its rate is variable
MOST_COUNTED = 8  # pictures that one gap of the time stamps stands for; a longer one may be a pause


@dataclass(frozen=True)
class Facts:
    """What is known of a packet before it is decoded."""

    key: bool  # what follows it, in order of time too, refers to nothing before it
    shows: bool  # the decoder must make a picture of it
    missing: int = 0  # pictures that came neither before nor with it
    breaks: bool = False  # and pictures that refer to them are wrong
    damage: str | None = None
    leads: bool = False  # it may refer to what came before the last key frame


class Order(Protocol):
    """Examines the packets of a stream in turn."""

    def facts(self, data: bytes, packet: VideoPacket) -> Facts:
        """What packet, which holds `data`, says of itself."""


def order_of(stream: av.VideoStream, timed: bool) -> Order:
    """For the codec of a stream. `timed`: its time stamps stand in for the counters that a codec lacks."""
    context = stream.codec_context
    clock = Cadence(stream) if timed else None
    if context.codec.name == "h264":
        return H264Order(context.extradata or b"", clock)
    if context.codec.name == "hevc":
        return HevcOrder(context.extradata or b"", clock)
    return FlaggedOrder(context.codec.name not in HIDING, clock)


class Cadence:
    """Time stamps that come in equal steps: a step that is left out is a packet that never came.

    Where steps are unequal, as in files of variable rate, nothing can be known and nothing is said.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        """Where the container states one rate throughout, the step is known at once."""
        unit = stream.time_base or 0
        self._average = 1 / float(stream.average_rate * unit) if stream.average_rate and unit else 0.0
        stated = round(1 / float(stream.base_rate * unit)) if stream.base_rate and unit else 0
        # with B-frames the first ones may be unequal: FFmpeg derives their order of decoding
        known = self._is_average(stated) and not stream.codec_context.has_b_frames
        self._packets, self._gaps = 0, 0
        self._last: int | None = None
        self._step, self._regular = (stated, REGULAR) if known else (0, 0)

    def missing(self, packet: VideoPacket) -> int:
        """How many packets are missing before this one, as far as the time stamps tell."""
        stamp = packet.pts if packet.dts is None else packet.dts
        last, self._last = self._last, stamp
        if stamp is None or last is None:
            return 0
        step = stamp - last
        self._packets += 1
        if abs(step - self._step) <= max(1, self._step // 10):
            self._regular += 1
            return 0
        steps = round(step / self._step) if self._step > 0 else 0
        if self._regular >= REGULAR and steps >= 2 and abs(step - steps * self._step) <= max(2, self._step // 5):
            self._gaps += 1
            few = self._gaps <= 2 + self._packets * MOST_MISSING and self._is_average(self._step)
            return steps - 1 if few else 0
        self._step, self._regular = step, 0
        return 0

    def _is_average(self, step: int) -> bool:
        """Whether few steps are left out: a video of variable rate may count in equal ones, too."""
        return self._average > 0 and abs(step / self._average - 1) <= MOST_MISSING


class H264Order:
    """By `frame_num`, which every picture carries. Exact, but for pictures to which none refers: time stamps alone tell
    of these, and their loss harms no other."""

    def __init__(self, extradata: bytes, clock: Cadence | None) -> None:
        self._length_bytes = nal.length_size(extradata, hevc=False)
        self._numbers, self._clock = FrameNumbers(), clock
        for unit in nal.parameter_sets(extradata, hevc=False):
            self._numbers.learn(unit)

    def facts(self, data: bytes, packet: VideoPacket) -> Facts:
        """See `Order.facts`."""
        damage = "its end is missing" if nal.is_cut(data, self._length_bytes) else None
        picture: Slice | None = None
        slices = 0
        for unit in nal.units(data, self._length_bytes):
            if unit and unit[0] & 31 in (SLICE, IDR_SLICE):
                picture = picture or self._numbers.slice(unit)
                slices += 1
                damage = damage or ("bytes in it were lost or changed" if nal.is_damaged(unit) else None)
            else:
                self._numbers.learn(unit)
        return self._judged(picture, slices, damage, packet)

    def _judged(self, picture: Slice | None, slices: int, damage: str | None, packet: VideoPacket) -> Facts:
        by_time = self._clock.missing(packet) if self._clock else 0
        if picture is None:
            damage = damage or ("its header makes no sense" if slices else None)
            return Facts(False, slices > 0, damage=damage)
        after_key = self._numbers.follows_key
        by_number = self._numbers.missing(picture)
        # a key picture that is missing right after another leaves no gap in the numbers, and neither does a full round
        breaks = by_number > 0 or by_time >= self._numbers.most - 1 or (by_time > 0 and after_key)
        missing = max(_counted(by_number), by_time if by_time <= MOST_COUNTED else 0)
        return Facts(picture.key, picture.field is None, missing, breaks, damage)


class HevcOrder:
    """Key frames by the kinds of their units. That a picture is missing to which others refer, FFmpeg tells itself."""

    def __init__(self, extradata: bytes, clock: Cadence | None) -> None:
        self._length_bytes, self._clock = nal.length_size(extradata, hevc=True), clock

    def facts(self, data: bytes, packet: VideoPacket) -> Facts:
        """See `Order.facts`."""
        units = [unit for unit in nal.units(data, self._length_bytes) if unit and _hevc_kind(unit) in HEVC_SLICES]
        key = bool(units) and all(_hevc_kind(unit) in HEVC_KEYS for unit in units)
        leads = any(_hevc_kind(unit) in HEVC_LEADING for unit in units)
        damage = "its end is missing" if nal.is_cut(data, self._length_bytes) else None
        if damage is None and any(nal.is_damaged(unit) for unit in units):
            damage = "bytes in it were lost or changed"
        by_time = self._clock.missing(packet) if self._clock else 0
        return Facts(key, bool(units), by_time if by_time <= MOST_COUNTED else 0, False, damage, leads)


class FlaggedOrder:
    """By the container's flags and time stamps, where the codec numbers nothing: MPEG-4, VP8, VP9, AV1 and others."""

    def __init__(self, shows: bool, clock: Cadence | None) -> None:
        self._shows, self._clock = shows, clock

    def facts(self, data: bytes, packet: VideoPacket) -> Facts:
        """See `Order.facts`."""
        by_time = self._clock.missing(packet) if self._clock else 0
        return Facts(packet.is_keyframe, self._shows, _counted(by_time), by_time > 0)


def _hevc_kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _counted(missing: int) -> int:
    return missing if missing <= MOST_COUNTED else 1
