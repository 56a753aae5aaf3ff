"""A stream's verdicts to a real broker and to a webhook: all of them, or counted in the summary."""

import base64
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mqtt_broker import check_all
from waiting import free_port

from benchmarks.line.broker import PLACE, broker, peer
from runtime.errors import InputError
from runtime.sinks import open_sinks

FRAMES = 12


def streamed(environment: dict[str, str], folder: Path, *words: object) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The stream's lines of JSON, and its summary."""
    line = [sys.executable, "-m", "runtime.stream", "--camera", "demo?seed=3", "--frames", str(FRAMES), "--json"]
    line += ["--summary", str(folder / "summary.json"), "--threads", "1", *map(str, words)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    return verdicts, json.loads((folder / "summary.json").read_text())


def test_every_verdict_of_a_stream_arrives_at_the_broker_as_it_was_printed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with broker(tmp_path) as mosquitto, peer(mosquitto) as seen:
        printed, summary = streamed(environment, tmp_path, "--mqtt", f"127.0.0.1:{mosquitto.port}?{PLACE}")
        last = seen.wait("status", lambda each: each["why"] == "stopped")
        published = seen.of("verdict")
        check_all(seen)
    assert not summary["not_written"]
    assert (last["verdicts"], last["waiting"], last["dropped"]) == (FRAMES, 0, 0)
    assert [each["frame_id"] for each in published] == [each["frame_id"] for each in printed]
    for ours, theirs in zip(published, printed, strict=True):
        assert ours["code"] == theirs["decision"]
        for name in ("reason", "score", "threshold", "recipe_sha256", "part_id"):
            assert ours[name] == theirs[name], name
        assert abs(ours["decided_at_ms"] - theirs["decided_at"] * 1e3) <= 1
        assert abs(ours["took_ms"] - theirs["latency_ms"]) < 0.01
    assert len({each["id"] for each in published}) == FRAMES


def test_a_broker_that_never_was_is_counted_in_the_summary_and_ends_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    _, summary = streamed(environment, tmp_path, "--mqtt", f"127.0.0.1:{free_port()}?{PLACE}&queue=5")
    assert summary["frames"] == FRAMES
    assert summary["not_written"] == {"messages to the MQTT broker": FRAMES}


def test_rejects_of_a_stream_are_posted(environment: dict[str, str], tmp_path: Path) -> None:
    key, documents = tmp_path / "hook.key", list[dict[str, Any]]()
    key.write_text(base64.b64encode(bytes(32)).decode())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            documents.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/hook#key_file={key}&{PLACE}"
        printed, summary = streamed(environment, tmp_path, "--webhook", url)
        server.shutdown()
        thread.join()
    rejects = [each["frame_id"] for each in printed if each["decision"] != "OK"]
    assert rejects
    assert [each["frame_id"] for each in documents] == rejects
    assert not summary["not_written"]


def test_a_stream_takes_no_commands() -> None:
    with pytest.raises(InputError, match="a stream takes none"):
        open_sinks({"mqtt": f"localhost?{PLACE}&commands=yes"})
