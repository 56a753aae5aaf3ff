"""What the page's tests share: users, a page over a stream that a test feeds, and the server alone in this process."""

import asyncio
import hashlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from runtime_samples import fake_detector, grey_frame, make_recipe
from waiting import until

from runtime.detector import Detector
from runtime.passwords import PasswordHash
from runtime.pause import Pause
from runtime.records.store import RecordStore
from runtime.web.board import Board, Hello
from runtime.web.desk import Desk
from runtime.web.page import Page
from runtime.web.process import server_of
from runtime.web.serving import Serving, parse_serving
from runtime.web.totals import ONLY

PATIENCE_S = 20.0  # for what takes a moment
PASSWORDS = {"vera": "watching-parts-1", "otto": "operating-lines-2", "erna": "engineering-things-3"}
ROLES = {"vera": "view", "otto": "operate", "erna": "engineer"}
COST, BLOCK, PARALLEL = 2**14, 8, 1  # the least that is taken: tests log in often


def users_file(folder: Path) -> Path:
    """Vera may view, Otto operate, Erna is an engineer."""
    lines = []
    for name, password in PASSWORDS.items():
        salt = name.encode().ljust(16, b"-")
        digest = hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=PARALLEL, dklen=32)
        kept = PasswordHash(salt, digest, COST, BLOCK, PARALLEL)
        lines.append(f'{name}: {{role: {ROLES[name]}, password: "{kept}"}}')
    path = folder / "users.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl; apt install openssl")
    made = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    out = ["-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run([*command, *names, *out], check=True, capture_output=True, timeout=60)
    return made


class Browser:
    """A client that keeps its cookies, and the token of its session."""

    def __init__(self, base: str, **options: Any) -> None:
        self.http = httpx.Client(base_url=base, timeout=PATIENCE_S, trust_env=False, **options)
        self.origin = base
        self.csrf = self.get("/api/session").json()["csrf"]

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        sent = {"x-csrf-token": self.csrf, "origin": self.origin} | headers
        return self.http.post(path, json=body or {}, headers=sent)

    def log_in(self, name: str, password: str | None = None) -> httpx.Response:
        answer = self.post("/api/login", {"name": name, "password": password or PASSWORDS[name]})
        if answer.status_code == 200:
            self.csrf = answer.json()["csrf"]
        return answer

    def close(self) -> None:
        self.http.close()


@contextmanager
def browsing(base: str, name: str | None = None, **options: Any) -> Iterator[Browser]:
    """A browser, logged in where a name is given."""
    browser = Browser(base, **options)
    try:
        if name is not None:
            assert browser.log_in(name).status_code == 200
        yield browser
    finally:
        browser.close()


@dataclass
class Fed:
    """A page whose stream is a test."""

    page: Page
    pause: Pause
    detector: Detector
    base: str
    numbers: int = field(default=0)

    def feed(self, spot: int | None = None) -> None:
        """One more part; with a `spot` it is rejected."""
        self.numbers += 1
        frame = grey_frame(self.numbers, grey=100 + self.numbers % 50, spot=spot, part_id=f"part-{self.numbers}")
        self.page.write(frame, self.detector.inspect(frame))


@contextmanager
def fed_page(
    asked: str = "0", records: RecordStore | None = None, opened: Callable[[], Detector] = fake_detector
) -> Iterator[Fed]:
    """A page with its process, over a fake detector."""
    page, pause = Page(parse_serving(asked)), Pause()
    with opened() as detector, page:
        page.watch(None, "demo", Path("detector.onnx"), detector, None)
        page.start(pause, records)
        yield Fed(page, pause, detector, page.address.rstrip("/"))


@dataclass
class Alone:
    """The page's server in this process, and what it asked of the stream."""

    desk: Desk
    base: str
    port: int
    asked: list[dict[str, Any]]


@contextmanager
def server_alone(serving: Serving, rejects: int = 5) -> Iterator[Alone]:
    """The server without a stream: what it asks is kept, and granted."""
    recipe = make_recipe()
    camera = {
        "uri": "demo", "engine": "fake", "detector": "detector.onnx", "recipe": recipe.sha256, "threshold": 0.5,
        "score_quantiles": recipe.score_quantiles, "sample_size": 80, "confidence": 0.95, "method": "gumbel",
        "vouched": True,
    }  # fmt: skip
    board, asked = Board(Hello({ONLY: camera}, None, None), rejects), []

    def ask(document: dict[str, Any]) -> None:
        asked.append(document)
        if "pause" in document:
            say(paused_by=document["pause"])

    def say(**state: Any) -> None:
        board.take({"kind": "state", "cameras": {}, "paused_by": None, **state}, b"")

    say()
    desk = Desk(serving, board, ask)
    desk.read_users()
    listening = socket.socket(proto=socket.IPPROTO_TCP)  # as one that another process inherits; else answers wait 40 ms
    listening.bind(("127.0.0.1", serving.port))
    listening.listen()
    server = server_of(desk)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    port = listening.getsockname()[1]
    scheme = "https" if serving.is_encrypted else "http"
    try:
        until(lambda: server.started)
        yield Alone(desk, f"{scheme}://127.0.0.1:{port}", port, asked)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listening.close()
        assert not thread.is_alive()
