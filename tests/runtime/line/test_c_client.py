"""The C and C++ client: compiled without a warning, run with sanitizers and valgrind, beside servers that lie."""

import contextlib
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from line_samples import (
    CLIENT,
    FLAGS,
    GREY,
    PATIENCE_S,
    ROOT,
    SANITIZERS,
    SPOTTED,
    compiled,
    received,
    run,
    serving,
    write_pgm,
)  # fmt: skip

from runtime.line.results import Cause, Code
from runtime.line.wire import (
    ACCEPTED,
    CLOSED,
    MESSAGES,
    MOST_BYTES,
    REFUSED,
    RESULT,
    WELCOME,
    Closing,
    pack,
)  # fmt: skip

pytestmark = pytest.mark.peer

FEED = CLIENT / "examples" / "feed_pgm.c"
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, with sanitizers."""
    folder = tmp_path_factory.mktemp("feed")
    skip_without_sanitizers(folder)
    return compiled(folder, "feed_pgm", [FEED], *SANITIZERS)


def skip_without_sanitizers(folder: Path) -> None:
    source = folder / "probe.c"
    source.write_text("int main(void) { return 0; }\n")
    command = [shutil.which("gcc") or "gcc", *SANITIZERS, str(source), "-o", str(folder / "probe")]
    if shutil.which("gcc") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no C compiler with sanitizers; apt install gcc libc6-dev")


def test_some_hundred_parts_each_get_their_own_verdict(feed: Path, tmp_path: Path) -> None:
    good = write_pgm(tmp_path / "good.pgm", GREY[:, :, 0])
    bad = write_pgm(tmp_path / "bad.pgm", SPOTTED[:, :, 0])
    with serving(tmp_path / "line.sock") as served:
        done = run([str(feed), str(served.path), "--count", "300", str(good), str(bad)])
        assert served.handshake.view().accepted == 300
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [(int(line[0]), line[1]) for line in lines] == [(n, "NG" if n % 2 else "OK") for n in range(300)]


def test_the_example_under_valgrind(tmp_path: Path) -> None:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        pytest.skip("no valgrind; apt install valgrind")
    program = compiled(tmp_path, "feed_pgm", [FEED], "-g")
    check = [valgrind, "-q", "--error-exitcode=9", "--leak-check=full", "--track-fds=yes"]
    with serving(tmp_path / "line.sock") as served:
        done = run([*check, str(program), str(served.path), "--count", "20", "--generate", "48x32"])
    assert Counter(line.split()[1] for line in done.stdout.splitlines()) == {"OK": 20}


def test_what_is_misused_is_refused(tmp_path: Path) -> None:
    skip_without_sanitizers(tmp_path)
    program = compiled(tmp_path, "misuse", [HERE / "misuse.c"], *SANITIZERS)
    with serving(tmp_path / "line.sock") as served:
        run([str(program), str(served.path)])


def test_the_cpp_header_is_the_same_in_cpp(tmp_path: Path) -> None:
    skip_without_sanitizers(tmp_path)
    program = compiled(tmp_path, "one_part", [CLIENT / "examples" / "one_part.cpp"], *SANITIZERS)
    with serving(tmp_path / "line.sock") as served:
        assert run([str(program), str(served.path), "48", "32"]).stdout.startswith("OK 0: score 0.000")
        served.handshake.hold(Cause.HELD, "somebody paused it")
        held = subprocess.run([program, served.path, "48", "32"], capture_output=True, text=True, timeout=60)
        assert (held.returncode, held.stdout) == (1, "REFUSED HELD: somebody paused it\n")
    gone = subprocess.run([program, tmp_path / "line.sock", "48", "32"], capture_output=True, text=True, timeout=60)
    assert (gone.returncode, "is the runtime there" in gone.stderr) == (1, True)


def test_the_code_of_the_page_compiles(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler; apt install gcc libc6-dev")
    [code] = re.findall(r"```c\n(.*?)```", (ROOT / "runtime" / "line" / "README.md").read_text(), re.DOTALL)
    source = tmp_path / "page.c"
    source.write_text(
        '#include <string.h>\n#include "proctor.h"\n'
        "int one_part(proctor_line *line, const void *picture, uint32_t width, uint32_t height);\n"
        "int one_part(proctor_line *line, const void *picture, uint32_t width, uint32_t height)\n"
        f"{{\n{code}\nreturn passes;\n}}\n"
    )
    run(["gcc", "-std=c99", *FLAGS, f"-I{CLIENT}", "-fsyntax-only", str(source)])


def test_it_is_installed_and_found(tmp_path: Path) -> None:
    """By CMake and by pkg-config, from the place that it is installed to, which may be moved."""
    for tool, package in {"cmake": "cmake", "pkg-config": "pkg-config", "g++": "g++"}.items():
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}; apt install {package}")
    build, first, prefix = tmp_path / "build", tmp_path / "first", tmp_path / "moved"
    run(
        ["cmake", "-S", str(CLIENT), "-B", str(build), "-DPROCTOR_WARNINGS_ARE_ERRORS=ON", "-DCMAKE_INSTALL_LIBDIR=lib"]
    )
    run(["cmake", "--build", str(build)])
    run(["cmake", "--install", str(build), "--prefix", str(first)])
    first.rename(prefix)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = run(["pkg-config", "--cflags", "--libs", "proctor"], env=environment).stdout.split()
    run(["gcc", str(FEED), *flags, "-o", str(tmp_path / "by_pkg_config")])
    user = tmp_path / "user"
    user.mkdir()
    (user / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(user C)\nfind_package(proctor REQUIRED)\n"
        f"add_executable(user {FEED})\ntarget_link_libraries(user proctor::proctor)\n"
    )
    run(["cmake", "-S", str(user), "-B", str(user / "build"), f"-DCMAKE_PREFIX_PATH={prefix}"])
    run(["cmake", "--build", str(user / "build")])
    with serving(tmp_path / "line.sock") as served:
        for program in (tmp_path / "by_pkg_config", user / "build" / "user"):
            assert " OK " in run([str(program), str(served.path), "--generate", "48x32"]).stdout


Serve = Callable[[socket.socket], None]


def against(program: Path, path: Path, serve: Serve, *words: str) -> subprocess.CompletedProcess[str]:
    """The example beside a server of the test's that does what it likes with the one connection."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen(1)
        listening.settimeout(PATIENCE_S)

        def once() -> None:
            connected, _ = listening.accept()
            with connected:
                connected.settimeout(PATIENCE_S)
                with contextlib.suppress(OSError):
                    serve(connected)

        thread = threading.Thread(target=once)
        thread.start()
        command = [str(program), str(path), "--generate", "48x32", "--result-ms", "300", *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=60)
        finally:
            thread.join()


