"""Packets become pictures, each right or marked: what a decoder conceals, guesses or completes is never handed out."""

import math
from dataclasses import dataclass

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.cameras.capture import Damaged, Picture, as_picture
from runtime.cameras.continuity import order_of
from runtime.cameras.ffmpeg import VideoPacket
from runtime.cameras.multipart import END, JpegParts

LONGEST_DELAY = 17  # packets after which a picture will not come any more: H.264 and HEVC reorder 16
KEEP_PARAMETERS = {"h264", "hevc"}  # from one key frame to the next, and damage may change them
BEGUN_MIDWAY = "the stream began between two of them"
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


@dataclass(eq=False)
class Decoded:
    """One picture, in the order of time; turned into pixels when asked."""

    number: float  # of its packet
    pts: int | None
    key: bool
    shows: bool
    cause: str | None = None  # why it is not to be trusted
    frame: av.VideoFrame | None = None
    rotation: int = 0  # degrees counterclockwise that turn it upright
    jpeg: bytes | None = None
    done: bool = False

    def picture(self) -> Picture:
        """Its pixels, or why there are none."""
        if self.cause is not None:
            return Damaged(self.cause)
        if self.jpeg is not None:
            return as_picture(self.jpeg)
        assert self.frame is not None
        return _upright(np.asarray(self.frame.to_ndarray(format="bgr24"), np.uint8), self.rotation)


