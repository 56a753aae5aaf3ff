"""A camera for tests that sends MJPEG by RTP over UDP, from a GStreamer pipeline of this process; packets get lost."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from http_camera import jpeg
from video_samples import numbered_picture

PAYLOAD = "rtpjpegpay mtu=400 ! udpsink host=127.0.0.1 port={} sync=false"


class RtpCamera:
    """Plays numbered pictures at 25 a second. `loses` says of each packet, counted from 1, whether it is lost."""

    def __init__(self, gst: Any) -> None:
        self.loses: Callable[[int], bool] = lambda packet: False
        self._gst, self._packets = gst, 0
        self._inlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inlet.bind(("127.0.0.1", 0))
        self._inlet.settimeout(0.05)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        caps = "application/x-rtp,media=video,encoding-name=JPEG,payload=26,clock-rate=90000"
        self.uri = f'gst:udpsrc address=127.0.0.1 port={self._port} caps="{caps}" ! rtpjpegdepay'
        self._closed = threading.Event()
        self._relay = threading.Thread(target=self._forward)
        self._relay.start()
        self._playing: threading.Thread | None = None
        self._stopping = threading.Event()

    def play(self, numbers: Iterator[int], size_hw: tuple[int, int]) -> None:
        self._stopping.clear()
        self._playing = threading.Thread(target=self._play, args=(numbers, size_hw))
        self._playing.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._playing:
            self._playing.join()

    def close(self) -> None:
        self.stop()
        self._closed.set()
        self._relay.join()
        self._inlet.close()

    def _play(self, numbers: Iterator[int], size_hw: tuple[int, int]) -> None:
        port = self._inlet.getsockname()[1]
        pipe = self._gst.parse_launch(
            f"appsrc name=in is-live=true do-timestamp=true format=time caps=image/jpeg,framerate=25/1,"
            f"width={size_hw[1]},height={size_hw[0]} ! {PAYLOAD.format(port)}"
        )
        pipe.set_state(self._gst.State.PLAYING)
        while not self._stopping.wait(0.04):
            data = jpeg(numbered_picture(next(numbers) % 256)[: size_hw[0], : size_hw[1]])
            pipe.get_by_name("in").emit("push-buffer", self._gst.Buffer.new_wrapped(data))
        pipe.set_state(self._gst.State.NULL)

    def _forward(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outlet:
            while not self._closed.is_set():
                with suppress(TimeoutError):
                    data = self._inlet.recv(4096)
                    self._packets += 1
                    if not self.loses(self._packets):
                        outlet.sendto(data, ("127.0.0.1", self._port))
