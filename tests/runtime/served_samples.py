"""The tiny detector on servers that run until the tests are over, and certificates for others."""

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
from runtime_samples import write_detector
from triton_stand_in import StandIn

from benchmarks.line.triton_server import TritonServer, environment
from export.serving_options import ServingOptions
from export.triton_repository import write_model


@cache
def tiny_stand_in() -> str:
    """Its address on a server that only speaks Triton's protocol."""
    server = StandIn(_model(_folder()))
    atexit.register(server.stop)
    return server.address()


@cache
def tiny_triton() -> str:
    """Its address on a real Triton; the test is skipped, aloud, where there is none."""
    environment()
    folder = _folder()
    server = TritonServer(_model(folder).parent, folder)
    atexit.register(server.stop)
    return server.wait_until_ready().address("tiny")


def make_certificates(folder: Path) -> Path:
    """A folder with certificates and keys of two authorities for this machine: ours.pem, ours.key, theirs.pem."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: NO connection by TLS was tried")
    for name in ("ours", "theirs"):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder


def _model(folder: Path) -> Path:
    options = ServingOptions(backend="python", threads=1)
    return write_model(write_detector(folder / "tiny.onnx"), folder / "models", "tiny", options).folder
