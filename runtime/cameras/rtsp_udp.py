"""RTSP with its media over UDP: ordered here, and handed to FFmpeg as if it had come over TCP.

FFmpeg's own receiver takes a packet that is repeated at once for new data, and one that is late for a new stream: its
pictures were then damaged, shown twice, or out of order.
"""

import re
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from urllib.parse import SplitResult, urlsplit

from runtime.cameras.capture import without_password
from runtime.cameras.rtp_order import RtpOrder
from runtime.errors import SetupError, SourceError

RTSP_PORT = 554
CONNECT_S = 3.0
SEND_S = 10.0  # to a reader that does not take what comes
TICK_S = 0.02  # how soon a packet that did not come is given up
LARGEST_PACKET = 65536
BUFFER_BYTES = 4 << 20  # of the system, where it grants as much: a key frame comes at once
LARGEST_MESSAGE = 1 << 20


@dataclass(eq=False)
class Media:
    """One stream of the camera: two UDP ports, and the channels on which FFmpeg expects it."""

    rtp: socket.socket
    rtcp: socket.socket
    channel: int  # of RTP; RTCP has the next
    order: RtpOrder = field(default_factory=RtpOrder)
    control_port: int | None = None  # of the camera, for RTCP


@dataclass(eq=False)
class Talk:
    """One direction of the conversation, in pieces as they come: RTSP messages, and binary frames between them."""

    buffer: bytes = b""

    def take(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The messages that are complete: head and body; of a binary frame (RFC 2326, 10.12) its first four bytes and
        the rest. Raises `ValueError` for what is neither."""
        self.buffer += data
        found = []
        while piece := self._first():
            found.append(piece)
        if len(self.buffer) > LARGEST_MESSAGE:
            raise ValueError("no RTSP")
        return found

    def _first(self) -> tuple[bytes, bytes] | None:
        if self.buffer[:1] == b"$":
            return self._cut(4, int.from_bytes(self.buffer[2:4], "big"))
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = re.search(rb"(?mi)^content-length:\s*(\d+)", self.buffer[: end + 2])
        return self._cut(end + 4, int(length[1]) if length else 0)

    def _cut(self, head: int, body: int) -> tuple[bytes, bytes] | None:
        if len(self.buffer) < head + body:
            return None
        piece = self.buffer[:head], self.buffer[head : head + body]
        self.buffer = self.buffer[head + body :]
        return piece


class UdpTransport:
    """Stands between FFmpeg, which is given `url` and believes that it speaks with the camera over TCP, and the camera.

    For one connection. Works in a thread of its own until it is closed or either side hangs up; `failure` then says
    why, where that is known. Packets of anybody but the camera are left out.
    """

    failure: str | None = None

    def __init__(self, url: str) -> None:
        """`url` is the camera's. Raises `SourceError` when nothing answers there or this machine has no sockets left,
        `SetupError` for ``rtsps://`` and for what is no address."""
        shown = without_password(url)
        parts, place = _place(url, shown)
        self._client: socket.socket | None = None
        self._media: list[Media] = []
        self._setups: dict[bytes, Media] = {}  # by the number of the request
        self._closing = Event()
        self._thread = Thread(target=self._work, name="RTSP over UDP", daemon=True)
        with ExitStack() as opened:
            self._camera = opened.enter_context(_connected(place, shown))
            try:
                self._listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
                self._selector = opened.enter_context(selectors.DefaultSelector())
                self._peer = self._camera.getpeername()[0]
                self._here = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}"
                credentials, at, there = parts.netloc.rpartition("@")
                self._there = f"rtsp://{there}"
                here = self._here.removeprefix("rtsp://")
                self.url = f"rtsp://{credentials}{at}{here}{url.partition(parts.netloc)[2]}"
                self._thread.start()
            except (OSError, RuntimeError) as error:  # the camera hung up at once; no open files or threads are left
                raise SourceError(
                    f"{shown} cannot be opened as video: it cannot be handed to FFmpeg ({_said(error)}); "
                    "check the limits of open files and threads"
                ) from error
            opened.pop_all()  # the thread closes them

    def close(self) -> None:
        """Hang up. Twice is allowed."""
        self._closing.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            self._listener.settimeout(CONNECT_S)
            self._client = self._listener.accept()[0]
            self._client.settimeout(SEND_S)
            asked, answered = Talk(), Talk()
            self._watch(self._client, lambda: self._hear(self._client, asked, self._ask))
            self._watch(self._camera, lambda: self._hear(self._camera, answered, self._answer))
            while not self._closing.is_set():
                for key, _ in self._selector.select(TICK_S):
                    key.data()
                for each in self._media:
                    self._hand_over(each, each.order.due(time.monotonic()))
        except (OSError, EOFError, ValueError):  # either side hung up, or hangs
            pass
        except SourceError as error:
            self.failure = str(error)
        finally:
            self._selector.close()
            media = [one for each in self._media for one in (each.rtp, each.rtcp)]
            for connection in (self._listener, self._camera, *media, *([self._client] if self._client else [])):
                connection.close()

    def _watch(self, connection: socket.socket, work: Callable[[], None]) -> None:
        self._selector.register(connection, selectors.EVENT_READ, work)

    def _hear(self, connection: "socket.socket | None", talk: Talk, pass_on: Callable[[bytes, bytes], None]) -> None:
        assert connection is not None
        data = connection.recv(LARGEST_PACKET)
        for head, body in talk.take(data):
            pass_on(head, body)
        if not data:
            raise EOFError

    def _ask(self, head: bytes, body: bytes) -> None:
        """From FFmpeg to the camera: a request; or what FFmpeg says of the packets it got."""
        if head[:1] == b"$":
            self._report(head[1], body)
            return
        if head.startswith(b"SETUP "):
            head = self._set_up(head)
        if b"\r\nauthorization:" not in head.lower():  # who vouches for an address has to ask for it
            line, end, rest = head.partition(b"\r\n")
            head = line.replace(self._here.encode(), self._there.encode()) + end + rest
        self._camera.sendall(head + body)

    def _set_up(self, head: bytes) -> bytes:
        rtp, rtcp = _neighbours(self._camera.getsockname()[0])
        channel = re.search(rb"(?i)interleaved=(\d+)", head)
        media = Media(rtp, rtcp, int(channel[1]) if channel else 2 * len(self._media))
        self._media.append(media)
        self._setups[_number(head)] = media
        self._watch(rtp, lambda: self._receive(media))
        self._watch(rtcp, lambda: self._receive_control(media))
        port = rtp.getsockname()[1]
        return _with_transport(head, f"RTP/AVP;unicast;client_port={port}-{port + 1}")

    def _answer(self, head: bytes, body: bytes) -> None:
        """From the camera to FFmpeg."""
        assert self._client is not None
        status = head.split(b" ", 2)[1:2]
        if status and status[0].startswith(b"3"):
            raise SourceError("it sends us to another address; give that one")
        media = self._setups.pop(_number(head), None)
        if media is not None:
            if status == [b"461"]:
                raise SourceError("it does not send over UDP; leave out --rtsp-transport udp")
            if found := re.search(rb"(?i)server_port=(\d+)-(\d+)", head):
                media.control_port = int(found[2])
            if status == [b"200"]:
                channels = f"{media.channel}-{media.channel + 1}"
                head = _with_transport(head, f"RTP/AVP/TCP;unicast;interleaved={channels}")
        self._client.sendall(head + body)

    def _receive(self, media: Media) -> None:
        data, sender = media.rtp.recvfrom(LARGEST_PACKET)
        if sender[0] == self._peer:
            self._hand_over(media, media.order.add(data, time.monotonic()))

    def _receive_control(self, media: Media) -> None:
        data, sender = media.rtcp.recvfrom(LARGEST_PACKET)
        if sender[0] == self._peer:
            self._send(media.channel + 1, data)

    def _report(self, channel: int, data: bytes) -> None:
        media = next((each for each in self._media if each.channel + 1 == channel), None)
        if media is not None and media.control_port is not None:
            with suppress(OSError):  # the camera may not listen
                media.rtcp.sendto(data, (self._peer, media.control_port))

    def _hand_over(self, media: Media, packets: list[bytes]) -> None:
        for packet in packets:
            self._send(media.channel, packet)

    def _send(self, channel: int, data: bytes) -> None:
        assert self._client is not None
        self._client.sendall(b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data)