def welcomed(line: socket.socket, **values: object) -> None:
    line.recv(MOST_BYTES)
    line.send(pack(WELCOME, {"session_id": 1, "map_version": 1, "deadline_ns": 10**9, **values}))


def test_a_runtime_that_vanishes_or_lies_is_an_error_and_no_pass(feed: Path, tmp_path: Path) -> None:
    def vanish(line: socket.socket) -> None:
        welcomed(line)
        line.recv(MOST_BYTES)

    def say_nothing(line: socket.socket) -> None:
        welcomed(line)
        trigger = received(line)
        line.send(pack(ACCEPTED, {"acquisition_id": 1}, trigger.number))
        line.recv(MOST_BYTES)  # until it goes

    def answer_another(line: socket.socket) -> None:
        welcomed(line)
        trigger = received(line)
        line.send(pack(ACCEPTED, {"acquisition_id": 1}, trigger.number + 1))

    def two_results(line: socket.socket) -> None:
        welcomed(line)
        received(line)
        for _ in range(2):
            line.send(pack(RESULT, {"inspection_id": 1, "code": Code.OK}))

    def shorter(line: socket.socket) -> None:
        welcomed(line)
        data = bytearray(pack(REFUSED, {})[:100])
        struct.pack_into("<I", data, 8, 100)
        line.send(data)

    def other_map(line: socket.socket) -> None:
        welcomed(line, map_version=2)

    def closing(line: socket.socket) -> None:
        line.recv(MOST_BYTES)
        line.send(pack(CLOSED, {"why": Closing.STOPPED, "reason": "the runtime ends"}))

    words = {
        vanish: "the runtime is gone (-2)",
        say_nothing: "nothing from the runtime in time (-1)",
        answer_another: "a message of type 4 came, which nothing asked for (-5)",
        two_results: "a message of type 6 came, which nothing asked for (-5)",
        shorter: "a message of type 5 with 100 bytes (-5)",
        other_map: "version 2 of the register map, not 1 (-5)",
        closing: "the runtime ends (-2)",
    }
    for serve, expected in words.items():
        done = against(feed, tmp_path / "line.sock", serve)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert expected in done.stderr


def test_a_pass_that_comes_after_its_deadline_is_none(feed: Path, tmp_path: Path) -> None:
    acknowledged = []

    def late(line: socket.socket) -> None:
        welcomed(line)  # with a deadline of a second
        trigger = received(line)
        line.send(pack(ACCEPTED, {"acquisition_id": 1}, trigger.number))
        line.send(
            pack(RESULT, {"inspection_id": 1, "code": Code.OK, "triggered_ns": 5})
        )  # just after the machine began
        acknowledged.append(received(line).values)

    done = against(feed, tmp_path / "line.sock", late)
    assert done.stdout.split()[1:3] == ["NO_DECISION", "LATE"]
    assert acknowledged == [{"inspection_id": 1, "code": Code.NO_DECISION}]


def test_garbage_from_a_runtime_is_an_error_and_no_pass(feed: Path, tmp_path: Path) -> None:
    """Whatever comes instead of a message; the sanitizers watch."""
    rng = random.Random(11)

    def rubbish() -> bytes:
        data = bytearray(pack(rng.choice(MESSAGES), {"code": Code.OK, "acquisition_id": 1}, number=rng.randrange(3)))
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(
            data[: rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data + rng.randbytes(rng.randrange(60))
        )

    def throw(line: socket.socket) -> None:
        if rng.random() < 0.7:
            welcomed(line)
        for _ in range(rng.randrange(1, 5)):
            line.send(rubbish() or b"\0")

    for _ in range(25):
        done = against(feed, tmp_path / "line.sock", throw)
        assert done.returncode == 1, done
        assert "Sanitizer" not in done.stderr
        assert " OK " not in done.stdout


def test_pictures_that_are_none_are_refused(feed: Path, tmp_path: Path) -> None:
    good = write_pgm(tmp_path / "good.pgm", np.zeros((4, 4), np.uint8)).read_bytes()
    path = tmp_path / "bad.pgm"
    for data in (
        b"",
        b"P4\n1 1\n",
        b"P5\n",
        b"P5\n# x",
        b"P5 1 1 65535\n\0\0",
        b"P5 0 1 255\n",
        good[:-1],
        b"P5 9999999 1 255\n",
    ):
        path.write_bytes(data)
        done = subprocess.run([feed, "none", path], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done
        assert done.stderr.startswith("feed_pgm: ")
