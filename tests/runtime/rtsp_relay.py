"""A network for tests, between an RTSP camera and who looks at it: over TCP, and some RTP packets never arrive."""

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

Lost = Callable[[int], bool]


class RtspRelay:
    """Forwards one connection. Media packets, counted from the first, are left out where `lost` says so.

    Their numbers go on as if they had been sent, as those of a camera do whose own queue overflows.
    """

    def __init__(self, camera_port: int, lost: Lost) -> None:
        self._camera_port, self._lost = camera_port, lost
        self.packets = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/line"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            client = self._listener.accept()[0]
            with client, socket.create_connection(("127.0.0.1", self._camera_port)) as camera:
                threading.Thread(target=_forward, args=(client, camera), daemon=True).start()
                self._filter(camera, client)

    def _filter(self, camera: socket.socket, client: socket.socket) -> None:
        """RFC 2326, 10.12: a packet is ``$``, its channel, its length; all else is text."""
        with camera.makefile("rb") as sent:
            while first := sent.read(1):
                if first != b"$":
                    client.sendall(first + sent.readline())
                    continue
                head = sent.read(3)
                data = sent.read(int.from_bytes(head[1:], "big"))
                is_media = head[0] == 0
                self.packets += is_media
                if not (is_media and self._lost(self.packets)):
                    client.sendall(first + head + data)


def _forward(client: socket.socket, camera: socket.socket) -> None:
    with suppress(OSError):
        while data := client.recv(4096):
            camera.sendall(data)


Faults = Callable[[int], int]


class UdpRelay:
    """Forwards one connection whose media goes over UDP: some packets are lost, repeated, or arrive out of order.

    `copies` says of each media packet, counted from 1, how often it is passed on. One for which `late` says so is
    passed on after the next one or two.
    """

    def __init__(self, camera_port: int, copies: Faults, late: Lost = lambda packet: False) -> None:
        self._camera_port, self._copies, self._late = camera_port, copies, late
        self.packets = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._outer = _pair()  # what the camera sends to
        self._inner = _pair()  # what the client is sent from
        self._client_port = 0
        self._held: list[bytes] = []
        self._closed = threading.Event()
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/line"
        for work in (self._accept, self._media, self._control):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        for each in (self._listener, *self._outer, *self._inner):
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._camera_port)) as camera:
            threading.Thread(target=self._requests, args=(client, camera), daemon=True).start()
            while data := camera.recv(65536):
                client.sendall(re.sub(rb"server_port=\d+-\d+", b"server_port=" + _range(self._inner), data))
            client.shutdown(socket.SHUT_RDWR)

    def _requests(self, client: socket.socket, camera: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if found := re.search(rb"client_port=(\d+)-\d+", data):
                    self._client_port = int(found[1])
                    data = data.replace(found[0], b"client_port=" + _range(self._outer))
                camera.sendall(data)
            camera.shutdown(socket.SHUT_RDWR)

    def _media(self) -> None:
        with suppress(OSError):
            while not self._closed.is_set():
                data = self._outer[0].recv(65536)
                self.packets += 1
                if self._late(self.packets):
                    self._held.append(data)
                    continue
                for _ in range(self._copies(self.packets)):
                    self._inner[0].sendto(data, ("127.0.0.1", self._client_port))
                if self.packets % 2 == 0:
                    while self._held:
                        self._inner[0].sendto(self._held.pop(0), ("127.0.0.1", self._client_port))

    def _control(self) -> None:
        with suppress(OSError):
            while not self._closed.is_set():
                self._inner[1].sendto(self._outer[1].recv(65536), ("127.0.0.1", self._client_port + 1))


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two sockets on neighbouring ports, the first even, as RTP asks for."""
    while True:
        first, second = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        first.bind(("127.0.0.1", 0))
        port = first.getsockname()[1]
        with suppress(OSError):
            if port % 2 == 0:
                second.bind(("127.0.0.1", port + 1))
                return first, second
        first.close()
        second.close()


def _range(pair: tuple[socket.socket, socket.socket]) -> bytes:
    return b"%d-%d" % (pair[0].getsockname()[1], pair[1].getsockname()[1])
