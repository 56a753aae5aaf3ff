"""What the stream and the page's process tell each other over a pair of sockets: JSON, with pixels behind it."""

import json
import socket
import struct
from typing import Any

HEAD = struct.Struct("!II")  # bytes of JSON, bytes of pixels
MOST_JSON, MOST_PIXELS = 8 * 2**20, 64 * 2**20


def send(connection: socket.socket, document: dict[str, Any], *pixels: memoryview) -> None:
    """Send one message whole. Raises `OSError`, also where its time-out is over."""
    text = json.dumps(document, separators=(",", ":")).encode()
    connection.sendall(HEAD.pack(len(text), sum(each.nbytes for each in pixels)) + text)
    for each in pixels:
        connection.sendall(each)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """The next message, or None when the other side is gone. Raises `OSError` and `ValueError` for what is none."""
    head = _exactly(connection, HEAD.size)
    if head is None:
        return None
    json_bytes, pixel_bytes = HEAD.unpack(head)
    if json_bytes > MOST_JSON or pixel_bytes > MOST_PIXELS:
        raise ValueError(f"a message of {json_bytes} and {pixel_bytes} bytes")
    text = _exactly(connection, json_bytes)
    pixels = _exactly(connection, pixel_bytes)
    if text is None or pixels is None:
        return None
    return dict(json.loads(text)), pixels


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    data = bytearray(count)
    view, done = memoryview(data), 0
    while done < count:
        got = connection.recv_into(view[done:])
        if got == 0:
            return None
        done += got
    return bytes(data)
