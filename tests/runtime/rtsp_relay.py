"""A network for tests, between an RTSP camera and who looks at it: over TCP, and some RTP packets never arrive."""

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
