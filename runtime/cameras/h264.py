"""The numbers that H.264 gives its pictures: a missing one tells of a picture that never came.

Sections are those of ITU-T H.264. A decoder conceals what is missing by the picture before, and goes on.
"""

from dataclasses import dataclass

from runtime.cameras.nal import Bits

SLICE, IDR_SLICE, SPS, PPS = 1, 5, 7, 8
SLICE_HEADER_BYTES = 64  # more than the elements up to `frame_num` ever take
_HIGH_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}


@dataclass(frozen=True)
class _Sequence:
    """What of a sequence parameter set a slice header needs (7.3.2.1.1)."""

    frame_num_bits: int
    gaps_allowed: bool
    separate_planes: bool
    frames_only: bool


@dataclass(frozen=True)
class Slice:
    """What a slice's header says of its picture."""

    key: bool  # nothing after it refers to a picture before
    reference: bool
    frame_num: int
    field: int | None  # 0 top, 1 bottom


class FrameNumbers:
    """Follows `frame_num` through a stream. After `missing`, the next picture is expected to follow the one given."""

    def __init__(self) -> None:
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of: dict[int, int] = {}  # by picture parameter set
        self._reference: Slice | None = None  # the last reference picture; None: not known
        self._sequence: _Sequence | None = None

    def learn(self, unit: bytes) -> None:
        """Take in a parameter set; other units are ignored, and so is one that makes no sense."""
        try:
            if unit and unit[0] & 31 == SPS:
                number, sequence = _read_sequence(Bits(unit[1:]))
                self._sequences[number] = sequence
            elif unit and unit[0] & 31 == PPS:
                bits = Bits(unit[1:])
                number = bits.ue()
                self._sequence_of[number] = bits.ue()
        except IndexError:
            return

    def slice(self, unit: bytes) -> Slice | None:
        """The header of a slice, or None when it makes no sense or its parameter sets are not known."""
        try:
            bits = Bits(unit[1:SLICE_HEADER_BYTES])
            bits.ue()  # first_mb_in_slice
            bits.ue()  # slice_type
            sequence = self._sequence = self._sequences[self._sequence_of[bits.ue()]]
            if sequence.separate_planes:
                bits.u(2)
            number, field = bits.u(sequence.frame_num_bits), None
            if not sequence.frames_only and bits.u(1):
                field = bits.u(1)
        except (IndexError, KeyError):
            return None
        return Slice(unit[0] & 31 == IDR_SLICE, unit[0] & 0x60 != 0, number, field)

    def missing(self, picture: Slice) -> int:
        """How many reference pictures are missing between the last and this one (7.4.3); it then is the last."""
        before, sequence = self._reference, self._sequence
        if picture.reference:
            self._reference = picture
        if before is None or sequence is None or picture.key or sequence.gaps_allowed:
            return 0
        if picture.frame_num == before.frame_num and _are_a_pair(before, picture):
            return 0
        rounds = 1 << sequence.frame_num_bits
        missing = (picture.frame_num - before.frame_num - 1) % rounds
        if missing and not picture.reference:  # the missing ones are counted once
            self._reference = Slice(False, True, (picture.frame_num - 1) % rounds, None)
        return missing

    @property
    def follows_key(self) -> bool:
        """Whether the last reference picture was a key picture."""
        return self._reference is not None and self._reference.key

    @property
    def most(self) -> int:
        """The number of missing reference pictures that looks like none."""
        return 1 << self._sequence.frame_num_bits if self._sequence else 1 << 16


def _are_a_pair(first: Slice, second: Slice) -> bool:
    """Whether two pictures may be the fields of one frame."""
    return first.field is not None and second.field is not None and first.field != second.field


def _read_sequence(bits: Bits) -> tuple[int, _Sequence]:
    """Its number and itself (7.3.2.1.1)."""
    profile = bits.u(8)
    bits.u(16)  # constraints and level
    number, separate_planes = bits.ue(), False
    if profile in _HIGH_PROFILES:
        chroma_format = bits.ue()
        separate_planes = chroma_format == 3 and bits.u(1) == 1
        bits.ue(), bits.ue(), bits.u(1)  # bit depths, transform bypass
        if bits.u(1):
            _skip_scaling_lists(bits, 12 if chroma_format == 3 else 8)
    frame_num_bits = bits.ue() + 4
    _skip_order_count(bits)
    bits.ue()  # max_num_ref_frames
    gaps_allowed = bits.u(1) == 1
    bits.ue(), bits.ue()  # width and height in macroblocks
    return number, _Sequence(frame_num_bits, gaps_allowed, separate_planes, bits.u(1) == 1)


def _skip_scaling_lists(bits: Bits, count: int) -> None:
    """7.3.2.1.1.1."""
    for index in range(count):
        last, following = 8, 8
        for _ in range((16 if index < 6 else 64) if bits.u(1) else 0):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


def _skip_order_count(bits: Bits) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.u(1), bits.se(), bits.se()
        for _ in range(bits.ue()):
            bits.se()