def _place(url: str, shown: str) -> tuple[SplitResult, tuple[str, int]]:
    """An address in its parts, with host and port."""
    try:
        parts = urlsplit(url)
        place = parts.hostname or "", parts.port or RTSP_PORT
    except ValueError:  # its text would show a password that holds a slash
        raise SetupError(
            f"{shown} is no address that can be read; check host and port, and write / ? # [ ] in a password as %2F "
            "%3F %23 %5B %5D"
        ) from None
    if parts.scheme.lower() != "rtsp":
        raise SetupError(f"{shown} is encrypted, which UDP is not; leave out --rtsp-transport udp")
    return parts, place


def _connected(place: tuple[str, int], shown: str) -> socket.socket:
    try:
        camera = socket.create_connection(place, CONNECT_S)
    except (OSError, UnicodeError) as error:  # the latter for a name of a host that cannot be
        raise SourceError(
            f"{shown} cannot be opened as video ({_said(error)}); check the address and that it plays"
        ) from error
    camera.settimeout(SEND_S)
    return camera


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def _number(head: bytes) -> bytes:
    found = re.search(rb"(?mi)^cseq:\s*(\d+)", head)
    return found[1] if found else b""


def _with_transport(head: bytes, transport: str) -> bytes:
    return re.sub(rb"(?mi)^transport:[^\r\n]*", b"Transport: " + transport.encode(), head)


def _neighbours(host: str) -> tuple[socket.socket, socket.socket]:
    """UDP sockets on two ports, the first even and the second next to it, as RTP asks for (RFC 3550, 11)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        first, second = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        first.bind((host, 0))
        port = first.getsockname()[1]
        with suppress(OSError):
            if port % 2 == 0:
                second.bind((host, port + 1))
                first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
                return first, second
        first.close()
        second.close()
    raise SourceError("no two neighbouring UDP ports are free; close what uses so many")
