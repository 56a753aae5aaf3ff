"""``python -m runtime.web.process``: the page's process, which `runtime.web.page` starts with two descriptors."""

import asyncio
import logging
import os
import socket
import sys
import threading
from dataclasses import replace
from typing import Any

from uvicorn import Config, Server

from runtime.cli import run
from runtime.priority import lower
from runtime.web.app import application
from runtime.web.board import Board, Hello
from runtime.web.desk import Desk
from runtime.web.guard import MOST_BODY, BoundedProtocol
from runtime.web.messages import receive, send
from runtime.web.serving import from_document

log = logging.getLogger("proctor.web")

NICE = 10  # the inspection comes first
MOST_CONNECTIONS = 64  # beside those of viewers
KEEP_ALIVE_S = 5


def main() -> None:
    """Serve until the stream closes its end."""
    lower(NICE)
    stream, listening = (socket.socket(fileno=int(each)) for each in sys.argv[1:3])
    first = receive(stream)
    if first is None:
        return
    hello, _ = first
    serving = replace(from_document(hello["serving"]), port=hello["port"])
    board = Board(Hello(hello["cameras"], hello["records"], hello["session"]), serving.rejects)
    asking = threading.Lock()

    def ask(document: dict[str, Any]) -> None:
        with asking:
            send(stream, document)

    desk = Desk(serving, board, ask)
    desk.read_users()
    if desk.workshop is not None:
        threading.Thread(target=desk.workshop.look_after, name="workshop", daemon=True).start()
    threading.Thread(target=_read, args=(stream, board), name="stream", daemon=True).start()
    asyncio.run(server_of(desk).serve([listening]))


def server_of(desk: Desk) -> Server:
    """The HTTP server, with all its limits."""
    config = Config(
        application(desk),
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="error",  # else whoever sends what is no request fills the log
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS + desk.serving.viewers,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=MOST_BODY,
    )
    config.load()
    config.ssl = desk.serving.tls()
    return Server(config)


def _read(stream: socket.socket, board: Board) -> None:
    """Take what the stream sends; when that ends, so does this process."""
    try:
        while (message := receive(stream)) is not None:
            board.take(*message)
    except OSError:
        pass
    except Exception:
        log.exception("what the stream sent cannot be shown")
    finally:
        os._exit(0)


if __name__ == "__main__":
    run(main)
