"""A camera over HTTP in a process of its own: rendered good parts as MJPEG, at a steady pace, until it is killed.

::

    python -m benchmarks.stream.parts_camera PORT SEED PERIOD_S

It prints its port once it listens: with PORT 0 the system chooses one.
"""

import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from runtime.demo import DemoLine

PARTS = 16
# without what JPEG does to colours and edges, which the demo detector has not seen
QUALITY = [
    cv2.IMWRITE_JPEG_QUALITY,
    100,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]


def main() -> None:
    port, seed, period_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    line = DemoLine(seed, defect_rate=0)
    pictures = [cv2.imencode(".jpg", line.good(number).image, QUALITY)[1].tobytes() for number in range(PARTS)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            number, next_s = 0, time.monotonic()
            with suppress(OSError):  # whoever looked has left
                while True:
                    picture = pictures[number % PARTS]
                    header = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(header.encode() + picture + b"\r\n")
                    number, next_s = number + 1, next_s + period_s
                    time.sleep(max(0.0, next_s - time.monotonic()))

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
