"""Network cameras: what they sent before somebody looked is dropped, at the start and whenever reading falls behind."""

import logging
import re
from collections import deque
from functools import cache, partial
from urllib.parse import urlsplit

import av
import av.logging

from runtime.arguments import described
from runtime.cameras.backlog import Newest, Watch
from runtime.cameras.capture import Capture, Picture, without_password
from runtime.cameras.decoding import Decoded, PictureDecoder
from runtime.cameras.ffmpeg import VideoPacket, open_container, video_stream
from runtime.cameras.http import open_http
from runtime.cameras.live import LiveSource
from runtime.cameras.rtsp_udp import UdpTransport
from runtime.errors import InputError, SetupError, SourceError

# TCP loses nothing on the way; a queue makes FFmpeg look at the numbers of RTP packets even so: cameras leave some out
RTSP_OPTIONS = {"rtsp_transport": "tcp", "reorder_queue_size": "8"}
TRANSPORTS = ("tcp", "udp")
LOSSES = ("missed", "missing packets", "bad cseq", "unable to open")  # in FFmpeg's own words


class StreamCapture:
    """A `Capture` of a stream in any codec that FFmpeg knows, received and decoded in the thread that reads.

    Of those that pile up before a slow reader, the `Newest`.
    """

    def __init__(self, url: str, transport: UdpTransport | None = None) -> None:
        """`transport` is how FFmpeg reaches the camera where that is not directly; it is closed with this. Raises
        `SourceError` when it cannot be opened."""
        _listen()
        self._transport, shown = transport, without_password(url)
        options = RTSP_OPTIONS if url.startswith("rtsp") else {}
        with av.logging.Capture(local=True):
            self._container = open_container(transport.url if transport else url, options, shown)
        try:
            self._begin(shown)
        except BaseException:
            self._close()
            raise

    @property
    def drops(self) -> int:
        """See `Capture.drops`."""
        return self._newest.drops

    def read(self) -> Picture | None:
        """See `Capture.read`."""
        decoded = self._newest.read()
        if decoded is None and self._transport and (failure := self._transport.failure):
            raise SourceError(failure)
        return None if decoded is None else decoded.picture()

    def release(self) -> None:
        """See `Capture.release`."""
        self._close()
        if self._transport:
            self._transport.close()

    def _begin(self, shown: str) -> None:
        """Find the video, and wait for the picture that is there now."""
        with av.logging.Capture(local=True):
            stream = video_stream(self._container, shown)
            self._decoder = PictureDecoder(stream, timed=False)
            self.sent_as = stream.codec_context.codec.name
        self._packets = self._container.demux(stream)
        self._complete: deque[Decoded] = deque()
        self._suspicion: str | None = None  # of the next packet, from what was lost before it
        self._watch = Watch()
        self._newest = Newest(self._watch, self._next)

    def _close(self) -> None:
        with av.logging.Capture(local=True):
            self._container.close()

    def _next(self) -> Decoded | None:
        while not self._complete:
            try:
                with av.logging.Capture(local=True) as said:
                    packet = self._watch.receive(self._packet)
                suspicion = self._suspicion_about(said)
                with av.logging.Capture(local=True):
                    self._complete.extend(self._decoder.decode(packet, suspicion) if packet else ())
            except av.FFmpegError:
                return None
            if packet is None:
                return None
        return self._complete.popleft()

    def _packet(self) -> "VideoPacket | None":
        packet = next(self._packets, None)
        return None if packet is None or packet.size == 0 else packet

    def _suspicion_about(self, said: list[tuple[int, str, str]]) -> str | None:
        """Why the packet just received may not be whole. A loss that was noticed meanwhile may be of the next one."""
        lost = next((text.strip() for _, _, text in said if any(word in text.lower() for word in LOSSES)), None)
        suspicion, self._suspicion = lost or self._suspicion, lost
        return suspicion


@cache  # once for all captures: each call adds a handler, and a camera may be opened again for ever
def _listen() -> None:
    """Have FFmpeg say what it lost. It says so in the thread that receives, since no other thread works for it."""
    log = logging.getLogger("libav")  # where PyAV puts what nobody captures
    log.propagate = False
    log.addHandler(logging.NullHandler())
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.WARNING)


def open_network(
    uri: str,
    reconnect_limit: int | None = None,
    wait: bool = False,
    accept_size_change: bool = False,
    rtsp_transport: str = "tcp",
) -> LiveSource:
    """``rtsp://…`` or ``http://…``. Raises `SourceError` when it cannot be opened, `InputError` for a transport that is
    neither ``tcp`` nor ``udp``."""
    if rtsp_transport not in TRANSPORTS:
        raise InputError(f"the RTSP transport is {described(rtsp_transport)}; expected tcp or udp")
    opener = partial(capture_of, uri, rtsp_transport)
    name = without_password(uri)
    return LiveSource(name, opener, reconnect_limit, wait=wait, accept_size_change=accept_size_change)


def capture_of(url: str, rtsp_transport: str = "tcp") -> Capture:
    """A network camera, from the picture that it takes now. Raises `SourceError` when it cannot be opened, `SetupError`
    for an address that none can have.

    The parts on the pictures before are gone; nobody may take their verdicts for those of the parts that are there now.
    """
    _check_place(url)
    if rtsp_transport == "udp":
        return _over_udp(url)
    return (open_http(url) if url.lower().startswith("http") else None) or StreamCapture(url)


def _over_udp(url: str) -> StreamCapture:
    transport = UdpTransport(url)
    try:
        return StreamCapture(url, transport)
    except BaseException as error:
        transport.close()
        if isinstance(error, SourceError) and transport.failure:
            raise SourceError(f"{without_password(url)} cannot be opened as video: {transport.failure}") from error
        raise


def _check_place(url: str) -> None:
    """Raises `SetupError` for a host or port that none can have: of a port that is too high, the system would take the
    lower bits, and so another port; and no camera can ever be there, however long it is waited for."""
    match = re.match(r"[^/?#]*//([^/?#]*)", url)
    place = match[1].rpartition("@")[2] if match else ""  # passwords may hold what no other part of an address does
    try:
        parts = urlsplit(f"//{place}")
        is_possible = parts.port != 0
        (parts.hostname or "").encode("idna")  # as the system's look-up does
    except ValueError:
        is_possible = False
    if not is_possible:
        raise SetupError(
            f"{without_password(url)} is no address of a camera; expected a host's name or number and a port from 1 to "
            "65535, as in rtsp://192.168.0.10:554/…, and / ? # in a password as %2F %3F %23"
        )
