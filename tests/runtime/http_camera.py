"""Cameras over HTTP for tests: real servers on a port of this machine that send what the test says."""

import http.server
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import cv2
import numpy as np
from numpy.typing import NDArray

Handle = Callable[[http.server.BaseHTTPRequestHandler], None]
MULTIPART = "multipart/x-mixed-replace; boundary=frame"


@contextmanager
def serving(handle: Handle, port: int = 0) -> Iterator[str]:
    """A server whose GET requests `handle` answers; its address. A client that leaves ends its answer quietly."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                handle(self)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def playing(parts: Iterable[bytes], content_type: str = MULTIPART, period_s: float = 0.02) -> Handle:
    """Sends each part after a pause, up to an empty one, which ends the answer. The next one goes on from there."""
    left = iter(parts)

    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", content_type)
        request.end_headers()
        for data in left:
            if not data:
                return
            request.wfile.write(data)
            time.sleep(period_s)

    return handle


def answering(status: int, content_type: str, body: bytes, **headers: str) -> Handle:
    """One whole answer to each request."""

    def handle(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return handle


def jpeg(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def part(data: bytes, length: int | None = None, line: bytes = b"--frame") -> bytes:
    """A part of a stream. `length` is the one that its header states: that of the data, or 0 for none."""
    stated = len(data) if length is None else length
    header = b"Content-Length: %d\r\n" % stated if stated else b""
    return line + b"\r\nContent-Type: image/jpeg\r\n" + header + b"\r\n" + data + b"\r\n"
