"""A real Triton server, of the wheel nvidia-pytriton, which has no backend but the Python one and starts without a GPU.

It needs NumPy below 2, so it lives in an environment of its own, which ``.ci/triton VENV`` makes, and which
PROCTOR_TRITON names.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from benchmarks.line.processes import free_port
from benchmarks.line.seen import Absent
from runtime.errors import InputError

READY_S = 90.0
PACKAGE = "lib/python3.*/site-packages/pytriton"
MISSING = "PROCTOR_TRITON names no environment with nvidia-pytriton, a real Triton; .ci/triton FOLDER makes one"


class TritonServer:
    """A server of one repository, started and, at the latest by `stop`, ended."""

    def __init__(self, repository: Path, work: Path, *options: str, port: int = 0) -> None:
        self.port, self._log = port or free_port(), work / f"triton-{time.monotonic_ns()}.log"
        venv = environment()
        backends = with_stub(venv, work)
        command = [str(package(venv) / "tritonserver" / "bin" / "tritonserver"), f"--model-repository={repository}"]
        command += [f"--backend-directory={backends}", "--allow-http=false", "--allow-metrics=false"]
        command += ["--grpc-address=127.0.0.1", f"--grpc-port={self.port}", *options]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=settings(venv), start_new_session=True
            )

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace")

    def address(self, model: str, query: str = "") -> str:
        """Of a model."""
        return f"triton://127.0.0.1:{self.port}/{model}{query}"

    def ended(self, timeout_s: float = READY_S) -> int:
        """The status that it ends with by itself."""
        return self._process.wait(timeout_s)

    def wait_until_ready(self) -> "TritonServer":
        """Wait until all models are served. Raises `InputError`, with the log, where it ends, or takes too long."""
        deadline_s = time.monotonic() + READY_S
        with InferenceServerClient(f"127.0.0.1:{self.port}") as client:
            while time.monotonic() < deadline_s and self._process.poll() is None:
                try:
                    if client.is_server_ready(client_timeout=1):
                        return self
                except InferenceServerException:
                    pass
                time.sleep(0.05)
        raise InputError(f"Triton did not start:\n{self.log[-4000:]}")

    def pause(self) -> None:
        """Stop it from running, as a machine that hangs."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Kill it, with the processes of its models."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def environment() -> Path:
    """The virtual environment. Raises `Absent` where there is none."""
    venv = os.environ.get("PROCTOR_TRITON")
    if not venv or not any(Path(venv).glob(PACKAGE)):
        raise Absent(MISSING)
    return Path(venv)


def package(venv: Path) -> Path:
    """Of nvidia-pytriton."""
    return next(venv.glob(PACKAGE))


def with_stub(venv: Path, work: Path) -> Path:
    """The folder of backends, with the program that runs models in this version of Python."""
    backends, home = work / "backends", package(venv)
    if not backends.exists():
        shutil.copytree(home / "tritonserver" / "backends", backends)
        version = home.parents[1].name.removeprefix("python")
        stub = home / "tritonserver" / "python_backend_stubs" / version / "triton_python_backend_stub"
        shutil.copy(stub, backends / "python")
    return backends


def settings(venv: Path) -> dict[str, str]:
    """Environment variables: models run with the packages of `venv`, which is found by PATH."""
    command = [str(venv / "bin" / "python"), "-c", "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"]
    found = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    of_python = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60, env=found
    ).stdout.strip()
    libraries = package(venv).parent / "nvidia_pytriton.libs"
    path = f"{(venv / 'bin').resolve()}:{found['PATH']}"
    return found | {"LD_LIBRARY_PATH": f"{libraries}:{of_python}", "PATH": path}