class PictureDecoder:
    """Decodes the packets of one stream in the caller's thread, so that a failure belongs to the packet just given.

    From a packet that is damaged or missing, every picture up to the next key frame is marked. A picture is handed out
    once all packets before its own have come out or failed; with B-frames that is as late as their order demands.
    """

    def __init__(self, stream: av.VideoStream, timed: bool) -> None:
        """`timed`: a gap in the time stamps tells of a loss (files; networks number their packets)."""
        context = self._made_for = stream.codec_context
        self._context, self._order = _strict(context), order_of(stream, timed)
        self._is_jpeg, self._intra_only = context.codec.name == "mjpeg", context.codec.intra_only
        self._rotation: int | None = None  # as the first frame tells: a renewed decoder does not know it
        self._numbers = 0
        self._packets: list[Decoded] = []  # in the order of decoding, as long as they are not handed out
        self._out: list[Decoded] = []  # in the order of time
        self._broken: str | None = None if self._intra_only else BEGUN_MIDWAY
        # a key frame after what is broken, until it is shown: pictures that follow it and come out before it are broken
        self._mending: tuple[Decoded, str] | None = None

    def decode(self, packet: VideoPacket, suspicion: str | None = None) -> list[Decoded]:
        """The pictures that this packet completes, in the order of time; of an empty one, none.

        `suspicion` is why the packet may not be whole, from whoever received it.
        """
        if packet.size == 0:
            return []
        data = bytes(packet)
        entry, damage = self._entered(packet, data, suspicion)
        if damage:  # the decoder may take it for new parameters, and never recover
            self._lose(entry, damage)
        elif self._is_jpeg:
            self._take_jpeg(entry, data)
        else:
            self._decode(packet, entry)
        return self._released()

    def _decode(self, packet: VideoPacket, entry: Decoded) -> None:
        mends = self._mending and self._mending[0] is entry and self._rotation is not None
        if mends and self._context.codec.name in KEEP_PARAMETERS:
            self._drain()
            self._context = _strict(_renewed(self._made_for))
        packet.opaque = int(entry.number)
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError as error:
            self._lose(entry, f"the decoder refuses it: {error.strerror}")
            return
        for frame in frames:
            self._take(frame)

    def _entered(self, packet: VideoPacket, data: bytes, suspicion: str | None) -> tuple[Decoded, str | None]:
        """A packet's entry, marked by all that is known before it is decoded; and what is wrong with itself."""
        facts = self._order.facts(data, packet)
        if facts.missing:
            self._enter_missing(facts.missing, packet.pts)
        if facts.breaks and not self._intra_only:
            self._broken = self._broken or f"{max(1, facts.missing)} before it did not arrive"
        shows = facts.shows and not packet.is_discard
        entry = Decoded(self._numbers, packet.pts, facts.key or self._intra_only, shows)
        self._numbers += 1
        self._packets.append(entry)
        self._mark(entry, facts.leads)
        return entry, suspicion or ("its container marks it as damaged" if packet.is_corrupt else None) or facts.damage

    def _mark(self, entry: Decoded, leads: bool) -> None:
        if entry.key:
            self._mending = (entry, self._broken) if self._broken else None
            self._broken = None
        elif self._broken:
            entry.cause = _until_key(self._broken)
        elif self._mending and leads:
            entry.cause = _until_key(self._mending[1])

    def _enter_missing(self, count: int, pts: int | None) -> None:
        for index in range(count):
            number = self._numbers - 1 + (index + 1) / (count + 1)
            lost = Decoded(number, pts, False, True, "it did not arrive", done=True)
            self._packets.append(lost)
            self._place(lost)

    def _break(self, entry: Decoded, damage: str) -> None:
        """Mark a picture and those up to the next key frame."""
        if entry.cause is not None:  # and so are they
            return
        entry.cause = damage
        if self._intra_only:
            return
        for later in self._packets[self._packets.index(entry) + 1 :]:
            if later.key:
                return
            later.cause = later.cause or _until_key(damage)
        self._broken = self._broken or damage

    def _lose(self, entry: Decoded, damage: str) -> None:
        self._break(entry, damage)
        entry.done = True
        self._place(entry)

    def _take(self, frame: av.VideoFrame) -> None:
        """Match a frame with its packet."""
        entry = next((one for one in self._packets if one.number == frame.opaque and not one.done), None)
        if entry is None:  # of a packet that failed
            return
        if self._rotation is None:
            self._rotation = frame.rotation
        entry.frame, entry.rotation, entry.done = frame, self._rotation, True
        if self._mending and entry.number > self._mending[0].number and not self._mending[0].done:
            entry.cause = entry.cause or _until_key(self._mending[1])
        if frame.is_corrupt:
            self._break(entry, "the decoder concealed a part of it")
        self._place(entry)

    def _take_jpeg(self, entry: Decoded, data: bytes) -> None:
        """Where only its end parts a picture from the next, one that lost its end brings the next along."""
        first, *more = JpegParts("").feed(data) or [data]
        if more and first.endswith(END):
            self._lose(entry, "it holds two pictures, as interlaced video does; record it without")
            return
        entry.jpeg, entry.done = first, True
        self._place(entry)
        for jpeg in more:
            another = Decoded(self._numbers, entry.pts, True, True, jpeg=jpeg, done=True)
            self._numbers += 1
            self._packets.append(another)
            self._place(another)

    def _give_up(self, before: float) -> None:
        """Await no picture any more of the packets before that number."""
        for entry in [one for one in self._packets if not one.done and one.number < before]:
            if entry.shows:
                if self._mending and _is_earlier(entry, self._mending[0]):
                    entry.cause = entry.cause or _until_key(self._mending[1])
                self._lose(entry, "the decoder made no picture of it")
            else:
                self._packets.remove(entry)

    def _place(self, entry: Decoded) -> None:
        """Sound frames come in the order of time already; among them what is lost is sorted in."""
        at = len(self._out)
        while at and (entry.cause or self._out[at - 1].cause) and _is_earlier(entry, self._out[at - 1]):
            at -= 1
        self._out.insert(at, entry)

    def _released(self) -> list[Decoded]:
        self._give_up(self._numbers - LONGEST_DELAY)
        waiting = next((one.number for one in self._packets if one.shows and not one.done), self._numbers)
        count = next((at for at, entry in enumerate(self._out) if entry.number >= waiting), len(self._out))
        released, self._out = self._out[:count], self._out[count:]
        for entry in released:
            self._packets.remove(entry)
        return released

    def end(self) -> list[Decoded]:
        """The pictures that were still to come when the stream ended."""
        self._drain()
        self._give_up(math.inf)
        return self._released()

    def _drain(self) -> None:
        try:
            frames = self._context.decode(None)
        except av.FFmpegError:
            frames = []
        for frame in frames:
            self._take(frame)


def _strict(context: av.VideoCodecContext) -> av.VideoCodecContext:
    context.thread_count, context.copy_opaque = 1, True
    context.options = {"err_detect": "crccheck+aggressive+explode"}
    return context


def _renewed(context: av.VideoCodecContext) -> av.VideoCodecContext:
    """A decoder that remembers nothing: damage may have left parameters behind that spoil whole pictures."""
    new = av.CodecContext.create(context.codec.name, "r")
    assert isinstance(new, av.VideoCodecContext)
    new.extradata, new.width, new.height = context.extradata, context.width, context.height
    new.color_range, new.colorspace = context.color_range, context.colorspace
    new.color_primaries, new.color_trc = context.color_primaries, context.color_trc
    return new


def _until_key(cause: str) -> str:
    return f"broken until the next key frame: {cause}"


def _is_earlier(first: Decoded, second: Decoded) -> bool:
    if first.pts is None or second.pts is None:
        return first.number < second.number
    return first.pts < second.pts


def _upright(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """The picture turned counterclockwise by what its container says, as players do."""
    turn = _TURNS.get(degrees % 360)
    return image if turn is None else np.asarray(cv2.rotate(image, turn), np.uint8)
